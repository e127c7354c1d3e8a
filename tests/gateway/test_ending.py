"""A process of the gateway ends when it is asked to, and in any case at its deadline."""

import asyncio
import os
import signal
import threading

import pytest

from gateway.ending import SIGNALS, TOO_LATE, Ending


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_first_signal_asks(number: signal.Signals) -> None:
    """The first signal ends nobody: it asks, and leaves the second one to the system, which ends the process whatever it is at (P10)."""
    ended: list[int] = []
    with Ending(600, ends=ended.append) as ending:
        assert not ending.asked.is_set()
        os.kill(os.getpid(), number)
        await ending.asked.wait()
        assert [signal.getsignal(one) for one in SIGNALS] == [signal.SIG_DFL, signal.SIG_DFL]
    assert ended == []


async def test_the_deadline_ends_what_hangs() -> None:
    """What does not end in time is ended, also while the event loop itself stands still (P10, I12)."""
    ended, codes = threading.Event(), []

    def ends(code: int) -> None:
        codes.append(code)
        ended.set()

    with Ending(0.001, ends=ends) as ending:
        os.kill(os.getpid(), signal.SIGTERM)
        await ending.asked.wait()
        assert ended.wait(30)  # the loop stands still here
    assert codes == [TOO_LATE]


async def test_afterwards_signals_are_handled_as_before() -> None:
    """Whoever handled the signals before handles them again."""
    before = [signal.getsignal(number) for number in SIGNALS]
    with Ending(600):
        await asyncio.sleep(0)
    assert [signal.getsignal(number) for number in SIGNALS] == before
