"""Lock files say what is installed, exactly, and not where it comes from: that is for whoever installs."""

import itertools
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK_FILES = ["requirements.txt", "requirements-dev.txt", "requirements-tryton.txt", "requirements-bench.txt"]
ENTRY = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?P<marker> ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def versions(name: str) -> dict[str, str]:
    """The pinned version of each package."""
    found = (ENTRY.match(line) for line in (REPOSITORY / name).read_text().splitlines())
    return {f"{entry['name']}{entry['marker'] or ''}": entry["version"] for entry in found if entry}


@pytest.mark.parametrize("name", LOCK_FILES)
def test_a_lock_file_holds_versions_and_hashes_only(name: str) -> None:
    """Every line is an exact version or a hash: there is no room for the name of a host, an index or a folder."""
    lines = (REPOSITORY / name).read_text().splitlines()
    assert [line for line in lines if not ENTRY.match(line) and not HASH.match(line)] == []
    hashed = [line for line, following in itertools.pairwise(lines) if ENTRY.match(line) and HASH.match(following)]
    assert len(hashed) == len(versions(name)) > 20


def test_what_is_tested_is_what_runs() -> None:
    """The test environment has every package of the running one in the same version."""
    tested = versions("requirements-dev.txt")
    assert {name: version for name, version in versions("requirements.txt").items() if tested.get(name) != version} == {}
