"""Who may import whom: the tree keeps the rules, and each rule catches the violation that was planted for it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLANTED = Path(__file__).with_name("planted")
RULES: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: dict[str, dict[str, Any]] = {contract["id"]: contract for contract in RULES["contracts"]}


def lint(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What import-linter says about a tree; wide enough that it breaks no line."""
    program, cache = Path(sys.executable).with_name("lint-imports"), tree / ".cache" / "imports"
    command: list[str | Path] = [program, "--no-logo", "--cache-dir", cache, *arguments]
    return subprocess.run(command, cwd=tree, env={"COLUMNS": "400"}, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the rules speak about."""
    ignored = shutil.ignore_patterns("__pycache__", "planted")
    for package in (*RULES["root_packages"], "tests/architecture"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=ignored)
    for file in ("pyproject.toml", "tests/__init__.py"):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    return tmp_path


def folders(layer: str) -> set[str]:
    """The packages directly under a layer."""
    return {f"{layer}.{entry.parent.name}" for entry in (REPOSITORY / layer).glob("*/__init__.py")}


def test_the_tree_keeps_its_rules() -> None:
    """Every import contract holds for what is in the repository."""
    result = lint(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_planted_violation_is_caught(contract: str, copy: Path) -> None:
    """The contract holds for the copied tree, and after the planted files are added it is broken and names each importer."""
    before = lint(copy, "--contract", contract)
    assert before.returncode == 0, before.stdout + before.stderr
    shutil.copytree(PLANTED / contract, copy, dirs_exist_ok=True)
    after = lint(copy, "--contract", contract)
    assert after.returncode == 1, after.stdout + after.stderr
    assert "0 kept, 1 broken" in after.stdout
    for file in (PLANTED / contract).rglob("*.py"):
        importer = ".".join(file.relative_to(PLANTED / contract).with_suffix("").parts)
        assert f"{importer} ->" in after.stdout, after.stdout


def test_each_contract_has_its_burglar() -> None:
    """No contract is without a planted violation, and none is planted for a contract that is gone."""
    assert {entry.name for entry in PLANTED.iterdir() if entry.is_dir()} == set(CONTRACTS)


@pytest.mark.parametrize(("contract", "layer"), [("vendors", "system_apis"), ("processes", "process_apis")])
def test_no_folder_is_forgotten(contract: str, layer: str) -> None:
    """Every vendor and every process stands in the list of those that are strangers to one another."""
    assert set(CONTRACTS[contract]["modules"]) == folders(layer)


def test_no_package_shadows_the_standard_library() -> None:
    """No top-level package is named like a module of Python's own."""
    assert not set(RULES["root_packages"]) & sys.stdlib_module_names
