"""A worker on one queue of the embedded bus: takes messages, calls the handler, and lets nothing that fails take the queue with it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from canonical.failures import Broken, OutcomeUnknown, Unavailable
from runtime import metrics
from runtime.bus.backlog import Backlog
from runtime.bus.contract import Handler
from runtime.bus.handling import Fate, judge, reason_of
from runtime.bus.wire import Envelope, decode
from runtime.clock import Clock
from runtime.store.contract import QueuedMessage, Store

log = structlog.get_logger("q2c.bus")

R = TypeVar("R")

BREAK_OFF_WITHIN_S = 1.0


class Consumer:
    """Hands the messages of one queue to one handler. What is not finished stays a row of the store, and is there at the next start."""

    def __init__(
        self, store: Store, clock: Clock, backlog: Backlog, handler: Handler, *, prefetch: int, attempts_max: int, pause_s: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._backlog = backlog
        self._handler = handler
        self._attempts_max = attempts_max
        self._pause_s = pause_s
        self._slots = asyncio.Semaphore(prefetch)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name=f"consume {self._backlog.queue}")

    async def stop(self, within_s: float) -> None:
        """Take nothing new, let the handlers in work end, break off the rest: their rows stay."""
        if self._loop is not None:
            self._loop.cancel()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=within_s)
        for task in late:
            task.cancel()
        if late:
            log.warning("bus_handed_back", queue=self._backlog.queue, messages=len(late))
            await asyncio.wait(late, timeout=BREAK_OFF_WITHIN_S)

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            message = await self._backlog.next()
            task = asyncio.create_task(self._work(message))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("bus_work_failed", queue=self._backlog.queue, error=repr(task.exception()))

    async def _work(self, message: QueuedMessage) -> None:
        """One attempt at one message."""
        again = False
        try:
            outcome = await self._outcome(message)
            if outcome is None:
                await self._insist(lambda: self._store.dequeue(message.seq))
            else:
                again = await self._failed(message, outcome)
        finally:
            if again:
                self._backlog.later(message)
            else:
                self._backlog.finished(message)

    async def _outcome(self, message: QueuedMessage) -> BaseException | None:
        """How the handler ended, whatever it raised; None is well."""
        try:
            letter = letter_in(message)
        except Broken as unreadable:
            return unreadable
        [outcome] = await asyncio.gather(self._handler(letter), return_exceptions=True)
        return outcome

    async def _failed(self, message: QueuedMessage, outcome: BaseException) -> bool:
        """Count the attempt if it counts, and bury the message if that was the last; whether it comes again."""
        verdict, reason = judge(outcome, attempts=0, attempts_max=self._attempts_max), reason_of(outcome)
        said = {"queue": self._backlog.queue, "seq": message.seq, "reason": reason}
        if not verdict.attempts:
            log.warning("bus_message_not_taken", **said)
            return True
        attempts = await self._insist(lambda: self._store.count_attempt(message.seq))
        if not attempts:  # somebody has taken the row away
            return False
        if verdict.fate is not Fate.BURIED and attempts < self._attempts_max:
            log.warning("bus_message_failed", attempts=attempts, **said)
            return True
        log.error("bus_message_buried", attempts=attempts, **said)
        await self._insist(lambda: self._store.bury(message.seq, reason))
        metrics.MESSAGES.labels(self._backlog.queue, "buried").inc()
        return False

    async def _insist(self, note: Callable[[], Awaitable[R]]) -> R:
        """Write down what became of a message, as often as it takes: the handler has done its work and must not do it again for that."""
        while True:
            try:
                return await note()
            except (Unavailable, OutcomeUnknown) as failure:
                log.warning("bus_not_noted", queue=self._backlog.queue, error=str(failure))
                await self._clock.sleep(self._pause_s)


def letter_in(message: QueuedMessage) -> Envelope:
    """The letter in a row. Raises `Broken` where it is none."""
    letter: Envelope = decode(message.data)
    return letter
