"""``q2c demo``: the sample deals, driven from quote to cash over HTTP, and checked against their files and the vendors' own books."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gateway.demo.deals import FOLDER, Deal, DealUnreadable, read_folder
from gateway.demo.report import Report, as_text, summary_line
from gateway.demo.run import Demo
from gateway.demo.stack import NotStarted, Stack
from runtime.clock import SystemClock


def main(*, scaled: bool, as_json: bool, folder: Path | None, keep: bool) -> int:
    """Run the demo: 0 only if every deal has ended as its file says, 1 if not, 2 if it could not be run, 130 if it was interrupted."""
    clock = SystemClock()
    try:
        deals = read_folder(folder or FOLDER, clock.now().date())
    except DealUnreadable as unreadable:
        print(f"q2c demo: {unreadable}", file=sys.stderr)
        return 2
    home = Path(tempfile.mkdtemp(prefix="q2c-demo-"))
    try:
        found = asyncio.run(_driven(Stack(home, scaled=scaled), deals))
    except NotStarted as failed:
        print(f"q2c demo: {failed}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    print(f"\n{as_text(found)}")
    if keep:
        print(f"The data are in {home}.")
    if as_json:
        print(summary_line(found))
    return 0 if found.well else 1


async def _driven(stack: Stack, deals: Sequence[Deal]) -> Report:
    running = asyncio.current_task()
    if running is not None:  # whoever asks us to end gets everything stopped in order
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    print("Starting the simulated vendors and the gateway ...", flush=True)
    try:
        await stack.start()
        print(f"The gateway is at {stack.addresses.process}; {len(deals)} deals.", flush=True)
        demo = Demo(stack.addresses, stack.simulators, stack.token, SystemClock(), _say)
        return await demo.drive(deals)
    finally:
        stack.stop()


def _say(line: str) -> None:
    print(line, flush=True)
