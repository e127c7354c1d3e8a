"""No server outlives the process that started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.services.software import REPOSITORY

STARTER = """
import os, signal, sys
from pathlib import Path
from deploy.services.children import Child, Folder

folder = Folder("leash-test")
child = Child.start("sleeper", ["/bin/sh", "-c", "sleep 600 & wait"], env={"PATH": os.environ["PATH"]}, log=folder.path / "log")
print(child.pid, folder.path, flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "frozen child":
    child.pause()
if sys.argv[1] == "raised":
    raise RuntimeError("on purpose")
if sys.argv[1] == "waiting":
    sys.stdin.read()
"""


def group_members(leader: int) -> list[int]:
    """The living processes of a group."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue  # it ended while we looked
        state, _, group = rest.split()[:3]
        if int(group) == leader and state != "Z":
            members.append(int(name.split()[0]))
    return members


def outlived(pid: int, folder: str) -> bool:
    return bool(group_members(pid)) or Path(folder).exists()


def wait_gone(pid: int, folder: str) -> bool:
    """Whether server and folder go away; polls, because the leash works on its own after its starter is gone."""
    waiter = "import sys, time\nfrom tests.services_test.test_leash import outlived\n"
    waiter += f"deadline = time.monotonic() + 20\nwhile outlived({pid}, {folder!r}) and time.monotonic() < deadline: time.sleep(0.05)\n"
    waiter += f"sys.exit(outlived({pid}, {folder!r}))"
    return subprocess.run([sys.executable, "-c", waiter], cwd=REPOSITORY, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("ending", ["returned", "raised", "killed", "frozen child"])
def test_servers_end_with_their_starter(ending: str) -> None:
    """However the starter ends, and even if the server is frozen, its process group and its private folder are gone soon after."""
    starter = subprocess.run(
        [sys.executable, "-c", STARTER, ending], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    pid, folder = starter.stdout.split()
    assert wait_gone(int(pid), folder), f"{group_members(int(pid))} {folder}"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_servers_end_with_an_interrupted_starter(signal_number: signal.Signals) -> None:
    """A starter that is interrupted, terminated or loses its terminal takes its server with it."""
    command = [sys.executable, "-c", STARTER, "waiting"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().decode().split()
        assert group_members(int(pid)), "the server should run before the starter is hurt"
        os.kill(starter.pid, signal_number)
    assert wait_gone(int(pid), folder), f"{group_members(int(pid))} {folder}"
