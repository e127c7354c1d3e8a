"""Entries of CAMT messages: collective bookings, sides, references and texts."""

import pytest

from canonical.bank_statement import Counterparty
from canonical.money import Money
from system_apis.bank_files.reader import read_statement
from tests.system_apis.bank_files.samples import ACCOUNT, camt, detail, entry, only, only_line


def test_a_collective_booking_gives_a_line_for_each_transaction() -> None:
    """One entry of 300, two payers: two lines with their own amounts, names and texts, and the whole beside them."""
    batch = "<Btch><MsgId>MSG-9</MsgId><PmtInfId>PI-9</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>"
    data = camt(entry("300.00", detail("120.00", name="A"), detail("180.00", name="B", text="INV-1002", end_to_end="E2E-2"), batch=batch))
    first, second = only(read_statement(data)).lines
    assert [(line.counterparty.name, str(line.amount)) for line in (first, second)] == [("A", "120.00 EUR"), ("B", "180.00 EUR")]
    assert (second.remittance_text, second.references.end_to_end_id) == ("INV-1002", "E2E-2")
    assert first.batch
    assert (first.batch.position, first.batch.transactions, first.batch.amount) == (1, 2, Money("300", "EUR"))
    assert (first.batch.entry_reference, first.batch.message_id, first.batch.payment_id) == ("BANK-77", "MSG-9", "PI-9")


@pytest.mark.parametrize(
    "details",
    [
        (detail("120.00"), detail("181.00", end_to_end="E2E-2")),  # do not add up
        (detail("300.00"), detail("", end_to_end="E2E-2")),  # one has no amount
        (detail(), detail(end_to_end="E2E-2")),  # none has
        (detail("120.00").replace('Ccy="EUR"', 'Ccy="USD"'), detail("180.00", end_to_end="E2E-2")),  # another currency
    ],
)
def test_transactions_that_do_not_make_the_entry_leave_it_whole(details: tuple[str, ...]) -> None:
    """An entry whose parts are unclear is one line of its full amount, with what all parts agree on, and a warning."""
    statement = only(read_statement(camt(entry("300.00", *details))))
    (line,) = statement.lines
    assert line.amount == Money("300", "EUR")
    assert line.counterparty.name == "Nordlicht GmbH"
    assert (line.references.end_to_end_id, line.remittance_text) == ("", "Invoice INV-1001")
    assert line.batch
    assert (line.batch.position, line.batch.transactions) == (0, 2)
    assert "do not add up to 300.00 EUR; the entry is kept whole" in statement.warnings[0]


def test_a_batch_without_its_transactions_says_how_many_there_are() -> None:
    """Many banks book the sum and deliver the parts elsewhere."""
    line = only_line(read_statement(camt(entry("300.00", batch="<Btch><NbOfTxs>12</NbOfTxs></Btch>"))))
    assert line.batch
    assert (line.batch.position, line.batch.transactions, line.amount) == (0, 12, Money("300", "EUR"))


def test_parts_may_go_the_other_way() -> None:
    """A return netted in a collective credit is a debit line; the signed parts make the entry."""
    back = detail("50.00", name="B", end_to_end="E2E-2").replace("<RltdPties>", "<CdtDbtInd>DBIT</CdtDbtInd><RltdPties>")
    lines = only(read_statement(camt(entry("250.00", detail("300.00", name="A"), back)))).lines
    assert [(line.direction, str(line.amount)) for line in lines] == [("credit", "300.00 EUR"), ("debit", "50.00 EUR")]


def test_one_transaction_in_another_currency_keeps_the_amount_of_the_entry() -> None:
    """What was instructed in dollars is booked in euros: the booking counts, the party is known."""
    foreign = detail("270.00").replace('Ccy="EUR"', 'Ccy="USD"')
    statement = only(read_statement(camt(entry("250.00", foreign))))
    assert (statement.lines[0].amount, statement.lines[0].counterparty.name) == (Money("250", "EUR"), "Nordlicht GmbH")
    assert statement.warnings == ()


_BOTH = (
    "<TxDtls><RltdPties><Dbtr><Nm>Payer</Nm></Dbtr><DbtrAcct><Id><IBAN>{payer}</IBAN></Id></DbtrAcct>"
    "<UltmtDbtr><Nm>For whom</Nm></UltmtDbtr>"
    "<Cdtr><Nm>Payee</Nm></Cdtr><CdtrAcct><Id><IBAN>{payee}</IBAN></Id></CdtrAcct></RltdPties>"
    "<RltdAgts><DbtrAgt><FinInstnId><BIC>BNPAFRPP</BIC></FinInstnId></DbtrAgt><CdtrAgt><FinInstnId><BICFI>COBADEFF</BICFI></FinInstnId></CdtrAgt>"
    "</RltdAgts></TxDtls>"
)


