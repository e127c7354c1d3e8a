"""A second opinion: the mt-940 library and this reader agree on dates, amounts, marks and references.

The library is not what reads the files. Its release 5.1.1 cuts an amount off at what it does not expect (``1.234,56`` is 1, the
seventeenth digit is dropped), lets a line without a transaction type be overwritten by the next, keeps only the last of two equal
subfields, puts an ``:86:`` about the statement on its last line, logs what it cannot read, and opens a file whose *name* it is given
as content. Where a statement has none of these, it is an independent witness.
"""

import datetime as dt
import logging
import os
import re
from pathlib import Path
from typing import Any

import mt940
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canonical.bank_statement import BankLine
from system_apis.bank_files.reader import StatementRefused, read_statement
from system_apis.bank_files.wording import decoded, reference
from tests.system_apis.bank_files.samples import mt940 as written

REPOSITORY = Path(__file__).resolve().parents[3]
STATEMENTS = Path(os.environ.get("Q2C_SHARED", REPOSITORY.parent / "shared")) / "data" / "bank-statements" / "mt940"

Seen = tuple[str, str, str, str, str]


def ours(line: BankLine) -> Seen:
    sign = "" if line.direction == "credit" else "-"
    return (
        str(line.value_date),
        str(line.booking_date),
        f"{sign}{line.amount.amount}",
        line.references.bank,
        line.transaction_code[:4].strip(),
    )


def theirs(data: dict[str, Any]) -> Seen:
    entry_date = data.get("entry_date")
    booked = entry_date if isinstance(entry_date, dt.date) else data["date"]
    amount = f"{data['amount'].amount:.2f}"
    kind = (data["id"] or "").strip()
    return data["date"].isoformat(), booked.isoformat(), amount, reference(data.get("bank_reference") or ""), kind


def witness(text: str) -> list[Seen]:
    """What the library sees in a file, statement by statement."""
    logging.getLogger("mt940").setLevel(logging.CRITICAL + 1)
    seen = []
    for block in re.split(r"(?m)^(?=:20:)", text):
        tags: dict[int | str, mt940.tags.Tag] | None = (
            {61: mt940.tags.StatementASNB()} if "ASNB" in text else None
        )  # the library must be told about this bank
        statement = mt940.models.Transactions(options=mt940.Options.all(), tags=tags)
        seen += [theirs(transaction.data) for transaction in statement.parse(block)]
    return seen


@pytest.mark.skipif(not STATEMENTS.is_dir(), reason=f"the real bank statements are not there: {STATEMENTS}")
def test_both_see_the_same_lines_in_real_files() -> None:
    """Dates, signed amounts, bank references and kinds of every line of every readable file."""
    compared = 0
    for path in sorted(STATEMENTS.iterdir()):
        data = path.read_bytes()
        try:
            lines = [ours(line) for statement in read_statement(data) for line in statement.lines]
        except StatementRefused:
            continue
        seen = witness(decoded(data))
        # Hungarian banks give their reference in :86:, where the library does not look for it.
        lines = [(*line[:3], line[3] if its[3] else "", line[4]) for line, its in zip(lines, seen, strict=True)]
        assert (path.name, lines) == (path.name, seen)
        compared += len(lines)
    assert compared == 55


_DAYS = st.dates(dt.date(2001, 1, 1), dt.date(2078, 12, 31))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            _DAYS,
            st.integers(-20, 20),
            st.sampled_from(["C", "D", "RC", "RD", "CR", "DR"]),
            st.integers(1, 10**12),
            st.text("AZ09", min_size=1, max_size=16),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_both_see_the_same_lines_in_made_up_files(moves: list[tuple[dt.date, int, str, int, str]]) -> None:
    """Any dates, also around New Year, any marks, any amounts."""
    lines = [
        f":61:{day:%y%m%d}{day + dt.timedelta(days=shift):%m%d}{mark}{cents // 100},{cents % 100:02d}NTRFX//{bank}"
        for day, shift, mark, cents, bank in moves
    ]
    data = written(*lines, closing="")
    (statement,) = read_statement(data)
    assert [ours(line) for line in statement.lines] == witness(data.decode())
    assert [(line.value_date, line.booking_date) for line in statement.lines] == [
        (day, day + dt.timedelta(days=shift)) for day, shift, *_ in moves
    ]
