"""The end of the leash: a small process that outlives the one that started servers, and takes them with it.

It reads lines from its standard input: `+pid`, `-pid` (watch, forget a process group), `+/folder`, `-/folder` (remove, keep a private
folder). When the input ends, the starter is gone, whether it returned, raised, was interrupted or was killed with SIGKILL; then every
group still watched is ended and every folder removed. It is run as a plain script and imports nothing of this project.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

TRIES_MAX = 30  # of a tenth of a second each


def birth(pid: int) -> str:
    """When the process began, in ticks since boot; empty where that cannot be read. A reused pid has another birth."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def signal_group(pid: int, born: str, which: signal.Signals) -> bool:
    """Signals the process group of a watched server, unless its number belongs to somebody else by now. Whether anybody was there."""
    if birth(pid) not in {"", born}:
        return False
    try:
        os.killpg(pid, which)
    except ProcessLookupError:
        return False
    return True


def end_all(groups: dict[int, str]) -> None:
    """Ends all servers: in good order where they hurry (PostgreSQL gives its shared memory back), by force where they do not."""
    for pid, born in groups.items():
        signal_group(pid, born, signal.SIGCONT)  # a frozen one hears nothing else
        signal_group(pid, born, signal.SIGTERM)
    for _ in range(TRIES_MAX):
        if all(birth(pid) != born for pid, born in groups.items()):
            break
        time.sleep(0.1)
    for pid, born in groups.items():
        signal_group(pid, born, signal.SIGKILL)


def remove(folder: str) -> None:
    """Removes a private folder; servers that are just dying may still write to it, so it is tried again for a while."""
    for _ in range(TRIES_MAX):
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            return
        time.sleep(0.1)


def main() -> None:
    """Keeps the list while the starter lives, and clears it when it is gone."""
    for deaf_to in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(deaf_to, signal.SIG_IGN)
    groups: dict[int, str] = {}
    folders: list[str] = []
    for line in sys.stdin:
        verb, what = line[:1], line[1:].strip()
        if what.startswith("/"):
            folders = [folder for folder in folders if folder != what] + ([what] if verb == "+" else [])
        elif verb == "+":
            groups[int(what)] = birth(int(what))
        else:
            groups.pop(int(what), None)
    end_all(groups)
    for folder in folders:
        remove(folder)


if __name__ == "__main__":
    main()
