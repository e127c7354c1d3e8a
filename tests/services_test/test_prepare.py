"""The environment script works on a bare machine, and says what is missing where it cannot help itself."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.services.software import REPOSITORY

NEEDED = ["bash", "cat", "cut", "dirname", "flock", "grep", "mkdir", "rm", "sha256sum"]  # what Debian has without any package added

# Stands for python3.11: can make environments once the package is installed, and writes down what pip is asked to do.
PYTHON = """#!/bin/bash
case "$*" in
  *version_info\\ \\<*) exit 0 ;;
  *'import ensurepip'*) [ -e "$MACHINE/python3.11-venv" ] ;;
  *print*) echo python3.11-venv ;;
  --version) echo "Python 3.11.2" ;;
  "-m venv --clear "*) mkdir -p "$4/bin" && cat "$0" > "$4/bin/python" && /bin/chmod +x "$4/bin/python"
    echo "$PWD/$4/bin/python" > "$4/bin/pip"; echo "$4" >> "$MACHINE/venv.log" ;;
  "-m pip --version") exit 0 ;;
  "-m pip install"*) echo "$*" >> "$MACHINE/pip.log" ;;
esac
"""
APT = """#!/bin/bash
echo "apt-get $*" >> "$MACHINE/apt.log"
case "$*" in install*) [ -z "$APT_FAILS" ] && : > "$MACHINE/${!#}" ;; esac
"""


class Bare:
    """A machine with the tools of a bare Debian and a checkout, seen through PATH."""

    def __init__(self, root: Path) -> None:
        self.root, self.checkout = root, root / "checkout"
        self.tools = root / "tools"
        self.tools.mkdir()
        for name in NEEDED:
            found = shutil.which(name)
            assert found is not None
            (self.tools / name).symlink_to(found)
        (self.checkout / "deploy/bin").mkdir(parents=True)
        shutil.copy(REPOSITORY / "deploy/bin/prepare", self.checkout / "deploy/bin/prepare")
        for lock in ("requirements.txt", "requirements-dev.txt", "requirements-tryton.txt"):
            (self.checkout / lock).write_text("some-package==1.0 \\\n    --hash=sha256:00\n")
        (self.checkout / "pyproject.toml").write_text("[project]\n")
        self.be("id", "echo 1000")

    def be(self, name: str, script: str) -> None:
        """Adds a program to the machine."""
        tool = self.tools / name
        tool.write_text(script if script.startswith("#!") else f"#!/bin/bash\n{script}\n")
        tool.chmod(0o755)

    def prepare(self, purpose: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs the script there."""
        command = [str(self.checkout / "deploy/bin/prepare"), purpose]
        machine = {"PATH": str(self.tools), "MACHINE": str(self.root), "APT_FAILS": "", **env}
        return subprocess.run(command, env=machine, capture_output=True, text=True, timeout=60, check=False)

    def log(self, name: str) -> list[str]:
        """What a program wrote down."""
        path = self.root / f"{name}.log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def test_without_python_it_names_the_package(bare: Bare) -> None:
    """Without Python 3.11 it ends with one line that says what to install."""
    result = bare.prepare("run")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "apt-get install python3.11 python3.11-venv" in result.stderr


def test_an_older_python_is_not_taken(bare: Bare) -> None:
    """A python3 that is older than 3.11 counts as none."""
    bare.be("python3", "exit 1")
    assert bare.prepare("run").returncode == 1


def test_without_venv_others_than_root_are_told(bare: Bare) -> None:
    """Debian's Python without its venv package, and no right to install it: one line names the package and the command."""
    bare.be("python3.11", PYTHON)
    result = bare.prepare("run")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "as root: apt-get install python3.11-venv" in result.stderr
    assert bare.log("pip") == []


def test_without_venv_root_installs_it(bare: Bare) -> None:
    """Root gets the venv package from fresh lists, and then the pinned packages by hash, and the project itself without a network."""
    bare.be("python3", PYTHON)
    bare.be("id", "echo 0")
    bare.be("apt-get", APT)
    result = bare.prepare("run")
    assert result.returncode == 0, result.stderr
    assert bare.log("apt") == ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends python3.11-venv"]
    packages, project = bare.log("pip")
    assert "--require-hashes --no-deps --only-binary :all: -r requirements.txt" in packages
    assert "--no-build-isolation --no-index --editable ." in project


def test_a_refusal_of_apt_is_said(bare: Bare) -> None:
    """Where apt-get cannot bring the package, the script stops there and says so."""
    bare.be("python3", PYTHON)
    bare.be("id", "echo 0")
    bare.be("apt-get", APT)
    result = bare.prepare("run", APT_FAILS="yes")
    assert result.returncode == 1
    assert "could not install python3.11-venv" in result.stderr
    assert bare.log("pip") == []


def test_it_installs_only_what_changed(bare: Bare) -> None:
    """A second run does nothing; another lock file installs again, a moved checkout makes its environment anew; one for tests also runs."""
    bare.be("python3.11", PYTHON)
    (bare.root / "python3.11-venv").touch()
    assert bare.prepare("dev").returncode == 0
    assert len(bare.log("pip")) == 2
    for purpose in ("dev", "run"):
        again = bare.prepare(purpose)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(bare.log("pip")) == 2
    (bare.checkout / "requirements.txt").write_text("some-package==2.0 \\\n    --hash=sha256:00\n")
    assert bare.prepare("run").returncode == 0
    assert len(bare.log("pip")) == 4
    assert len(bare.log("venv")) == 1
    moved = bare.checkout.rename(bare.root / "moved")
    bare.checkout = moved
    assert bare.prepare("run").returncode == 0
    assert len(bare.log("pip")) == 6
    assert len(bare.log("venv")) == 2


def test_tryton_has_an_environment_of_its_own(bare: Bare) -> None:
    """The Tryton server's packages go nowhere near ours."""
    bare.be("python3.11", PYTHON)
    (bare.root / "python3.11-venv").touch()
    assert bare.prepare("tryton").returncode == 0
    assert [line.rpartition(" ")[2] for line in bare.log("pip")] == ["requirements-tryton.txt"]
    assert not (bare.checkout / ".venv").exists()
    assert os.access(bare.checkout / ".venv-tryton/bin/python", os.X_OK)


def test_an_unknown_purpose_is_refused(bare: Bare) -> None:
    """A purpose that does not exist is refused with those that do."""
    result = bare.prepare("production")
    assert result.returncode == 2
    assert "run, dev, tryton" in result.stderr
