"""Every failure case has a test that carries its id, or a decision that says why not."""

import re
from pathlib import Path

import pytest

from tests.faults.cases import IDS, REPOSITORY, explained, named_in, shown

LIST = REPOSITORY.parent / "shared" / "design" / "reliability.md"


@pytest.mark.parametrize("case", IDS)
def test_a_case_is_shown_or_explained(case: str) -> None:
    """The case is named by a test, or by a line of a decision; a decision that is out of date is found, too."""
    tests, why = shown().get(case, []), explained().get(case, "")
    assert tests or why, f"nobody shows {case}"


def test_ids_are_read_where_they_stand() -> None:
    """An id counts in parentheses at the end of a line, and not in the middle of a sentence."""
    assert named_in("It is refused (P11, I2).") == {"P11", "I2"}
    assert named_in("It (P11) is refused.") == set()
    assert named_in("A sentence.\n\nShown here (V1).\n") == {"V1"}


def test_the_list_of_cases_is_complete() -> None:
    """Where the list of the design is at hand, ours has the same ids; where it is not, there is nothing to compare."""
    if LIST.exists():
        listed = set(re.findall(r"^\| ([PQDVMWO]\d+) \|", LIST.read_text("utf-8"), re.MULTILINE))
        assert set(IDS) == listed
    assert len(IDS) == len(set(IDS)) == 95


def test_the_table_names_tests_that_exist() -> None:
    """What the table says of a case leads to a file."""
    for names in shown().values():
        for name in names:
            assert (Path(REPOSITORY) / "tests" / f"{name.partition('::')[0]}.py").exists()
