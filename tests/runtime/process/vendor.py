"""A made-up port: it does things and takes them back, keeps books of what it did, and misbehaves as it is told."""

from collections import defaultdict, deque
from typing import Any

from canonical.failures import Failure
from canonical.messages import Accepted, Command, Event
from runtime.context import Context
from runtime.process.asking import Answer


class Begin(Command[Accepted], frozen=True, kw_only=True):
    """Start a job."""

    port = "bench"
    job: str
    size: int = 0


class Noticed(Event, frozen=True, kw_only=True):
    """Somebody noticed a job: that starts it, too."""

    job: str


class Begin2(Command[Accepted], frozen=True, kw_only=True):
    """Start the other process."""

    port = "bench"
    job: str


class Done(Event, frozen=True, kw_only=True):
    """It is done; `ref` is what the vendor calls it."""

    what: str
    ref: str


class Do(Command[Done], frozen=True, kw_only=True):
    """Do something."""

    port = "bench"
    what: str


class Taken(Event, frozen=True, kw_only=True):
    """It is taken back."""

    ref: str


class TakeBack(Command[Taken], frozen=True, kw_only=True):
    """Take something back, by what the vendor calls it."""

    port = "bench"
    ref: str


class Nodded(Event, frozen=True, kw_only=True):
    """Somebody has agreed to a job."""

    job: str
    about: str = ""


class JobDone(Event, frozen=True, kw_only=True):
    """The job is done."""

    job: str


class JobGivenUp(Event, frozen=True, kw_only=True):
    """The job was undone."""

    job: str
    reason: str


class Death(BaseException):
    """The process is killed: nothing in it may catch this."""


class After(Exception):
    """The thing is done, and only then this happens."""

    def __init__(self, outcome: BaseException) -> None:
        super().__init__(repr(outcome))
        self.outcome = outcome


Outcome = BaseException | None


class Vendor:
    """Makes the same key the same thing, as a vendor with idempotency keys does. `books` has what was made, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Command[Any]]] = []
        self.books: list[str] = []
        self._plans: defaultdict[str, deque[Outcome]] = defaultdict(deque)
        self.meanwhile: Any = None  # called with the context while the vendor is at work

    def plan(self, step: str, *outcomes: Outcome) -> None:
        """What happens at the next questions of a step (its name, or `<name>/undo`); None: all is well."""
        self._plans[step].extend(outcomes)

    def step_keys(self) -> list[str]:
        """The step keys that were asked, one for each question."""
        return [key for key, _ in self.asked]

    async def ask(self, command: Command[Any], context: Context, *, within_s: float | None = None) -> Answer:
        self.asked.append((context.key, command))
        if self.meanwhile is not None:
            await self.meanwhile(context)
        step = context.key.split("/", 2)[2]
        outcome = self._plans[step].popleft() if self._plans[step] else None
        if outcome is not None and not isinstance(outcome, After):
            raise outcome
        reply = self._make(command, context.key)
        if isinstance(outcome, After):
            raise outcome.outcome
        return Answer(reply, "workbench")

    def _make(self, command: Command[Any], key: str) -> Event:
        if key not in self.books:
            self.books.append(key)
        if isinstance(command, Do):
            return Done(what=command.what, ref=f"R-{command.what}")
        assert isinstance(command, TakeBack)
        return Taken(ref=command.ref)

    def left(self) -> list[str]:
        """The steps that are done and not taken back, in the order in which they were made."""
        return [key for key in self.books if not key.endswith("/undo") and f"{key}/undo" not in self.books]


def again(failure: Failure, times: int) -> tuple[Failure, ...]:
    """The same failure, so many times."""
    return (failure,) * times
