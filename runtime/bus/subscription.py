"""The messages that one consumer has in work: never more than its prefetch, each to its end, and none forgotten at the stop."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from runtime.bus.parcel import Delivery

log = structlog.get_logger("q2c.bus")

BREAK_OFF_WITHIN_S = 1.0


class Subscription:
    """One consumer of a queue.

    The work runs in tasks of our own and not in those of the broker's library, which cancels them when the connection is lost. After a
    reconnection the broker sends unfinished messages anew: the room keeps them waiting until the first have ended.
    """

    def __init__(self, queue: str, work: Callable[[Delivery], Awaitable[None]], *, prefetch: int) -> None:
        self.queue = queue
        self.prefetch = prefetch
        self._work = work
        self._room = asyncio.Semaphore(prefetch)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    def take(self, delivery: Delivery) -> None:
        """Begin to work on a message."""
        task = asyncio.create_task(self._run(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("bus_work_failed", queue=self.queue, error=repr(task.exception()))

    async def _run(self, delivery: Delivery) -> None:
        async with self._room:
            if not self._ending:
                await self._work(delivery)

    async def finish(self, within_s: float) -> int:
        """Let what is in work end, begin nothing new, and break off the rest; returns how many messages were broken off."""
        self._ending = True
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(self._tasks, timeout=within_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=BREAK_OFF_WITHIN_S)
        return len(late)
