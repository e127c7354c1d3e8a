"""The words of a table: `ask`, `ask_each`, `tell`, `wait`, `decide`, `point_of_no_return`. No loops, no branches but ``when=``.

A step's functions are pure: they take the memory of the process (a frozen struct) and give a command, an event, or the next memory.
Because a command carries the type of its reply, mypy refuses a ``learn`` that does not fit the command of its line.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from canonical.failures import FailureRecord
from canonical.messages import Command, Event, Message

M = TypeVar("M", bound=msgspec.Struct)
R = TypeVar("R", bound=Event)
E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=Message)


def hours(number: float) -> dt.timedelta:
    """A span of hours."""
    return dt.timedelta(hours=number)


def days(number: float) -> dt.timedelta:
    """A span of days."""
    return dt.timedelta(days=number)


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How patiently a step is tried. Waits double from ``wait_s`` to ``wait_s_max`` with jitter; a vendor's Retry-After wins."""

    attempts_max: int
    wait_s: float
    wait_s_max: float
    within: dt.timedelta


PATIENT = Retry(attempts_max=200, wait_s=0.5, wait_s_max=300, within=hours(24))
BRIEF = Retry(attempts_max=4, wait_s=0.5, wait_s_max=5, within=dt.timedelta(minutes=2))


class CaseDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is told who has to decide: a title in business words, the money at stake, and a document to read."""

    kind: str
    title: str
    amount: str = ""
    currency: str = ""
    owner: str = ""
    document: Any = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a port; learn from its reply; remember how to take it back."""

    name: str
    commands: Callable[[Any], Sequence[Command[Any]]]
    many: bool
    learn: Callable[[Any, Any], Any] | None
    undo: Callable[[Any], Command[Any]] | None
    retry: Retry
    when: Callable[[Any], bool] | None
    asks: type[Command[Any]]


