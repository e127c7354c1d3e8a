"""The embedded bus: the queues live in the store, the waking up in memory. For one process; nothing else need be installed.

A message is a row until its handler has returned, so a process that is killed finds its work again when it starts.
"""

import asyncio
from collections.abc import Iterable

from canonical.failures import Unavailable
from runtime.bus.contract import ATTEMPTS_MAX, Address, Answerer, DeadLetter, Features, Handler, Queue
from runtime.bus.wire import Envelope, encode
from runtime.bus.worker import Consumer, letter_in, unreadable
from runtime.clock import Clock
from runtime.store.contract import QueuedMessage, Store

PAUSE_S = 1.0


class EmbeddedBus:
    """Keeps the promises of `runtime.bus.contract` with a store."""

    def __init__(self, store: Store, clock: Clock, *, attempts_max: int = ATTEMPTS_MAX, pause_s: float = PAUSE_S) -> None:
        self._store = store
        self._clock = clock
        self._attempts_max = attempts_max
        self._pause_s = pause_s
        self._queues: dict[str, Queue] = {}
        self._consumers: dict[str, Consumer] = {}
        self._answerers: dict[str, tuple[Answerer, asyncio.Semaphore]] = {}

    @property
    def features(self) -> Features:
        return Features(name="embedded", crosses_processes=False)

    async def start(self, queues: Iterable[Queue]) -> None:
        """Declare the queues; what lies in them from before is delivered as soon as somebody consumes."""
        self._queues |= {queue.name: queue for queue in queues}

    async def stop(self) -> None:
        """Finish what is in work within a few seconds; what is not finished stays a row and comes again."""
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers.values()))
        self._consumers.clear()
        self._answerers.clear()

    async def publish(self, address: Address, letter: Envelope) -> None:
        """Returns when the message is committed in each queue that is to have it."""
        for name in self._targets(address, letter):
            await self._store.enqueue(name, letter.id, encode(letter))
            if name in self._consumers:
                self._consumers[name].wake()

    def _targets(self, address: Address, letter: Envelope) -> list[str]:
        if address.is_event:
            return [queue.name for queue in self._queues.values() if letter.type in queue.events]
        if address.queue not in self._queues:
            raise Unavailable("unroutable", f"nobody has declared the queue {address.queue}")
        return [address.queue]

    async def consume(self, queue: str, handler: Handler, *, prefetch: int = 16) -> None:
        """Begin to hand over the messages of a queue."""
        if queue not in self._queues:
            raise Unavailable("unroutable", f"nobody has declared the queue {queue}")
        consumer = Consumer(self._store, self._clock, queue, handler, prefetch, self._attempts_max, self._pause_s)
        self._consumers[queue] = consumer
        consumer.start()

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        """Call whoever answers the queue, within the time budget."""
        answering = self._answerers.get(queue)
        if answering is None:
            raise Unavailable("unroutable", f"nobody answers {queue}")
        answerer, slots = answering
        try:
            async with asyncio.timeout(within_s), slots:
                return await answerer(letter)
        except TimeoutError:
            raise Unavailable("no_answer", f"{queue} did not answer within {within_s:g} s") from None

    async def answer(self, queue: str, answerer: Answerer, *, prefetch: int = 16) -> None:
        """Begin to answer a queue."""
        self._answerers[queue] = (answerer, asyncio.Semaphore(prefetch))

    async def ready(self) -> bool:
        """The embedded bus takes what the store takes; the store is asked by itself."""
        return True

    async def dead_letters(self, queue: str, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        """The dead letters of a queue, oldest first."""
        return tuple(_dead(message, reason) for message, reason in await self._store.buried(queue, limit=limit))

    async def redrive(self, queue: str, *, limit: int = 100) -> int:
        """Send back what can be read."""
        sent = 0
        for message, reason in await self._store.buried(queue, limit=limit):
            if _dead(message, reason).letter is not None and await self._store.exhume(message.seq):
                sent += 1
        if sent and queue in self._consumers:
            self._consumers[queue].wake(from_start=True)
        return sent


def _dead(message: QueuedMessage, reason: str) -> DeadLetter:
    letter = None if unreadable(message) else letter_in(message)
    return DeadLetter(
        id=letter.id if letter else str(message.seq),
        queue=message.queue,
        reason=reason,
        attempts=message.attempts,
        correlation_id=letter.correlation_id if letter else "",
        letter=letter,
        raw="" if letter else message.data[:4000].decode("utf-8", "replace"),
    )
