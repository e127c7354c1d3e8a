"""Work in the background that ends by a bug begins again."""

import asyncio

from gateway.supervising import PAUSE_S, Supervisor
from runtime import metrics
from runtime.clock import SystemClock


class Pauses(SystemClock):
    """A clock on which nobody waits; it keeps how long one would have."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


def restarts(name: str) -> float:
    """How often it began again."""
    return float(metrics.RESTARTS.labels(name)._value.get())


async def test_what_ends_begins_again() -> None:
    """A bug, a return, and a cancellation that nobody asked for each lead to a new beginning after a pause, and are counted (P14, I6)."""
    clock, began, holds = Pauses(), [0], asyncio.Event()

    async def work() -> None:
        began[0] += 1
        if began[0] == 1:
            raise ZeroDivisionError
        if began[0] == 2:
            return
        if began[0] == 3:
            raise asyncio.CancelledError
        holds.set()
        await asyncio.Event().wait()

    supervisor, before = Supervisor(clock), restarts("trial")
    supervisor.keep("trial", work)
    await holds.wait()
    await supervisor.stop()
    assert (began, clock.slept, restarts("trial") - before) == ([4], [PAUSE_S] * 3, 3)


async def test_what_is_stopped_stays_stopped() -> None:
    """At the stop the work is cancelled, and does not begin again."""
    began, cancelled, holds = [0], [0], asyncio.Event()

    async def work() -> None:
        began[0] += 1
        holds.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[0] += 1

    supervisor = Supervisor(Pauses())
    supervisor.keep("trial", work)
    await holds.wait()
    await supervisor.stop()
    assert (began, cancelled) == ([1], [1])