class Tell(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the world an event, or send a command to another process."""

    name: str
    message: Callable[[Any], Message]
    when: Callable[[Any], bool] | None


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Wait for an event with a correlating key, at most so long."""

    name: str
    event: type[Event]
    key: Callable[[Any], str]
    event_key: Callable[[Any], str]
    learn: Callable[[Any, Any], Any]
    within: dt.timedelta
    late: Callable[[Any], Any]
    case: Callable[[Any], CaseDraft] | None
    when: Callable[[Any], bool] | None


class Decide(msgspec.Struct, frozen=True, kw_only=True):
    """Go on, or end the process for a reason in business words, undoing what was done."""

    name: str
    test: Callable[[Any], bool]
    otherwise: Callable[[Any], str]
    when: Callable[[Any], bool] | None


class PointOfNoReturn(msgspec.Struct, frozen=True, kw_only=True):
    """From here on nothing is undone, only tried again or handed to a person."""

    name: str = "point_of_no_return"


Step = Ask | Tell | Wait | Decide | PointOfNoReturn


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A table. ``starts_on`` is the message that starts an instance (``also_on``: events that do so too), ``key`` its business key,
    ``begin`` its first memory.

    ``entity(memory)`` is the legal entity whose connections are asked (without it: that of the message which starts the instance).
    ``if_undone(memory, failure)`` makes the event that is told when the instance is undone; ``relates(memory)`` names other
    instances, as (process, key), whose transactions this one also belongs to; ``shows(memory)`` gives the title and money for a case;
    of many instances that come due at once those of the lowest ``rank`` go on first: money that moves before what only prepares it.
    """

    name: str
    version: int = 1
    starts_on: type[Message]
    also_on: tuple[type[Event], ...] = ()
    memory: type[msgspec.Struct]
    begin: Callable[[Any], Any]
    key: Callable[[Any], str]
    finish_within: dt.timedelta
    steps: tuple[Step, ...]
    entity: Callable[[Any], str] | None = None
    if_undone: Callable[[Any, FailureRecord], Event] | None = None
    relates: Callable[[Any], Sequence[tuple[str, str]]] | None = None
    shows: Callable[[Any], CaseDraft]
    owner: str = "operations"
    rank: int = 5

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise TypeError(f"{self.name}: two steps have the same name")

    @property
    def pivot(self) -> int:
        """The position of the point of no return; beyond the last step where there is none."""
        return next((i for i, step in enumerate(self.steps) if isinstance(step, PointOfNoReturn)), len(self.steps))

    @property
    def starters(self) -> tuple[type[Message], ...]:
        return (self.starts_on, *self.also_on)

    @property
    def waits_for(self) -> tuple[type[Event], ...]:
        return tuple(dict.fromkeys(step.event for step in self.steps if isinstance(step, Wait)))

    @property
    def asks(self) -> tuple[type[Command[Any]], ...]:
        """Every command that the table can ask, the undoing ones included where their function says what it returns."""
        undoing = (_returns(step.undo) for step in self.steps if isinstance(step, Ask) and step.undo)
        asked = [step.asks for step in self.steps if isinstance(step, Ask)]
        return tuple(dict.fromkeys([*asked, *(command for command in undoing if command is not None)]))


def missing_table(name: str, version: int, key: str) -> Process:
    """Stands in for a table that this release does not have, so that its instances can be parked with a reason."""
    draft = CaseDraft(kind=name, title=f"{name}/{key}")
    return Process(
        name=name,
        version=version,
        starts_on=Message,
        memory=msgspec.Struct,
        begin=lambda message: message,
        key=str,
        finish_within=dt.timedelta(0),
        steps=(),
        shows=lambda _: draft,
    )


def _returns(function: Callable[..., Any]) -> Any:
    return getattr(function, "__annotations__", {}).get("return")


def _asked(function: Callable[..., Any], *, many: bool) -> Any:
    found = _returns(function)
    command = found.__args__[0] if many and found is not None else found
    if not (isinstance(command, type) and issubclass(command, Command)):
        raise TypeError(f"{getattr(function, '__name__', function)} must say which command it returns")
    return command


def ask(
    name: str,
    command: Callable[[M], Command[R]],
    *,
    learn: Callable[[M, R], M] | None = None,
    undo: Callable[[M], Command[Any]] | None = None,
    retry: Retry = PATIENT,
    when: Callable[[M], bool] | None = None,
) -> Ask:
    """Ask one command; ``undo`` is computed right after ``learn``, from the memory as it is then, and kept in the journal."""

    def one(memory: M) -> Sequence[Command[R]]:
        return (command(memory),)

    return Ask(name=name, commands=one, many=False, learn=learn, undo=undo, retry=retry, when=when, asks=_asked(command, many=False))


def ask_each(
    name: str,
    commands: Callable[[M], Sequence[Command[R]]],
    *,
    learn: Callable[[M, R], M] | None = None,
    retry: Retry = PATIENT,
    when: Callable[[M], bool] | None = None,
) -> Ask:
    """Ask many of the same kind, one after the other; each has its own key and journal line (``name.1``, ``name.2``, …)."""
    return Ask(name=name, commands=commands, many=True, learn=learn, undo=None, retry=retry, when=when, asks=_asked(commands, many=True))


def tell(name: str, message: Callable[[M], Message], *, when: Callable[[M], bool] | None = None) -> Tell:
    """Tell an event to everyone, or send a command to the process that starts on it."""
    return Tell(name=name, message=message, when=when)


def wait(
    name: str,
    event: type[E],
    *,
    key: Callable[[M], str],
    event_key: Callable[[E], str],
    learn: Callable[[M, E], M],
    within: dt.timedelta,
    late: Callable[[M], M],
    case: Callable[[M], CaseDraft] | None = None,
    when: Callable[[M], bool] | None = None,
) -> Wait:
    """Wait for the event whose ``event_key`` equals ``key`` of the memory; after ``within`` go on with ``late``."""
    return Wait(name=name, event=event, key=key, event_key=event_key, learn=learn, within=within, late=late, case=case, when=when)


def decide(name: str, test: Callable[[M], bool], *, otherwise: Callable[[M], str], when: Callable[[M], bool] | None = None) -> Decide:
    """Go on where the test holds; else the process is undone for the reason that ``otherwise`` gives."""
    return Decide(name=name, test=test, otherwise=otherwise, when=when)


def point_of_no_return() -> PointOfNoReturn:
    """Draw the line."""
    return PointOfNoReturn()
