"""A connection that is kept up: opened, watched, and opened anew, with all that belongs to it, when anything about it breaks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from canonical.failures import Unavailable
from runtime.clock import Clock

log = structlog.get_logger("q2c.bus")

Opened = TypeVar("Opened")
Broken = Callable[[], None]


class Line(Generic[Opened]):
    """One way of recovery for every kind of trouble: close, pause, open again.

    ``opening`` gets a function to call when the thing breaks, and returns it ready for use. It and ``closing`` clean up after themselves.
    """

    def __init__(
        self,
        name: str,
        *,
        opening: Callable[[Broken], Awaitable[Opened]],
        closing: Callable[[Opened], Awaitable[None]],
        clock: Clock,
        pause_s: float,
    ) -> None:
        self._name = name
        self._opening = opening
        self._closing = closing
        self._clock = clock
        self._pause_s = pause_s
        self._opened: Opened | None = None
        self._up = asyncio.Event()
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def opened(self) -> Opened:
        """What stands open now. Raises `Unavailable` when nothing does."""
        if self._opened is None:
            raise Unavailable("bus_away", f"no connection to the broker for {self._name}")
        return self._opened

    async def up(self) -> Opened:
        """What stands open, as soon as something does."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        while self._opened is None:
            await self._up.wait()
        return self._opened

    def renew(self) -> None:
        """Close and open again: something about it is not as it should be."""
        self._broken.set()

    async def stop(self) -> None:
        """Close, for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        await self._close()

    async def _keep(self) -> None:
        while True:
            self._broken = asyncio.Event()
            # As values, because the library also reports a lost connection by a CancelledError, and that must not end this loop.
            [opened] = await asyncio.gather(self._opening(self._broken.set), return_exceptions=True)
            if isinstance(opened, BaseException):
                log.warning("bus_connection_failed", line=self._name, error=repr(opened))
            else:
                self._opened = opened
                self._up.set()
                log.info("bus_connected", line=self._name)
                await self._broken.wait()
                log.warning("bus_connection_lost", line=self._name)
            await self._close()
            await self._clock.sleep(self._pause_s)

    async def _close(self) -> None:
        opened, self._opened = self._opened, None
        self._up.clear()
        if opened is not None:
            await asyncio.gather(self._closing(opened), return_exceptions=True)
