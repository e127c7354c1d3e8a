"""The README's walk from quote to cash, run as it is printed."""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.stack import free_ports
from gateway.simulated import SIMULATORS

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 60


def walk() -> str:
    """The shell commands of the walk: every indented or plain ``sh`` block of its chapter, in order."""
    chapter = (ROOT / "README.md").read_text("utf-8").split("## From quote to cash with curl")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", chapter, re.MULTILINE | re.DOTALL))


def elsewhere(commands: str, base: int, data: Path) -> str:
    """The same commands against other ports and another data folder; nothing else is changed."""
    commands = commands.replace("127.0.0.1:8000", f"127.0.0.1:{base + len(SIMULATORS)}")
    for position in range(len(SIMULATORS)):
        commands = commands.replace(f"127.0.0.1:{8101 + position}", f"127.0.0.1:{base + position}")
    commands = commands.replace(".venv/bin/q2c token", f"{sys.executable} -m gateway token --data {data}")
    return commands.replace(".venv/bin/q2c story ORD-2001", f"{sys.executable} -m gateway story ORD-2001 --data {data}")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """`q2c run` on free ports, as a user would start it."""
    base, data = free_ports(len(SIMULATORS) + 1), tmp_path / "data"
    command = [sys.executable, "-m", "gateway", "run", "--data", str(data), "--base-port", str(base), "--port", str(base + len(SIMULATORS))]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Interrupt with Ctrl-C" in line:
                break
        else:
            pytest.fail(f"q2c run ended: {(tmp_path / 'log').read_text()}")
        yield base, data
        process.send_signal(signal.SIGINT)
        process.wait(30)


def test_the_walk_of_the_readme_works_as_printed(running: tuple[int, Path]) -> None:
    """Each command of the walk succeeds, the story is told, and at the end the quote is paid."""
    base, data = running
    with urllib.request.urlopen(f"http://127.0.0.1:{base + len(SIMULATORS)}/health/ready", timeout=READY_WITHIN_S) as answer:
        assert answer.status == 200
    script = "set -euo pipefail\n" + elsewhere(walk(), base, data)
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    for said in ('"valid":true', "202 Accepted", "tell    order_booked", "INV-NS-1001", '"stage_in_words":"paid"', "cash_application/"):
        assert said in done.stdout, f"{said!r} is not in what the walk printed:\n{done.stdout}"
    assert "not_checked" not in done.stdout
