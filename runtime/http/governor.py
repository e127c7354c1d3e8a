"""The budget of one vendor account: how many calls at once, how many a minute. A call that finds no budget is told when to come back.

A worker holds the share of the account that it was given (`runtime/http/shares.py`); alone it has all of it. Writes go before reads: a
poll or a backfill waits behind every write, and leaves a tenth of the minute to them. A call waits a few seconds for its place and no
longer, so that a slow vendor does not fill a worker with those who wait for it. What is refused here was certainly not sent.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Self

from canonical.failures import Throttled
from runtime.clock import Clock
from runtime.http.circuit import Circuit

MINUTE_S = 60.0
WAIT_S = 3.0
KEPT_FOR_WRITES = 10  # one in so many of the minute's calls
SPENT = "budget_spent"


class Governor:
    """Holds the limits within this process. ``wait_s``: how long a call waits for a place among those in flight."""

    def __init__(
        self,
        in_flight_max: int,
        per_minute_max: int,
        clock: Clock,
        circuit: Circuit,
        *,
        wait_s: float = WAIT_S,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.limits = (in_flight_max, per_minute_max)
        self._slots, self._per_minute = in_flight_max, per_minute_max
        self._clock = clock
        self._circuit = circuit
        self._wait_s = wait_s
        self._jitter = jitter
        self._in_flight = 0
        self._writes: deque[asyncio.Future[None]] = deque()
        self._reads: deque[asyncio.Future[None]] = deque()
        self._begun: deque[float] = deque()

    def share(self, in_flight: int, per_minute: int) -> None:
        """From now on so many calls at once and a minute; with none at all every call waits for better times."""
        self._slots, self._per_minute = in_flight, per_minute
        self._let_in()

    def call(self, *, write: bool) -> "_Place":
        """A place for one call, and its way through the circuit: ``async with governor.call(write=True)``.

        Raises `Throttled` where no budget is left, `Unavailable` where the circuit is open; both cost a step no attempt.
        """
        return _Place(self, write)

    async def enter(self, *, write: bool) -> None:
        """Begin a call; `call` does this."""
        self._circuit.check()  # whoever is refused anyway does not wait for a place, and does not use up the minute
        if self._in_flight < self._slots and not self._writes and not self._reads:
            self._in_flight += 1
        else:
            await self._wait(self._writes if write else self._reads)
        begun = False
        try:
            self._circuit.check()
            self._count(write=write)
            self._circuit.__enter__()
            begun = True
        finally:
            if not begun:
                self._leave()

    def exit(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End a call, however it went."""
        self._circuit.__exit__(kind, error, trace)
        self._leave()

    def _leave(self) -> None:
        self._in_flight -= 1
        self._let_in()

    async def _wait(self, line: deque[asyncio.Future[None]]) -> None:
        mine = asyncio.get_running_loop().create_future()
        line.append(mine)
        try:
            async with asyncio.timeout(self._wait_s):
                await mine
        except TimeoutError:
            self._gone(line, mine)
            wait_s = self._wait_s * (1 + self._jitter())
            raise Throttled(SPENT, "as many calls as the account takes are under way", retry_after_s=wait_s) from None
        except asyncio.CancelledError:
            self._gone(line, mine)
            raise

    def _gone(self, line: deque[asyncio.Future[None]], mine: asyncio.Future[None]) -> None:
        """Somebody waits no longer; a place that he was given in the same moment goes to the next."""
        if mine in line:
            line.remove(mine)
        else:
            self._leave()

    def _let_in(self) -> None:
        while self._in_flight < self._slots and (line := self._writes or self._reads):
            self._in_flight += 1
            mine = line.popleft()
            if mine.done():  # cancelled, and about to leave by itself
                continue
            mine.set_result(None)

    def _count(self, *, write: bool) -> None:
        """One more call of this minute."""
        now = self._clock.monotonic_s()
        while self._begun and now - self._begun[0] >= MINUTE_S:
            self._begun.popleft()
        per_minute = self._per_minute if write else self._per_minute - self._per_minute // KEPT_FOR_WRITES
        if len(self._begun) >= per_minute:
            rest_s = MINUTE_S - (now - self._begun[0]) if self._begun else MINUTE_S
            raise Throttled(SPENT, "this minute's calls are used up", retry_after_s=rest_s)
        self._begun.append(now)


class _Place:
    """One call's place."""

    __slots__ = ("_governor", "_write")

    def __init__(self, governor: Governor, write: bool) -> None:
        self._governor = governor
        self._write = write

    async def __aenter__(self) -> Self:
        await self._governor.enter(write=self._write)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._governor.exit(kind, error, trace)
