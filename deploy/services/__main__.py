"""Private servers from the command line.

python -m deploy.services up [rabbitmq] [postgres] [tryton]      starts them, prints their addresses, serves until interrupted
python -m deploy.services ready [rabbitmq] [postgres] [tryton]   installs what they need, so that a later start takes seconds
"""

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Protocol

from deploy.services import postgres, rabbitmq, tryton
from deploy.services.children import ServiceFailed


class Server(Protocol):
    """What all three have in common."""

    url: str

    def stop(self) -> None:
        """Ends it for good."""


STARTERS: dict[str, Callable[[], Server]] = {"rabbitmq": rabbitmq.start, "postgres": postgres.start, "tryton": tryton.start}
READIERS = {"rabbitmq": rabbitmq.ready_software, "postgres": postgres.ready_software, "tryton": tryton.ready_software}


def up(names: list[str]) -> None:
    """Starts the named servers and keeps them until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as running, suppress(KeyboardInterrupt):
        for name in names:
            server = STARTERS[name]()
            running.callback(server.stop)
            print(f"{name}={server.url}", flush=True)
        print("up; Ctrl-C ends them", flush=True)
        signal.pause()


def ready(names: list[str]) -> None:
    """Installs or builds what the named servers need; tries all of them before it fails."""
    failures = []
    for name in names:
        try:
            print(f"{name}: {READIERS[name]()}", flush=True)
        except ServiceFailed as failure:
            failures.append(f"{name}: {failure}")
    if failures:
        raise ServiceFailed("\n".join(failures))


def main() -> None:
    """Reads the command line; exits 1 with one plain text where a server cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m deploy.services", description="Private RabbitMQ, PostgreSQL and Tryton servers.")
    parser.add_argument("job", choices=["up", "ready"])
    parser.add_argument("names", nargs="*", metavar="server", help=f"{', '.join(STARTERS)}; rabbitmq and postgres when none is named")
    arguments = parser.parse_args()
    names = arguments.names or ["rabbitmq", "postgres"]
    unknown = set(names) - set(STARTERS)
    if unknown:
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    try:
        {"up": up, "ready": ready}[arguments.job](names)
    except ServiceFailed as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
