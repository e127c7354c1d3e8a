"""Work in the background that goes on for as long as the process lives: what ends by a bug begins again, and is counted."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from runtime import metrics
from runtime.clock import Clock

log = structlog.get_logger("q2c.gateway")

PAUSE_S = 5.0  # a bug that strikes at once must not fill log and processor


class Supervisor:
    """Keeps work going, and ends it together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin it, and begin it anew whenever it ends; the name stands in the log and in ``q2c_background_restarts_total``."""
        self._tasks.add(asyncio.create_task(self._kept(name, work), name=name))

    async def _kept(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            # As a value, because a library may end it by a CancelledError that nobody asked for.
            [outcome] = await asyncio.gather(work(), return_exceptions=True)
            metrics.RESTARTS.labels(name).inc()
            log.critical("background_work_ended", work=name, error=repr(outcome), again_in_s=PAUSE_S)
            await self._clock.sleep(PAUSE_S)

    async def stop(self) -> None:
        """End all of it."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
