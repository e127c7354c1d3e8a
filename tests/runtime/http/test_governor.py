"""The budget of a vendor account: places in flight, and calls of a minute."""

import asyncio
from collections.abc import Callable

import pytest

from canonical.failures import Failure, Throttled, Unavailable
from runtime.clock import SetClock
from runtime.http.circuit import OPENS_AFTER, REST_S, Circuit
from runtime.http.governor import KEPT_FOR_WRITES, MINUTE_S, Governor

AWAY = Unavailable("unreachable", "no connection could be made")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def circuit(clock: SetClock) -> Circuit:
    return Circuit("erp", 2, clock, jitter=lambda: 0.0)


@pytest.fixture
def make(clock: SetClock, circuit: Circuit) -> Callable[..., Governor]:
    def made(in_flight: int = 2, per_minute: int = 1000, wait_s: float = 60.0) -> Governor:
        return Governor(in_flight, per_minute, clock, circuit, wait_s=wait_s, jitter=lambda: 0.0)

    return made


class Calls:
    """Calls that last until they are let go, in the order in which the vendor saw them."""

    def __init__(self, governor: Governor) -> None:
        self.seen: list[str] = []
        self._governor = governor
        self._gates: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[str]] = {}

    async def begin(self, name: str, *, write: bool = True) -> None:
        self._gates[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._call(name, write))
        await settle()

    async def _call(self, name: str, write: bool) -> str:
        try:
            async with self._governor.call(write=write):
                self.seen.append(name)
                await self._gates[name].wait()
        except Failure as failure:
            return failure.code
        return "done"

    async def end(self, *names: str) -> list[str]:
        for name in names:
            self._gates[name].set()
        await settle()
        return [await self._tasks.pop(name) for name in names]

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._tasks.pop(name)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_writes_go_before_reads(make: Callable[..., Governor]) -> None:
    """A write that comes last takes the next place, before the reads that wait already (V4)."""
    calls = Calls(make())
    for name, write in (("a", True), ("b", True), ("poll", False), ("backfill", False), ("book", True)):
        await calls.begin(name, write=write)
    assert calls.seen == ["a", "b"]
    assert await calls.end("a") == ["done"]
    assert calls.seen == ["a", "b", "book"]
    assert await calls.end("b", "book", "poll", "backfill") == ["done"] * 4
    assert calls.seen == ["a", "b", "book", "poll", "backfill"]


async def test_nobody_waits_long_for_a_place(make: Callable[..., Governor]) -> None:
    """When a slow vendor holds all places a further call is told to come back, and frees the worker that it held (V4)."""
    calls = Calls(make(wait_s=0.0))
    for name in ("a", "b", "late"):
        await calls.begin(name)
    assert (calls.seen, await calls.end("late")) == (["a", "b"], ["budget_spent"])
    await calls.end("a")
    await calls.begin("next")
    assert calls.seen == ["a", "b", "next"]
    await calls.end("b", "next")


async def test_a_cancelled_call_takes_no_place_with_it(make: Callable[..., Governor]) -> None:
    """Whether it waits, runs or has just been let in: whoever is broken off leaves his place to the next."""
    calls = Calls(make())
    for name in ("a", "b", "waits", "next", "last"):
        await calls.begin(name)
    await calls.cancel("waits")
    await calls.cancel("a")
    await settle()
    assert calls.seen == ["a", "b", "next"]
    calls._gates["b"].set()
    while not calls._tasks["b"].done():  # noqa: ASYNC110 - the very turn in which the place is given on
        await asyncio.sleep(0)
    await calls.cancel("last")
    await calls.end("next")
    for name in ("one", "two"):
        await calls.begin(name)
    assert calls.seen[-2:] == ["one", "two"]
    await calls.end("one", "two")


async def test_reads_leave_some_of_the_minute_to_writes(make: Callable[..., Governor], clock: SetClock) -> None:
    """Reads use nine tenths of the minute, writes all of it, and a minute later everything begins anew (V1, V4)."""
    calls = Calls(make(per_minute=20))

    async def once(*, write: bool) -> str:
        await calls.begin("x", write=write)
        return (await calls.end("x"))[0]

    reads = [await once(write=False) for _ in range(20)]
    kept = 20 // KEPT_FOR_WRITES
    assert reads == ["done"] * (20 - kept) + ["budget_spent"] * kept
    assert [await once(write=True) for _ in range(kept + 1)] == ["done"] * kept + ["budget_spent"]
    clock.move(MINUTE_S)
    assert await once(write=False) == "done"


async def test_a_share_that_changes_holds_at_once(make: Callable[..., Governor]) -> None:
    """With a smaller share nothing begins until enough has ended; with a larger one those who wait are let in (V4)."""
    governor = make(in_flight=4)
    calls = Calls(governor)
    for name in ("a", "b", "c"):
        await calls.begin(name)
    governor.share(1, 1000)
    await calls.begin("d")
    await calls.end("a", "b")
    assert calls.seen == ["a", "b", "c"]
    await calls.end("c")
    assert calls.seen == ["a", "b", "c", "d"]
    await calls.begin("e")
    governor.share(2, 1000)
    await settle()
    assert calls.seen == ["a", "b", "c", "d", "e"]
    await calls.end("d", "e")


async def test_without_a_share_nothing_is_sent(make: Callable[..., Governor]) -> None:
    """A worker that has no share tells its callers to come back (V4)."""
    governor = make(wait_s=0.0)
    governor.share(0, 0)
    with pytest.raises(Throttled, match="budget_spent"):
        async with governor.call(write=True):
            pytest.fail("it was sent")


async def test_an_open_circuit_is_not_waited_for(make: Callable[..., Governor], circuit: Circuit, clock: SetClock) -> None:
    """Who waits for a place when the circuit opens is refused as soon as there is one, and the place goes to the probe (V20)."""
    calls = Calls(make())
    for name in ("a", "b", "waits"):
        await calls.begin(name)
    for _ in range(OPENS_AFTER):
        with pytest.raises(Unavailable), circuit:
            raise AWAY
    await calls.begin("late")
    assert await calls.end("late") == ["circuit_open"]
    calls._tasks["a"].cancel()
    await settle()
    assert (calls.seen, await calls.end("waits")) == (["a", "b"], ["circuit_open"])
    await calls.cancel("b")
    clock.move(REST_S)
    await calls.begin("probe")
    assert (calls.seen[-1], await calls.end("probe"), circuit.state) == ("probe", ["done"], "recovering")
