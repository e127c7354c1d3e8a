"""A short storm over a whole site, and two planted bugs: the long form of all this is ``make faults``."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.storm import points, proving
from tests.faults.storm.storm import Plan, storm

SEED = 11
FEW = ("before_call", "after_call", "after_commit")


@pytest.mark.timeout(420)
def test_nothing_is_lost_and_nothing_twice_under_fire(tmp_path: Path) -> None:
    """Parts are killed and frozen, vendors misbehave, requests come twice: each effect stands once (P9, V5, V6, V7, V8, V9, V10)."""
    plan = Plan(seconds=22, seed=SEED, kills_per_s=0.4, orders_max=900)
    outcome = asyncio.run(storm(plan, tmp_path))
    assert outcome.green, "\n".join([*outcome.histories, *outcome.differences])
    assert outcome.kills >= 3
    assert outcome.verdict.accepted > 100


@pytest.mark.timeout(420)
def test_a_worker_may_die_at_every_place_of_an_order() -> None:
    """A worker dies by SIGKILL before a call, after it, after the commit, before the acknowledgement, on either way (P5, P6, P7, P8)."""
    chosen = tuple(point for point in points.all_points() if point[0] in {"open_project", "commit_tax/undo", ""})
    outcome, died = asyncio.run(points.run(SEED, chosen, lambda _text: None))
    assert outcome.green, "\n".join([*outcome.histories, *outcome.differences])
    assert died == len(chosen)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("name", ["random_vendor_key"])
def test_a_planted_bug_turns_the_oracle_red(name: str) -> None:
    """A gateway with a known bug does not come through: the oracle can fail."""
    caught = asyncio.run(proving.prove(name, SEED, lambda _text: None))
    assert caught.red
    assert caught.duplicated
