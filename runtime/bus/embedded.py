"""The embedded bus: the queues live in the store, the waking up in memory. For one process; nothing else need be installed.

A message is a row until its handler has returned, so a process that is killed finds its work again when it starts. Where nothing happens
nothing is read, but for a look from the start every half minute.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TypeVar

from canonical.failures import Broken, OutcomeUnknown, Unavailable
from runtime.bus.backlog import Backlog
from runtime.bus.contract import ATTEMPTS_MAX, Address, Answerer, DeadLetter, Features, Handler, Queue
from runtime.bus.inquiries import Inquiries
from runtime.bus.wire import Envelope, encode
from runtime.bus.worker import Consumer, letter_in
from runtime.clock import Clock
from runtime.store.contract import QueuedMessage, Store

T = TypeVar("T")

PAUSE_S = 1.0
LOOK_AGAIN_S = 30.0
STOP_WITHIN_S = 5.0


class EmbeddedBus:
    """See the contract. A message that failed comes again after ``pause_s``; at the stop, handlers get ``stop_within_s`` to end."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        attempts_max: int = ATTEMPTS_MAX,
        pause_s: float = PAUSE_S,
        stop_within_s: float = STOP_WITHIN_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._attempts_max = attempts_max
        self._pause_s = pause_s
        self._stop_within_s = stop_within_s
        self._queues: dict[str, Queue] = {}
        self._backlogs: dict[str, Backlog] = {}
        self._inquiries: dict[str, Inquiries] = {}
        self._consumers: list[Consumer] = []
        self._looking: asyncio.Task[None] | None = None

    @property
    def features(self) -> Features:
        return Features(name="embedded", crosses_processes=False)

    # ---------------------------------------------------------------- start and stop

    async def start(self, queues: Iterable[Queue]) -> None:
        """Declare the queues; what lies in them from before is delivered as soon as somebody consumes."""
        for queue in queues:
            self._queues[queue.name] = queue
            if queue.asks:
                self._inquiries.setdefault(queue.name, Inquiries(queue.name, self._clock))
            else:
                self._backlogs.setdefault(queue.name, Backlog(self._store, self._clock, queue.name, pause_s=self._pause_s))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_again(), name="embedded bus")

    async def stop(self) -> None:
        """Finish what is in work within a few seconds; what is not finished stays a row and comes again."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        workers: list[Consumer | Inquiries] = [*self._consumers, *self._inquiries.values()]
        await asyncio.gather(*(worker.stop(self._stop_within_s) for worker in workers))
        for backlog in self._backlogs.values():
            backlog.stop()
        self._consumers.clear()
        self._queues.clear()
        self._backlogs.clear()
        self._inquiries.clear()

    async def _look_again(self) -> None:
        while True:
            await self._clock.sleep(LOOK_AGAIN_S)
            for backlog in self._backlogs.values():
                backlog.look_again()

    async def ready(self) -> bool:
        """The embedded bus takes what the store takes."""
        if self._looking is None:
            return False
        [outcome] = await asyncio.gather(self._store.seen("bus", "ready"), return_exceptions=True)
        return not isinstance(outcome, BaseException)

    # ---------------------------------------------------------------- messages

    async def publish(self, address: Address, letter: Envelope) -> None:
        """Returns when the message is committed in each queue that is to have it."""
        targets, data = self._targets(address, letter), encode(letter)
        # Together, so that they share a commit. Where one fails all are published again: their receivers have an inbox.
        enqueuing = (self._store.enqueue(backlog.queue, letter.id, data) for backlog in targets)
        outcomes = await asyncio.gather(*enqueuing, return_exceptions=True)
        for backlog in targets:
            backlog.wake()
        for outcome in outcomes:
            if isinstance(outcome, OutcomeUnknown):
                raise Unavailable(outcome.code, outcome.detail) from outcome
            if isinstance(outcome, BaseException):
                raise outcome

    def _targets(self, address: Address, letter: Envelope) -> list[Backlog]:
        if self._looking is None:  # an event would seem to have no subscribers
            raise Unavailable("bus_stopped", "the bus is not running")
        if address.is_event:
            return [self._backlogs[queue.name] for queue in self._queues.values() if letter.type in queue.events]
        return [_declared(self._backlogs, address.queue)]

    async def consume(self, queue: str, handler: Handler, *, prefetch: int = 16) -> None:
        """Begin to hand over the messages of a queue."""
        consumer = Consumer(
            self._store,
            self._clock,
            _declared(self._backlogs, queue),
            handler,
            prefetch=prefetch,
            attempts_max=self._attempts_max,
            pause_s=self._pause_s,
        )
        self._consumers.append(consumer)
        consumer.start()

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        """Ask whoever answers the queue, within the time budget."""
        return await _declared(self._inquiries, queue).ask(letter, within_s=within_s)

    async def answer(self, queue: str, answerer: Answerer, *, prefetch: int = 16) -> None:
        """Begin to answer a queue."""
        _declared(self._inquiries, queue).answer(answerer, prefetch=prefetch)

    # ---------------------------------------------------------------- dead letters

    async def dead_letters(self, queue: str, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        """The dead letters of a queue, oldest first."""
        return tuple(_dead(message, reason) for message, reason in await self._store.buried(queue, limit=limit))

    async def redrive(self, queue: str, *, limit: int = 100) -> int:
        """Send back what can be read."""
        sent = 0
        for message, reason in await self._store.buried(queue, limit=limit):
            if _dead(message, reason).letter is not None and await self._store.exhume(message.seq):
                sent += 1
        if sent and queue in self._backlogs:
            self._backlogs[queue].wake()
        return sent


def _declared(among: Mapping[str, T], queue: str) -> T:
    try:
        return among[queue]
    except KeyError:
        raise Unavailable("unroutable", f"nobody has declared the queue {queue}") from None


def _dead(message: QueuedMessage, reason: str) -> DeadLetter:
    try:
        letter, raw = letter_in(message), ""
    except Broken as unreadable:
        letter, raw = None, unreadable.raw
    return DeadLetter(
        id=letter.id if letter else str(message.seq),
        queue=message.queue,
        reason=reason,
        attempts=message.attempts,
        correlation_id=letter.correlation_id if letter else "",
        letter=letter,
        raw=raw,
    )
