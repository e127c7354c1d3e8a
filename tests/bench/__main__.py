"""``make bench``: tables of figures, side by side with the rivals, in one run on one machine.

make bench ARGS="booking --json"         all of the booking table, the JSON in the last line
make bench ARGS="booking --quick"        a shorter form
make bench ARGS="booking --only q2c,bare --no-growth"
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec

from tests.bench import booking
from tests.bench.contest import CONTESTANTS

PARTS = ("contest", "workers", "growth", "acceptance")
RESULT = Path("build") / "bench" / "booking.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="The gateway beside its rivals.")
    parser.add_argument("table", nargs="?", default="booking", choices=["booking"])
    parser.add_argument("--json", action="store_true", help="the figures as JSON in the last line")
    parser.add_argument("--quick", action="store_true", help="short runs, no grown store")
    parser.add_argument("--only", default="", help=f"contestants, separated by commas: {', '.join(CONTESTANTS)}")
    parser.add_argument("--parts", default="", help=f"what to measure, of {', '.join(PARTS)}; default: all (with --quick not growth)")
    parser.add_argument("--delays", default="0,5", help="milliseconds after which back ends answer")
    given = parser.parse_args()
    only = tuple(name for name in given.only.split(",") if name)
    for name in only:
        if name not in CONTESTANTS:
            parser.error(f"there is no contestant {name!r}; there are {', '.join(CONTESTANTS)}")
    parts = set(given.parts.split(",") if given.parts else ["contest"] if only else PARTS) - (
        {"growth"} if given.quick and not given.parts else set()
    )
    if not parts <= set(PARTS):
        parser.error(f"there are the parts {', '.join(PARTS)}")
    wish = booking.Wish(
        only=only,
        delays_ms=tuple(float(part) for part in given.delays.split(",")),
        scale=0.3 if given.quick else 1.0,
        growth="growth" in parts,
        workers=(1, 2, 4) if "workers" in parts else (),
        accepts="acceptance" in parts,
        contest="contest" in parts,
    )
    began = time.monotonic()
    found = booking.main(wish, lambda text: print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr, flush=True))
    data = msgspec.json.encode(found)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_bytes(msgspec.json.format(data, indent=1) + b"\n")
    print(booking.table(found), file=sys.stderr if given.json else sys.stdout)
    if given.json:
        print(data.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
