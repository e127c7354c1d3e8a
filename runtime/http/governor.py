"""The budget of one vendor account: how many calls at once, how many a minute. A call that finds no budget is told when to come back."""

import asyncio
from collections import deque

from canonical.failures import Throttled
from runtime.clock import Clock

MINUTE_S = 60.0


class Governor:
    """Holds the limits within this process; each worker is given its share by settings."""

    def __init__(self, in_flight_max: int, per_minute_max: int, clock: Clock) -> None:
        self._slots = asyncio.Semaphore(in_flight_max)
        self._per_minute_max = per_minute_max
        self._clock = clock
        self._begun: deque[float] = deque()

    def call(self) -> "Governor":
        """Take a place for one call: ``async with governor.call()``. Raises `Throttled` when the minute's budget is spent."""
        return self

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        now = self._clock.monotonic_s()
        while self._begun and now - self._begun[0] >= MINUTE_S:
            self._begun.popleft()
        if len(self._begun) >= self._per_minute_max:
            self._slots.release()
            raise Throttled("budget_spent", "this minute's calls are used up", retry_after_s=MINUTE_S - (now - self._begun[0]))
        self._begun.append(now)

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()
