"""Time as a value that is handed in, so that tests set the clock instead of sleeping."""

import asyncio
import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for waiting."""

    def now(self) -> dt.datetime:
        """The present moment, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a set clock waits for whoever sets it."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SetClock:
    """A clock that stands still until it is moved; sleepers wake when their time has come."""

    def __init__(self, start: dt.datetime = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)) -> None:
        self._now = start
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> dt.datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        self._sleepers.append((self._elapsed_s + seconds, woken))
        await woken.wait()

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed_s += seconds
        self._now += dt.timedelta(seconds=seconds)
        due = [s for s in self._sleepers if s[0] <= self._elapsed_s]
        self._sleepers = [s for s in self._sleepers if s[0] > self._elapsed_s]
        for _, woken in due:
            woken.set()
