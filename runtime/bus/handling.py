"""What becomes of a message: its handler is called, and by the way it ends the message is done, comes again, or is buried."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

import msgspec
import structlog

from canonical.failures import Broken, Unavailable
from runtime import metrics
from runtime.bus.contract import Handler
from runtime.bus.layout import dead_queue, pause_queue
from runtime.bus.parcel import Delivery, Parcel, Posting
from runtime.clock import Clock

log = structlog.get_logger("q2c.bus")

UNREADABLE = frozenset({"unreadable_message", "unknown_message_type"})  # the codes with which `Envelope.open` and `decode` give up

Send = Callable[[Posting], Awaitable[None]]


class Fate(Enum):
    """The three ways on."""

    DONE = "done"
    AGAIN = "again"  # after a pause
    BURIED = "buried"


class Verdict(msgspec.Struct, frozen=True):
    """The fate of a message, and the attempts that it then has behind it."""

    fate: Fate
    attempts: int


def judge(outcome: BaseException | None, *, attempts: int, attempts_max: int) -> Verdict:
    """The fate of a message that has ``attempts`` behind it and whose handler has now ended like this."""
    if outcome is None:
        return Verdict(Fate.DONE, attempts)
    if isinstance(outcome, Unavailable):
        return Verdict(Fate.AGAIN, attempts)
    hopeless = isinstance(outcome, Broken) and outcome.code in UNREADABLE
    return Verdict(Fate.BURIED if hopeless or attempts + 1 >= attempts_max else Fate.AGAIN, attempts + 1)


def reason_of(outcome: BaseException) -> str:
    """The failure in a line: its class and what it says."""
    return f"{type(outcome).__name__}: {outcome}"


class Handling:
    """Calls the handler of one queue. A message is acknowledged when its work is done, or when it lies safely somewhere else."""

    def __init__(self, queue: str, handler: Handler, *, send: Send, clock: Clock, attempts_max: int, pause_s: float) -> None:
        self._queue = queue
        self._handler = handler
        self._send = send
        self._clock = clock
        self._attempts_max = attempts_max
        self._pause_s = pause_s

    async def __call__(self, delivery: Delivery) -> None:
        """One message, to its end."""
        outcome = await self._outcome(delivery.parcel)
        try:
            if outcome is not None:
                await self._move(delivery.parcel, outcome)
        except Unavailable:  # it cannot be laid anywhere else now: it stays where it is, and comes again from there
            await self._clock.sleep(self._pause_s)
            await delivery.back()
        else:
            await delivery.done()

    async def _outcome(self, parcel: Parcel) -> BaseException | None:
        """How the handler ended, whatever it raised; None is well."""
        try:
            letter = parcel.letter()
        except Broken as unreadable:
            return unreadable
        [outcome] = await asyncio.gather(self._handler(letter), return_exceptions=True)
        return outcome

    async def _move(self, parcel: Parcel, outcome: BaseException) -> None:
        verdict, reason = judge(outcome, attempts=parcel.attempts, attempts_max=self._attempts_max), reason_of(outcome)
        said = {"queue": self._queue, "message": parcel.id, "correlation_id": parcel.correlation_id, "attempts": verdict.attempts}
        if verdict.fate is Fate.BURIED:
            log.error("bus_message_buried", **said, reason=reason)
            dead = parcel.buried(verdict.attempts, reason, self._clock.now())
            await self._send(Posting(parcel=dead, to=dead_queue(self._queue)))
            metrics.MESSAGES.labels(self._queue, "buried").inc()
        else:
            log.warning("bus_message_failed", **said, reason=reason)
            await self._send(Posting(parcel=parcel.after(verdict.attempts), to=pause_queue(self._queue), expires_s=self._pause_s))
