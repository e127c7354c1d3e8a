"""The proof that the oracle can fail: each planted bug turns it red. Prints the table."""

import asyncio
import json
import shutil
from collections.abc import Sequence

import msgspec

from tests.faults.storm.mutants import MUTANTS
from tests.faults.storm.storm import Plan, Tell, storm

SECONDS = 14.0
ORDERS_MAX = 500
QUIET_WITHIN_S = 25.0
RATE = 0.12
KILLS_PER_S = 0.5


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """A mutant, and what the oracle said of it."""

    mutant: str
    what: str
    red: bool
    orders: int
    lost: int
    duplicated: int
    ghost: int
    stuck: int


async def prove(name: str, seed: int, tell: Tell) -> Caught:
    """Run a storm over one mutant."""
    mutant = MUTANTS[name]
    plan = Plan(
        seconds=SECONDS,
        seed=seed,
        mutant=name,
        rate=RATE,
        orders_max=ORDERS_MAX,
        quiet_within_s=QUIET_WITHIN_S,
        acts=dict(mutant.acts),
        kills_per_s=KILLS_PER_S if mutant.acts else 0.0,
    )
    outcome = await storm(plan, tell=tell)
    shutil.rmtree(outcome.folder, ignore_errors=True)
    v = outcome.verdict
    counts = {"orders": v.orders, "lost": v.lost, "duplicated": v.duplicated, "ghost": v.ghost, "stuck": v.stuck}
    return Caught(mutant=name, what=mutant.what, red=not v.green, **counts)


def table(found: Sequence[Caught]) -> str:
    """A line for each mutant."""
    head = f"{'planted bug':<48}{'oracle':<8}{'orders':>7}{'lost':>6}{'duplicated':>12}{'ghost':>7}{'stuck':>7}"
    rows = [
        f"{one.what:<48}{'red' if one.red else 'GREEN':<8}{one.orders:>7}{one.lost:>6}{one.duplicated:>12}{one.ghost:>7}{one.stuck:>7}"
        for one in found
    ]
    return "\n".join([head, *rows])


def main(seed: int, tell: Tell, *, as_json: bool) -> int:
    """All mutants, one after the other; 1 where the oracle has overlooked one."""
    found = []
    for name in MUTANTS:
        tell(f"planting: {MUTANTS[name].what}")
        found.append(asyncio.run(prove(name, seed, lambda _text: None)))
        tell(f"  the oracle is {'red' if found[-1].red else 'GREEN: it has overlooked it'}")
    print(json.dumps(msgspec.to_builtins(found)) if as_json else table(found))
    return 0 if all(one.red for one in found) else 1
