"""A clock that begins on a fixed day, goes on as time does, and can be moved forward."""

import asyncio
import datetime as dt
import time

START = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)


class MovedClock:
    """Records are dated from `START` on; waiting takes as long as it does anywhere."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._moved = dt.timedelta()

    def now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=time.monotonic() - self._began_s) + self._moved

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def move(self, span: dt.timedelta) -> None:
        """Let time pass."""
        self._moved += span

    def move_to(self, moment: dt.datetime) -> None:
        """Let time pass until then; a moment that is over stays over."""
        self._moved += max(moment - self.now(), dt.timedelta())