@pytest.mark.parametrize(
    ("direction", "reversal", "payer", "payee", "name", "bank"),
    [
        ("CRDT", "false", "FR1", ACCOUNT, "Payer", "BNPAFRPP"),
        ("DBIT", "false", ACCOUNT, "FR1", "Payee", "COBADEFF"),
        ("DBIT", "true", "FR1", ACCOUNT, "Payer", "BNPAFRPP"),  # a credit taken back: still from the payer
        ("CRDT", "1", ACCOUNT, "FR1", "Payee", "COBADEFF"),  # a debit given back
        ("CRDT", "false", ACCOUNT, "FR1", "Payee", "COBADEFF"),  # the sides of the order, and we are its payer
    ],
)
def test_the_counterparty_is_the_other_side(direction: str, reversal: str, payer: str, payee: str, name: str, bank: str) -> None:
    """Who paid us, or whom we paid; on a reversal the sides are those of what is reversed; never ourselves."""
    parties = _BOTH.format(payer=payer, payee=payee)
    line = only_line(read_statement(camt(entry("1.00", parties, direction=direction, more=f"<RvslInd>{reversal}</RvslInd>"))))
    assert (line.counterparty.name, line.counterparty.account, line.counterparty.bank) == (name, "FR1", bank)
    assert line.counterparty.ultimate_name == ("For whom" if name == "Payer" else "")
    assert line.reversal is (reversal in {"true", "1"})


def test_names_are_found_where_a_bank_puts_them() -> None:
    """On the account, as the ultimate payer only, or as a bank that is the party itself."""

    def name_of(parties: str) -> Counterparty:
        return only_line(read_statement(camt(entry("1.00", f"<TxDtls><RltdPties>{parties}</RltdPties></TxDtls>")))).counterparty

    assert name_of("<DbtrAcct><Id><BBAN>123</BBAN></Id><Nm>On the account</Nm></DbtrAcct>") == Counterparty(
        name="On the account", account="123"
    )
    assert name_of("<UltmtDbtr><Nm>Ultimate</Nm></UltmtDbtr>") == Counterparty(name="Ultimate", ultimate_name="Ultimate")
    assert name_of("<Dbtr><Agt><FinInstnId><Nm>A Bank</Nm></FinInstnId></Agt></Dbtr>").name == "A Bank"
    assert name_of("<Cdtr><Nm>Wrong side</Nm></Cdtr>").name == "Wrong side"


def test_structured_remittance_gives_creditor_references_and_document_numbers() -> None:
    """RF and ISR references and invoice numbers come as they are, each once, and lead the list of references."""
    more = (
        "<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId><MndtId>MD-1</MndtId><TxId>TX-1</TxId><InstrId>IN-1</InstrId></Refs><RmtInf>"
        "<Strd><RfrdDocInf><Nb>INV-1001</Nb></RfrdDocInf><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd>"
        "<Strd><RfrdDocInf><Nb>INV-1002</Nb></RfrdDocInf><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf>"
        "<AddtlRmtInf>less 2% discount</AddtlRmtInf></Strd></RmtInf></TxDtls>"
    )
    line = only_line(read_statement(camt(entry("1.00", more))))
    assert line.references.creditor == ("RF18539007547034",)
    assert line.references.documents == ("INV-1001", "INV-1002")
    assert line.references.every() == ("RF18539007547034", "INV-1001", "INV-1002", "IN-1", "MD-1", "TX-1", "BANK-77")
    assert line.remittance_text == "less 2% discount"


def test_a_long_text_is_cut_into_blocks_and_joined_again() -> None:
    """Blocks of 140 characters go on without a space, shorter ones with one."""
    block = "x" * 137 + "INV"
    blocks = f"<TxDtls><RmtInf><Ustrd>{block}</Ustrd><Ustrd>-1001</Ustrd><Ustrd>thanks</Ustrd></RmtInf></TxDtls>"
    assert only_line(read_statement(camt(entry("1.00", blocks)))).remittance_text == f"{block}-1001 thanks"


@pytest.mark.parametrize(
    ("kind", "status", "expected", "warned"),
    [
        ("053", "<Sts>BOOK</Sts>", "booked", False),
        ("052", "<Sts><Cd>PDNG</Cd></Sts>", "pending", False),
        ("052", "<Sts><Cd>FUTR</Cd></Sts>", "pending", False),
        ("054", "<Sts>INFO</Sts>", "information", False),
        ("053", "", "booked", False),
        ("054", "", "pending", True),
        ("053", "<Sts><Prtry>SOON</Prtry></Sts>", "pending", True),
        ("053", "<Sts><Cd>NEWS</Cd></Sts>", "pending", True),
    ],
)
def test_what_is_not_surely_booked_is_not_cash(kind: str, status: str, expected: str, warned: bool) -> None:
    """The status of each version; an unknown one counts as pending and is reported."""
    statement = only(read_statement(camt(entry("1.00", status=status), kind=kind)))
    assert statement.lines[0].status == expected
    assert bool(statement.warnings) is warned


def test_dates_may_be_missing_or_carry_a_time() -> None:
    """A notification without dates has none; a time of day with zone gives the day of the bank."""
    line = only_line(read_statement(camt(entry("1.00", dates=""), kind="054")))
    assert (line.booking_date, line.value_date) == (None, None)
    line = only_line(read_statement(camt(entry("1.00", dates="<BookgDt><DtTm>2024-01-31T23:30:00-05:00</DtTm></BookgDt>"))))
    assert str(line.booking_date) == "2024-01-31"
