"""Every failure case has a test that carries its id, or a decision that says why not."""

import re

import pytest

from tests.faults.cases import IDS, REPOSITORY, explained, lines_of, named_in, shown, table

DECISION = REPOSITORY / "docs" / "decisions" / "0011-cases-without-a-test.md"
LIST = REPOSITORY.parent / "shared" / "design" / "reliability.md"


@pytest.mark.parametrize("case", IDS)
def test_a_case_is_shown_or_explained(case: str) -> None:
    """The case is named by a test, or by a line of a decision."""
    assert case in shown() or case in explained(), f"nobody shows {case}"


def test_a_decision_is_up_to_date() -> None:
    """What is said to have no test has none, and what is said to be shown in part has one."""
    without, in_part = DECISION.read_text("utf-8").split("\nShown in part:\n")
    assert set(lines_of(without)) & set(shown()) == set()
    assert set(lines_of(in_part)) - set(shown()) == set()


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


def test_the_table_says_what_is_left_out() -> None:
    """A case that is shown in part shows its tests and what they leave out."""
    line = next(line for line in table().splitlines() if line.startswith("| D5 |"))
    assert "`" in line
    assert explained()["D5"] in line
