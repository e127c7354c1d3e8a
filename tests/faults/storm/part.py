"""One process of the gateway under fire: ``python -m tests.faults.storm.part worker|layer FOLDER [--port N] [--mutant NAME]``.

The real composition, bus and store; only the connectors are the storm's. A mutant, or a place at which to die, is put in before it starts.
"""

import argparse
from pathlib import Path

import uvloop
from msgspec.structs import replace

from gateway import running
from gateway.settings import HttpSettings, load
from tests.faults.storm.cards import CARDS
from tests.faults.storm.crash_points import POINTS, lay
from tests.faults.storm.mutants import MUTANTS
from tests.faults.storm.site import SETTINGS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("worker", "layer"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--mutant", choices=sorted(MUTANTS), default=None)
    given = parser.parse_args()
    if given.mutant:
        MUTANTS[given.mutant].plant()
    if (given.folder / POINTS).exists():
        lay(given.folder)
    settings = replace(load(given.folder / SETTINGS, environment={}), http=HttpSettings(port=given.port))
    if given.role == "worker":
        uvloop.run(running.work(settings, connectors=CARDS))
    else:
        uvloop.run(running.serve(settings, layers=("process",), works=False, connectors=CARDS))


if __name__ == "__main__":
    main()
