"""Server processes that we start, wait for, stop and kill; each in a process group of its own and on the leash."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

LOG_LINES_SHOWN = 15


class ServiceFailed(Exception):
    """A server did not start, did not answer, or cannot be installed; the text says what to do or shows the end of its log."""


class _Leash:
    """Our end of the leash: see `leash.py`. One for each process that starts servers (a fork must not use its parent's)."""

    def __init__(self) -> None:
        self._pipe = -1
        self._owner = 0

    def tell(self, line: str) -> None:
        if self._owner != os.getpid():
            self._pipe, self._owner = _hold_leash(), os.getpid()
        os.write(self._pipe, f"{line}\n".encode())


def _hold_leash() -> int:
    theirs, ours = os.pipe()
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, theirs)
        leash = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py"))],
            stdin=theirs,
            stdout=subprocess.DEVNULL,  # it must not hold open a pipe that a reader waits for
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for the starter
        )
    leash.returncode = 0  # it ends after us by design: nobody here will wait for it
    return ours


_LEASH = _Leash()


class Folder:
    """Where a server keeps its files: a private one that goes away with it, or one that the caller names and keeps."""

    def __init__(self, name: str, keep_in: Path | None = None) -> None:
        self.temporary = keep_in is None
        self.path = Path(tempfile.mkdtemp(prefix=f"q2c-{name}-")) if keep_in is None else keep_in
        self.path.mkdir(parents=True, exist_ok=True)
        if self.temporary:
            _LEASH.tell(f"+{self.path}")

    def secret(self, name: str) -> str:
        """A random word kept in the folder: the same again when a server starts on files that it wrote before."""
        kept = self.path / f"{name}.secret"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_hex(16))
        return kept.read_text()

    def remove(self) -> None:
        """Removes a private folder and leaves a named one."""
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
            _LEASH.tell(f"-{self.path}")


class Child:
    """A running server process: its pid, its log, and the ways to end it."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self._process = process
        self.name = name
        self.pid = process.pid
        self.log = log
        self._over = False

    @classmethod
    def start(cls, name: str, command: Sequence[str | Path], *, env: Mapping[str, str], log: Path, user: str | None = None) -> Self:
        """Starts a command as the leader of its own group, its output appended to `log`; as another user where one is named."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                env=dict(env),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user and _group_of(user),
                extra_groups=[] if user else None,
            )
        _LEASH.tell(f"+{process.pid}")
        return cls(process, name, log)

    @property
    def alive(self) -> bool:
        """Whether the process itself still runs."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Waits until `ready()` holds. Raises `ServiceFailed` with the end of the log when the process ends first or time is up."""
        deadline = time.monotonic() + within_s
        while not ready():
            if not self.alive:
                raise ServiceFailed(f"{self.name} ended with code {self._process.returncode} while starting\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{self.name} was not ready within {within_s:g} s\n{self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        """The end of the log, for a failure message."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"the end of {self.log}:", *lines[-LOG_LINES_SHOWN:]])

    def kill(self) -> None:
        """Ends it as a power cut would (SIGKILL to the whole group), and returns when it is really gone."""
        if self._over:
            return
        _signal_group(self.pid, signal.SIGKILL)
        self._process.wait(timeout=30)
        self._over = True
        _LEASH.tell(f"-{self.pid}")

    def ended(self, *, within_s: float) -> int:
        """Waits until it has ended by itself, and says with which code; negative: by which signal. Raises `ServiceFailed`."""
        try:
            return self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired as error:
            raise ServiceFailed(f"{self.name} did not end within {within_s:g} s\n{self.last_words()}") from error

    def tell(self, which: signal.Signals) -> None:
        """Sends it a signal, and to nobody else of its group."""
        self._process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGTERM, *, within_s: float = 20) -> None:
        """Asks it to end in good order, and kills it when it has not done so in time."""
        if self.alive:
            os.kill(self.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kill below is the answer
                self._process.wait(timeout=within_s)
        self.kill()

    def pause(self) -> None:
        """Freezes it (SIGSTOP): connections stay open and nothing answers."""
        _signal_group(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen one go on."""
        _signal_group(self.pid, signal.SIGCONT)


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _signal_group(pid: int, which: signal.Signals) -> None:
    try:
        os.killpg(pid, which)
    except ProcessLookupError:
        return
