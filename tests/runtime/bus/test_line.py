"""A connection that is kept up, without a broker."""

import asyncio
import datetime as dt
from collections.abc import Callable

import pytest

from canonical.failures import Unavailable
from runtime.bus.line import Line
from runtime.clock import SetClock

NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)


class Network:
    """Opens numbered connections, or fails as told, and remembers what was closed."""

    def __init__(self, *failures: BaseException) -> None:
        self.clock = SetClock(NOW)
        self.failures = list(failures)
        self.tries = 0
        self.closed: list[int] = []
        self.breaking: Callable[[], None] = lambda: None
        self.line: Line[int] = Line("test", opening=self.open, closing=self.close, clock=self.clock, pause_s=1.0)

    async def open(self, broken: Callable[[], None]) -> int:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.breaking = broken
        return self.tries

    async def close(self, opened: int) -> None:
        self.closed.append(opened)
        raise ConnectionError("it was gone already")


async def turns() -> None:
    """Lets every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_tries_until_it_is_open() -> None:
    """However an opening fails, also by a cancellation that nobody asked for, the next one comes after a pause."""
    network = Network(ConnectionError("refused"), asyncio.CancelledError(), AttributeError("writer is None"))
    waiting = asyncio.create_task(network.line.up())
    for tries in (1, 2, 3):
        await turns()
        assert (network.tries, waiting.done()) == (tries, False)
        with pytest.raises(Unavailable):
            _ = network.line.opened
        network.clock.move(1.0)
    assert await waiting == 4
    await network.line.stop()


async def test_what_breaks_is_closed_and_opened_anew() -> None:
    """A connection that breaks is closed, and after a pause another one stands open; in between there is none."""
    network = Network()
    assert await network.line.up() == 1
    network.breaking()
    await turns()
    assert network.closed == [1]
    with pytest.raises(Unavailable) as away:
        _ = network.line.opened
    assert away.value.code == "bus_away"
    network.clock.move(1.0)
    assert await network.line.up() == 2
    await network.line.stop()
    assert network.closed == [1, 2]


async def test_a_late_report_breaks_nothing() -> None:
    """What an old connection reports after it was replaced does not touch the new one."""
    network = Network()
    await network.line.up()
    old = network.breaking
    old()
    await turns()
    network.clock.move(1.0)
    assert await network.line.up() == 2
    old()
    await turns()
    assert (network.line.opened, network.closed) == (2, [1])
    await network.line.stop()
