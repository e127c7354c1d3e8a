"""A worker on one queue of the embedded bus: takes rows, calls the handler, and lets nothing that fails take the queue with it."""

import asyncio
from functools import partial

import structlog

from canonical.failures import Broken, Unavailable
from runtime.bus.contract import Handler
from runtime.bus.wire import Envelope, decode
from runtime.clock import Clock
from runtime.store.contract import QueuedMessage, Store

log = structlog.get_logger("q2c.bus")

BATCH = 100
LOOK_AGAIN_S = 5.0
FINISH_WITHIN_S = 5.0


def letter_in(message: QueuedMessage) -> Envelope:
    """The letter in a row. Raises `Broken` where it is none."""
    letter: Envelope = decode(message.data)
    return letter


def unreadable(message: QueuedMessage) -> bool:
    """Whether the row holds no letter at all."""
    try:
        letter_in(message)
    except Broken:
        return True
    return False


class Consumer:
    """Hands the messages of one queue to one handler."""

    def __init__(self, store: Store, clock: Clock, queue: str, handler: Handler, prefetch: int, attempts_max: int, pause_s: float) -> None:
        self._store = store
        self._clock = clock
        self._queue = queue
        self._handler = handler
        self._slots = asyncio.Semaphore(prefetch)
        self._attempts_max = attempts_max
        self._pause_s = pause_s
        self._news = asyncio.Event()
        self._read_to = 0
        self._in_work: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name=f"consume {self._queue}")

    def wake(self, *, from_start: bool = False) -> None:
        if from_start:
            self._read_to = 0
        self._news.set()

    async def stop(self) -> None:
        """Take nothing new, give the handlers a moment, then end them: their rows stay."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        tasks = list(self._in_work.values())
        if tasks:
            await asyncio.wait(tasks, timeout=FINISH_WITHIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                read = await self._read()
            except Unavailable as failure:
                log.warning("queue_not_read", queue=self._queue, why=str(failure))
                await self._clock.sleep(self._pause_s)
                continue
            if not read:
                await self._rest()

    async def _rest(self) -> None:
        """Wait for news; now and then look from the start, in case a row was missed."""
        try:
            await asyncio.wait_for(self._news.wait(), LOOK_AGAIN_S)
        except TimeoutError:
            self._read_to = 0

    async def _read(self) -> int:
        messages = await self._store.queued(self._queue, after_seq=self._read_to, limit=BATCH)
        for message in messages:
            self._read_to = max(self._read_to, message.seq)
            if message.seq in self._in_work:
                continue
            await self._slots.acquire()
            task = asyncio.create_task(self._work(message))
            self._in_work[message.seq] = task
            task.add_done_callback(partial(self._ended, message.seq))
        return len(messages)

    def _ended(self, seq: int, _task: "asyncio.Task[None]") -> None:
        self._in_work.pop(seq, None)
        self._slots.release()

    async def _work(self, message: QueuedMessage) -> None:
        """One message, until it is done, buried, or the process ends."""
        while True:
            try:
                await self._handler(letter_in(message))
                await self._store.dequeue(message.seq)
            except Unavailable as failure:
                log.warning("handed_back", queue=self._queue, why=str(failure))
            except Exception as error:  # the handler may fail in any way: count, and bury it in the end, with its reason
                if await self._counted(message, error):
                    return
            else:
                return
            await self._clock.sleep(self._pause_s)

    async def _counted(self, message: QueuedMessage, error: Exception) -> bool:
        """Whether that was the last attempt."""
        try:
            attempts = self._attempts_max if unreadable(message) else await self._store.count_attempt(message.seq)
            if attempts < self._attempts_max:
                return False
            log.error("buried", queue=self._queue, attempts=attempts, why=repr(error))
            await self._store.bury(message.seq, f"{type(error).__name__}: {error}")
        except Unavailable as failure:
            log.warning("store_away", queue=self._queue, why=str(failure))
            return False
        return True
