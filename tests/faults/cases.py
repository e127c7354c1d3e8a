"""The failure cases that the gateway is held against, by their ids: each is shown by a test, or a decision says why not.

A test names the ids of what it shows in parentheses at the end of a line of its docstring: ``… is refused by the fence (P11, I2).`` A case
without a test, or one that is shown in part, has a line ``- Q10: why`` in `docs/decisions`. ``python -m tests.faults.cases`` prints
the table.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
GROUPS = {"P": 15, "Q": 14, "D": 14, "V": 20, "M": 14, "W": 9, "O": 9}
TITLES = {
    "P": "processes die",
    "Q": "the broker",
    "D": "database, disk, clock",
    "V": "vendors",
    "M": "money",
    "W": "webhooks",
    "O": "operation",
}
IDS = tuple(f"{group}{number}" for group, count in GROUPS.items() for number in range(1, count + 1))
_NAMED = re.compile(r"\(((?:[A-Z]{1,2}\d+(?:, )?)+)\)\.?$", re.MULTILINE)
_WHY = re.compile(r"^- ([A-Z]\d+(?:, [A-Z]\d+)*): (\S.*)$", re.MULTILINE)


def named_in(docstring: str) -> set[str]:
    """The ids that a docstring names."""
    return {name for found in _NAMED.findall(docstring) for name in found.split(", ")}


def tests() -> Iterator[tuple[str, str]]:
    """Each test with its docstring."""
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(REPOSITORY / 'tests').with_suffix('')}::{node.name}", ast.get_docstring(node) or ""


@cache
def shown() -> dict[str, list[str]]:
    """Which tests show a case."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, docstring in tests():
        for case in sorted(named_in(docstring)):
            found[case].append(name)
    return found


def lines_of(text: str) -> dict[str, str]:
    """The cases that a text has lines for, and what each says."""
    return {name: why for names, why in _WHY.findall(text) for name in names.split(", ")}


@cache
def explained() -> dict[str, str]:
    """Why a case has no test, or what its tests leave out, by the decisions."""
    found: dict[str, str] = {}
    for path in sorted((REPOSITORY / "docs" / "decisions").glob("*.md")):
        found |= {name: f"{path.name}: {why}" for name, why in lines_of(path.read_text("utf-8")).items()}
    return found


def table() -> str:
    """All cases, a line each, for docs/faults.md."""
    by_test, by_decision = shown(), explained()
    lines = []
    for group, count in GROUPS.items():
        lines += ["", f"**{group}: {TITLES[group]}**", "", "| case | shown by |", "|---|---|"]
        for number in range(1, count + 1):
            case = f"{group}{number}"
            what = "<br>".join([f"`{name}`" for name in by_test.get(case, [])] + [f"— {why}" for why in [by_decision.get(case)] if why])
            lines.append(f"| {case} | {what} |")
    return "\n".join(lines).strip() + "\n"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201 - that is what it is for
