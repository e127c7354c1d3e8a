"""``make faults``: a storm of some minutes, and the verdict. Exits 1 where anything was lost, doubled, made up or left standing.

make faults ARGS="--minutes 2 --seed 7 --json"
"""

import argparse
import asyncio
import json
import shutil
import sys
import time

from tests.faults.storm import points, proving
from tests.faults.storm.storm import Outcome, Plan, storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description="The engine under fire; an oracle reads the vendors' books.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long orders are sent under fire (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="what is sent, what misbehaves, what is killed and when")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--orders-max", type=int, default=0, help="stop sending after so many orders (default: as many as the time allows)")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON in the last line")
    parser.add_argument("--keep", action="store_true", help="keep logs and books")
    parser.add_argument("--mutants", action="store_true", help="plant each bug instead, and show that the oracle sees it")
    parser.add_argument("--points", action="store_true", help="die at each place of each step instead, one after the other")
    given = parser.parse_args()
    began_s = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {text}", file=sys.stderr, flush=True)

    if given.mutants:
        return proving.main(given.seed, tell, as_json=given.json)
    if given.points:
        return points.main(given.seed, tell, as_json=given.json)
    plan = Plan(seconds=given.minutes * 60, seed=given.seed, workers=given.workers, orders_max=given.orders_max)
    outcome = asyncio.run(storm(plan, tell=tell))
    report(outcome, as_json=given.json)
    if outcome.green and not given.keep:
        shutil.rmtree(outcome.folder, ignore_errors=True)
    return 0 if outcome.green else 1


def report(outcome: Outcome, *, as_json: bool) -> None:
    """The story of what is wrong, then the numbers."""
    out = sys.stderr if as_json else sys.stdout
    for history in outcome.histories:
        print(history, file=out)
    for difference in outcome.differences[:20]:
        print(f"the gateway itself: {difference}", file=out)
    if not outcome.green:
        print(f"logs and books are in {outcome.folder}", file=out)
    if as_json:
        print(json.dumps(outcome.line()))
        return
    for name, number in outcome.line().items():
        print(f"{name:<12}{number:>10,}")
    print(f"{'seconds':<12}{outcome.seconds:>10.0f}")
    print("green" if outcome.green else "RED")


if __name__ == "__main__":
    sys.exit(main())
