"""What lies in one queue of the store: each message is given out once, oldest first, to whichever consumer asks next."""

import asyncio
from collections import deque

import structlog

from runtime.clock import Clock
from runtime.store.contract import QueuedMessage, Store

log = structlog.get_logger("q2c.bus")

BATCH = 100
PAUSING_MAX = 500


class Backlog:
    """One queue. It reads the store only after news, or when it is told to look again.

    A message that failed pauses here and is then given out again. While it pauses it stands in nobody's way; only when very many pause
    at a time is nothing new read.
    """

    def __init__(self, store: Store, clock: Clock, queue: str, *, pause_s: float) -> None:
        self.queue = queue
        self._store = store
        self._clock = clock
        self._pause_s = pause_s
        self._read_to = 0
        self._ready: deque[QueuedMessage] = deque()
        self._pausing: dict[int, asyncio.Task[None]] = {}
        # Ready, given out or pausing.
        self._known: set[int] = set()
        # Finished while the store was being read: the reading may still show them.
        self._finished: set[int] = set()
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()

    def wake(self) -> None:
        """There is something new."""
        self._news.set()

    def look_again(self) -> None:
        """Read from the start: there may be something that nobody told us of."""
        self._read_to = 0
        self._news.set()

    async def next(self) -> QueuedMessage:
        """The oldest message that nobody has; waits for one."""
        async with self._turn:
            while not self._ready:
                await self._fill()
            return self._ready.popleft()

    def finished(self, message: QueuedMessage) -> None:
        """Its row is gone, or is left to be found again by a look from the start."""
        self._known.discard(message.seq)
        self._finished.add(message.seq)

    def later(self, message: QueuedMessage) -> None:
        """Give it out again after a pause."""
        self._pausing[message.seq] = asyncio.create_task(self._pause(message))

    def stop(self) -> None:
        """Give nothing out any more; what pauses stays a row."""
        for pausing in self._pausing.values():
            pausing.cancel()

    async def _pause(self, message: QueuedMessage) -> None:
        await self._clock.sleep(self._pause_s)
        del self._pausing[message.seq]
        self._ready.append(message)
        self._news.set()

    async def _fill(self) -> None:
        """Read what is new, or wait until there may be something."""
        self._news.clear()
        if len(self._pausing) >= PAUSING_MAX:
            await self._news.wait()
            return
        self._finished.clear()
        reading = self._store.queued(self.queue, after_seq=self._read_to, limit=BATCH)
        # Gathered, so that whatever goes wrong is a value here: a consumer must not end because the store failed once.
        [rows] = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(rows, BaseException):
            log.warning("queue_not_read", queue=self.queue, error=f"{type(rows).__name__}: {rows}")
            await self._clock.sleep(self._pause_s)
        elif rows:
            self._read_to = rows[-1].seq
            fresh = [row for row in rows if row.seq not in self._known and row.seq not in self._finished]
            self._known.update(row.seq for row in fresh)
            self._ready.extend(fresh)
        elif not self._ready:
            await self._news.wait()
