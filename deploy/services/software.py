"""Finds the server programs of this machine, and installs the Debian package that holds them where that is allowed."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.services.children import ServiceFailed

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache"
POLICY = Path("/usr/sbin/policy-rc.d")
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds a lock among all processes of this checkout: only one installs a package or builds a cached thing at a time."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(find: Callable[[], Path | None], package: str) -> Path:
    """What `find` finds, after installing the package if need be. Raises `ServiceFailed` with the one thing to do where it may not."""
    found = find()
    if found is not None:
        return found
    if not may_install():
        raise ServiceFailed(f"{package} is not on this machine and cannot be installed from here: as root, run `apt-get install {package}`")
    with locked("apt"):
        found = find()  # another process may have installed it while this one waited
        if found is None:
            install(package)
            found = find()
    if found is None:
        raise ServiceFailed(f"{package} was installed, but what it should bring is not where Debian puts it")
    return found


def may_install() -> bool:
    """Whether this process can install Debian packages: it is root, and apt-get is there."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package: str) -> None:
    """Installs one Debian package and leaves the service it brings unstarted: ours run privately. Raises `ServiceFailed`."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_stay_down():
        for arguments in (("update",), ("install", "-y", "--no-install-recommends", package)):
            done = subprocess.run([*APT, *arguments], env=env, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise ServiceFailed(f"apt-get {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")


@contextlib.contextmanager
def services_stay_down() -> Iterator[None]:
    """Keeps package scripts from starting system services, unless the machine already has a rule of its own about that."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
