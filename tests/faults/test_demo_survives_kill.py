"""The embedded gateway is killed in mid-demo, twice, and started again: every deal that it had accepted ends, and exactly once."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.demo.deals import Deal, read_folder
from gateway.demo.report import as_text
from gateway.demo.run import Demo
from gateway.demo.stack import Stack
from runtime.clock import SystemClock

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"
AT_ONCE = 10
WITHIN_S = 75.0


class Killer:
    """Kills the gateway when so many signatures have been accepted, and when so many payments are on their way; starts it again."""

    def __init__(self, stack: Stack, moments: dict[str, int]) -> None:
        self._stack = stack
        self._left = dict(moments)
        self._restarts: list[asyncio.Task[None]] = []
        self.said: list[str] = []

    @property
    def kills(self) -> int:
        return len(self._restarts)

    def say(self, line: str) -> None:
        """Every line of progress; what it counts is done within the line, so the work that follows from it is in flight."""
        self.said.append(line)
        for word in [word for word in self._left if line.endswith(word)]:
            self._left[word] -= 1
            if self._left[word] == 0:
                self._stack.kill_gateway()
                self._stack.start_gateway()
                self._restarts.append(asyncio.create_task(self._stack.ready()))

    async def all_restarted(self) -> None:
        await asyncio.gather(*self._restarts)


def deals() -> list[Deal]:
    """The samples, without their troubles: this trouble is enough."""
    return [msgspec.structs.replace(deal, troubles=()) for deal in read_folder(SAMPLES, SystemClock().now().date())]


@pytest.mark.timeout(240)
async def test_what_was_accepted_ends_exactly_once(tmp_path: Path) -> None:
    """After two kills every deal has ended as its file says, the vendors' books show each effect once, and nothing is without a deal."""
    stack = Stack(tmp_path)
    killer = Killer(stack, {": sign": 6, "by card": 4})
    try:
        await stack.start()
        demo = Demo(stack.addresses, stack.simulators, stack.token, SystemClock(), killer.say, within_s=WITHIN_S)
        found = await demo.drive(deals(), at_once=AT_ONCE)
        await killer.all_restarted()
    finally:
        stack.stop()
    assert killer.kills == 2
    assert found.summary.booked >= 25
    assert found.well, "\n".join([*killer.said, as_text(found), stack.log("gateway", 40)])
    assert found.summary.duplicates == 0
