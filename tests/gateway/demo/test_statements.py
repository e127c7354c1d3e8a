"""What the demo's bank sends is a statement like any other: the reader gets from it just what was paid."""

import datetime as dt
from typing import Literal

import pytest

from canonical.money import Money
from gateway.demo.statements import ACCOUNTS, Received, statement
from system_apis.bank_files.reader import read_statement

KINDS: tuple[Literal["mt940", "camt053"], ...] = ("mt940", "camt053")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entity", ACCOUNTS)
def test_the_reader_gets_what_was_paid(kind: Literal["mt940", "camt053"], entity: str) -> None:
    """One balanced statement of the entity's account: the credit with payer, reference and text, and a fee that is no credit."""
    paid = Received(
        entity=entity,
        number=7,
        on=dt.date(2026, 1, 5),
        amount=Money("15508.30", "EUR"),
        payer="Muster & Söhne Maschinenbau GmbH",
        reference="INV-TR-00012",
        text="Rechnung INV-TR-00012 und INV-TR-00013, abzüglich 500 bis zur Abnahme",
    )
    (found,) = read_statement(statement(kind, paid))
    credit, fee = found.lines
    assert (found.account, found.balanced, found.warnings) == (ACCOUNTS[entity][0], True, ())
    assert (credit.direction, credit.amount, credit.booking_date, credit.status) == ("credit", paid.amount, paid.on, "booked")
    assert (credit.counterparty.name, credit.remittance_text) == (paid.payer, paid.text)
    assert credit.references.end_to_end_id == paid.reference
    assert (fee.direction, fee.amount) == ("debit", Money("4.50", "EUR"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_statement_again_is_the_same_payment(kind: Literal["mt940", "camt053"]) -> None:
    """The id of a line follows from what the bank wrote; another payment over the same amount gets another one."""
    paid = Received(entity="DE01", number=7, on=dt.date(2026, 1, 5), amount=Money("10.00", "EUR"), payer="A", text="x")
    other = Received(entity="DE01", number=8, on=dt.date(2026, 1, 5), amount=Money("10.00", "EUR"), payer="A", text="x")
    ids = [read_statement(statement(kind, one))[0].lines[0].id for one in (paid, paid, other)]
    assert ids[0] == ids[1] != ids[2]
