"""Each step of the booking of an order, and each of its compensations, with a worker that dies before the call, after the call, after the
commit and before the acknowledgement: one order for each place, one after the other, and the oracle over all of them.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from process_apis.order_booking.process import ORDER_BOOKING
from runtime.process.declare import Ask
from runtime.process.declare import Tell as Telling
from tests.faults.storm.crash_points import POINTS
from tests.faults.storm.driver import Orders
from tests.faults.storm.storm import Outcome, Plan, Tell, storm

Point = tuple[str, str, bool]  # the step, the moment, and whether it is on the way back
SECONDS_MAX = 300.0


def all_points() -> tuple[Point, ...]:
    """Every place at which a worker can die over an order."""
    asks = [step for step in ORDER_BOOKING.steps if isinstance(step, Ask)]
    told = [step for step in ORDER_BOOKING.steps if isinstance(step, Telling)]
    undone = [step.name for step in asks if step.undo and step.name in {"commit_tax", "book_in_erp"}]  # billing, the next one, refuses
    forth = [(step.name, moment, False) for step in asks for moment in ("before_call", "after_call", "after_commit")]
    back = [(f"{name}/undo", moment, True) for name in undone for moment in ("before_call", "after_call", "after_commit")]
    ends = [(step.name, "after_commit", False) for step in told] + [("", "before_ack", False), ("", "before_ack", True)]
    return (*forth, *back, *ends)


class Chosen(Orders):
    """An order that comes by each place, in the order of the places."""

    def __init__(self, seed: int, points: Iterable[Point]) -> None:
        super().__init__(seed)
        self._wanted: Iterator[Point] = iter(points)

    def next(self) -> tuple[dict[str, Any], dict[str, Any]]:
        _, _, back = next(self._wanted)
        while True:
            body, expected = super().next()
            complete = {"subscription", "project"} <= set(expected["effects"])
            if complete and expected["refused"] is back:
                return body, expected


def laid(seed: int, points: Iterable[Point]) -> dict[str, tuple[str, str]]:
    """Which order dies where."""
    points = tuple(points)
    orders = Chosen(seed, points)
    return {orders.next()[1]["order"]: (step, moment) for step, moment, _ in points}


async def run(seed: int, points: tuple[Point, ...], tell: Tell) -> tuple[Outcome, int]:
    """One order for each place; the outcome, and how many workers died."""
    folder = Path(tempfile.mkdtemp(prefix="q2c-points-"))
    (folder / POINTS).write_text(json.dumps(laid(seed, points)), "utf-8")
    plan = Plan(seconds=SECONDS_MAX, seed=seed, rate=0.0, kills_per_s=0.0, orders_max=len(points), backlog=1)
    outcome = await storm(plan, folder, tell, orders=Chosen(seed, points))
    return outcome, len(list(folder.glob("*.died")))


def main(seed: int, tell: Tell, *, as_json: bool) -> int:
    """All places; 1 where one of them was not survived, or nobody died there."""
    points = all_points()
    outcome, died = asyncio.run(run(seed, points, tell))
    out = sys.stderr if as_json else sys.stdout
    for history in outcome.histories:
        print(history, file=out)
    for difference in outcome.differences:
        print(difference, file=out)
    said = {**outcome.line(), "points": len(points), "died": died}
    print(json.dumps(said) if as_json else "\n".join(f"{name:<12}{number:>8,}" for name, number in said.items()))
    good = outcome.green and died == len(points)
    if good:
        shutil.rmtree(outcome.folder, ignore_errors=True)
    return 0 if good else 1
