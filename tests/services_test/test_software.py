"""Missing software is installed where that is allowed, and named where it is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.services import postgres, rabbitmq, software
from deploy.services.children import ServiceFailed
from deploy.services.ports import FIRST, LAST, free_port, is_free


class Machine:
    """A machine that lacks a package until it is installed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, root: bool, brings: Path | None) -> None:
        self.installed: list[str] = []
        self._brings = brings
        monkeypatch.setattr(software, "may_install", lambda: root)
        monkeypatch.setattr(software, "install", self.installed.append)

    def find(self) -> Path | None:
        return self._brings if self.installed else None


def test_what_is_there_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is there is used as it is."""
    machine = Machine(monkeypatch, root=True, brings=None)
    assert software.ensure(lambda: Path("/there"), "some-package") == Path("/there")
    assert machine.installed == []


def test_root_installs_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root gets the package that is missing, once."""
    machine = Machine(monkeypatch, root=True, brings=Path("/now/there"))
    assert software.ensure(machine.find, "some-package") == Path("/now/there")
    assert machine.installed == ["some-package"]


def test_others_are_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not install gets one line that names the package and the command."""
    machine = Machine(monkeypatch, root=False, brings=None)
    with pytest.raises(ServiceFailed, match=r"as root, run `apt-get install some-package`") as failed:
        software.ensure(machine.find, "some-package")
    assert "\n" not in str(failed.value)


def test_a_package_without_its_programs_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that does not bring what it should is a failure that says so, not a crash later."""
    machine = Machine(monkeypatch, root=True, brings=None)
    with pytest.raises(ServiceFailed, match="not where Debian puts it"):
        software.ensure(machine.find, "some-package")


def test_apt_is_asked_with_fresh_lists_and_starts_no_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Installing updates the lists first, and while it runs, package scripts may start no service."""
    calls: list[tuple[str, bool]] = []
    monkeypatch.setattr(software, "POLICY", tmp_path / "policy-rc.d")

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append((" ".join(command[4:]), os.access(tmp_path / "policy-rc.d", os.X_OK)))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    software.install("some-package")
    assert calls == [("update", True), ("install -y --no-install-recommends some-package", True)]
    assert not (tmp_path / "policy-rc.d").exists()


def test_a_refusal_of_apt_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When apt-get fails, its own words are in the failure."""
    monkeypatch.setattr(software, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(software, "APT", (sys.executable, "-c", "import sys; sys.exit('E: no such package')"))
    with pytest.raises(ServiceFailed, match="E: no such package"):
        software.install("some-package")


@pytest.mark.parametrize("service", [rabbitmq, postgres])
def test_a_bare_machine_has_no_server(service: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a machine with neither package the look for programs finds nothing, instead of half an installation."""
    for name in ("SCRIPTS", "INSTALLED"):
        monkeypatch.setattr(service, name, tmp_path, raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert service._find() is None  # type: ignore[attr-defined]


def test_ports_are_free_and_out_of_the_way() -> None:
    """A drawn port is free, and outside the range from which outgoing connections take theirs."""
    port = free_port()
    assert FIRST <= port < LAST
    assert is_free(port)
