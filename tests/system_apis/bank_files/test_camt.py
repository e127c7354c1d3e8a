"""CAMT statements: accounts, balances, pages, versions, and entries as lines."""

import datetime as dt

import pytest

from canonical.bank_statement import Balance, Counterparty
from canonical.money import Money
from system_apis.bank_files.reader import StatementRefused, read_statement
from tests.system_apis.bank_files.samples import ACCOUNT, balance, camt, detail, entry, only, only_line


def refusal(data: bytes) -> str:
    with pytest.raises(StatementRefused) as caught:
        read_statement(data)
    return caught.value.reason


def test_a_statement_has_its_account_number_balances_and_dates() -> None:
    """The head of a CAMT.053: account with owner, number, both balances, and a check that they fit."""
    head = (
        "<FrToDt><FrDtTm>2024-01-31T00:00:00+01:00</FrDtTm><ToDtTm>2024-01-31T23:59:59+01:00</ToDtTm></FrToDt>"
        + balance("OPBD", "1000.00", "2024-01-30")
        + balance("CLBD", "1250.00")
    )
    own = f"<Id><IBAN>{ACCOUNT}</IBAN></Id><Ccy>EUR</Ccy><Ownr><Nm>Südwind AG</Nm></Ownr>"
    statement = only(read_statement(camt(entry("250.00", detail()), head=head, account=own)))
    assert (statement.format, statement.account, statement.account_owner) == ("camt.053.001.02", ACCOUNT, "Südwind AG")
    assert (statement.currency, statement.reference, statement.number) == ("EUR", "ST-1", "12")
    assert statement.opening == Balance(amount=Money("1000", "EUR"), on=dt.date(2024, 1, 30))
    assert statement.closing == Balance(amount=Money("1250", "EUR"), on=dt.date(2024, 1, 31))
    assert (statement.from_date, statement.to_date) == (dt.date(2024, 1, 31), dt.date(2024, 1, 31))
    assert (statement.balanced, statement.warnings) == (True, ())


def test_an_entry_with_one_transaction_is_one_line_with_all_it_tells() -> None:
    """Dates, amount, counterparty, references and text of a single payment."""
    line = only_line(read_statement(camt(entry("250.00", detail(), more="<AddtlNtryInf>Gutschrift</AddtlNtryInf>"))))
    assert (line.booking_date, line.value_date) == (dt.date(2024, 1, 31), dt.date(2024, 2, 1))
    assert (line.amount, line.direction, line.status, line.batch) == (Money("250", "EUR"), "credit", "booked", None)
    assert line.counterparty == Counterparty(name="Nordlicht GmbH", account="FR7630006000011234567890189")
    assert (line.references.end_to_end_id, line.references.bank) == ("E2E-1", "BANK-77")
    assert (line.remittance_text, line.booking_text, line.transaction_code) == ("Invoice INV-1001", "Gutschrift", "PMNT-RCDT-ESCT")


@pytest.mark.parametrize("version", range(1, 14))
@pytest.mark.parametrize("kind", ["052", "053", "054"])
def test_every_version_of_every_message_is_read(kind: str, version: int) -> None:
    """Versions 1 to 13, with the status and the parties where that version puts them."""
    new = version >= 8
    party = "<Pty><Nm>Nordlicht GmbH</Nm></Pty>" if new else "<Nm>Nordlicht GmbH</Nm>"
    account = "<PrtryAcct><Id>77-1</Id></PrtryAcct>" if version == 1 else "<Othr><Id>77-1</Id></Othr>"
    inside = (
        f"<TxDtls><RltdPties><Dbtr>{party}</Dbtr><DbtrAcct><Id>{account}</Id></DbtrAcct></RltdPties>"
        "<RmtInf><Ustrd>INV-1001</Ustrd></RmtInf></TxDtls>"
    )
    line = only_line(
        read_statement(
            camt(
                entry("250.00", status="<Sts><Cd>BOOK</Cd></Sts>" if new else "<Sts>BOOK</Sts>", more=inside)
                if version == 1
                else entry("250.00", inside, status="<Sts><Cd>BOOK</Cd></Sts>" if new else "<Sts>BOOK</Sts>"),
                kind=kind,
                version=version,
            )
        )
    )
    assert (line.status, line.counterparty.name, line.counterparty.account) == ("booked", "Nordlicht GmbH", "77-1")
    assert line.remittance_text == "INV-1001"


def test_a_version_from_the_future_is_read_with_a_warning() -> None:
    """Version 14 is not refused, but somebody should look."""
    statement = only(read_statement(camt(entry(), version=14)))
    assert statement.warnings == ("version 14 of CAMT.053 is newer than what this reader knows (13)",)


@pytest.mark.parametrize(
    "namespace", ["", ' xmlns="urn:some:bank:own"', ' xmlns="http://www.six-interbank-clearing.com/de/camt.053.001.02"']
)
def test_namespaces_do_not_matter(namespace: str) -> None:
    """No namespace, a bank's own, or a prefix on every element give the same line."""
    data = camt(entry("250.00", detail())).decode()
    plain = data.replace(' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"', namespace)
    assert only_line(read_statement(plain.encode())) == only_line(read_statement(data.encode()))


def test_prefixes_comments_and_an_envelope_do_not_matter() -> None:
    """A document with prefixes, comments in mid-text and a business header around it reads the same."""
    data = camt(entry("250.00", detail())).decode()
    prefixed = data.replace("<", "<n:").replace("<n:/", "</n:").replace("<n:?", "<?").replace("xmlns=", "xmlns:n=")
    commented = data.replace("Invoice INV", "Invoice <!-- here -->INV")
    declaration, body = data.split("?>", 1)
    wrapped = f"{declaration}?><Envelope><AppHdr><Fr/></AppHdr>{body}</Envelope>"
    for other in (prefixed, commented, wrapped):
        assert only_line(read_statement(other.encode())) == only_line(read_statement(data.encode()))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_the_declared_encoding_is_honoured(encoding: str) -> None:
    """Bank files come in several encodings; the letters stay letters."""
    data = camt(entry("250.00", detail(name="Müller & Söhne".replace("&", "&amp;")))).decode().replace("UTF-8", encoding)
    assert only_line(read_statement(data.encode(encoding))).counterparty.name == "Müller & Söhne"


def test_several_statements_and_messages_are_all_read() -> None:
    """Two statements in one message stay two, in their order."""
    data = camt(entry("1.00")).decode()
    body = data[data.index("<Stmt>") : data.index("</BkToCstmrStmt>")]
    statements = read_statement(data.replace(body, body + body.replace(ACCOUNT, "OTHER-1")).encode())
    assert [statement.account for statement in statements] == [ACCOUNT, "OTHER-1"]


@pytest.mark.parametrize(
    ("head", "opening", "closing", "balanced"),
    [
        (balance("OPBD", "0.00") + balance("CLBD", "250.00"), "0.00 EUR", "250.00 EUR", True),
        (balance("PRCD", "0.00") + balance("CLBD", "250.00"), "0.00 EUR", "250.00 EUR", True),
        (balance("OPBD", "250.00", direction="DBIT") + balance("CLBD", "0.00"), "-250.00 EUR", "0.00 EUR", True),
        (balance("ITBD", "10.00") + balance("ITBD", "260.00"), "10.00 EUR", "260.00 EUR", True),
        (balance("OPBD", "1.00") + balance("CLBD", "250.00"), "1.00 EUR", "250.00 EUR", False),
        (balance("CLBD", "250.00") + balance("CLAV", "999.00"), None, "250.00 EUR", None),
        (balance("OPBD", "0.00") + balance("CLBD", "250.00", currency="USD"), "0.00 EUR", "250.00 USD", None),
        ("", None, None, None),
    ],
)
def test_balances_are_found_by_their_type_and_checked(head: str, opening: str | None, closing: str | None, balanced: bool | None) -> None:
    """Opening and closing, their stand-ins, overdrawn ones, and what cannot be checked."""
    statement = only(read_statement(camt(entry("250.00"), head=head)))
    assert (statement.opening and str(statement.opening.amount)) == opening
    assert (statement.closing and str(statement.closing.amount)) == closing
    assert statement.balanced is balanced
    assert bool(statement.warnings) is (balanced is False or closing == "250.00 USD")


@pytest.mark.parametrize(
    "gap",
    [
        "<TxsSummry><TtlNtries><NbOfNtries>35</NbOfNtries></TtlNtries></TxsSummry>",
        "<StmtPgntn><PgNb>2</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>",
        "<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>",
    ],
)
def test_a_statement_with_missing_lines_is_not_checked_but_warned_about(gap: str) -> None:
    """Where the bank says that there is more than is in the file, a wrong sum is no surprise."""
    statement = only(read_statement(camt(entry("250.00"), head=gap + balance("OPBD", "0.00") + balance("CLBD", "9.00"))))
    assert (statement.complete, statement.balanced, len(statement.warnings)) == (False, None, 1)
    whole = (
        "<TxsSummry><TtlNtries><NbOfNtries>1</NbOfNtries></TtlNtries></TxsSummry>"
        "<StmtPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>"
    )
    assert only(read_statement(camt(entry("250.00"), head=whole))).complete is True


def test_only_booked_entries_count_against_the_balances() -> None:
    """Pending and merely informative entries do not move the balance."""
    entries = [entry("250.00"), entry("99.00", status="<Sts>PDNG</Sts>"), entry("5.00", status="<Sts>INFO</Sts>")]
    statement = only(read_statement(camt(*entries, head=balance("OPBD", "0.00") + balance("CLBD", "250.00"))))
    assert [line.status for line in statement.lines] == ["booked", "pending", "information"]
    assert statement.balanced is True


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (camt(entry("250.005")), "entry 1: EUR has 2 decimals"),
        (camt(entry("1.5", currency="JPY")), "JPY has 0 decimals"),
        (camt(entry(currency="XXX")), "'XXX' is not an ISO 4217 currency"),
        (camt(entry(), currency="DEM"), "'DEM' is not an ISO 4217 currency"),
        (camt(entry(currency="")), "is not an ISO 4217 currency"),
        (camt(entry("-5.00")), "'-5.00' is not an amount"),
        (camt(entry("1e3")), "'1e3' is not an amount"),
        (camt(entry("NaN")), "'NaN' is not an amount"),
        (camt(entry("1,50")), "'1,50' is not an amount"),
        (camt(entry("")), "'' is not an amount"),
        (camt(entry("1" * 19)), "entry 1"),
        (camt(entry("9" * 18), entry("9" * 18)), "more than 18 digits"),
        (camt(entry(direction="CREDIT")), "says neither credit (CRDT) nor debit (DBIT)"),
        (camt(entry(dates="<BookgDt><Dt>2024-02-30</Dt></BookgDt>")), "'2024-02-30' is not a date"),
        (camt(entry(dates="<BookgDt><Dt>yesterday</Dt></BookgDt>")), "'yesterday' is not a date"),
        (camt(entry().replace("<Amt", "<Betrag").replace("</Amt", "</Betrag")), "has no amount"),
        (camt(entry(), account=""), "names no account"),
        (b"<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.052.001.02'/>", "no CAMT.052, CAMT.053 or CAMT.054 message"),
        (b"<Document><BkToCstmrStmt><GrpHdr/></BkToCstmrStmt></Document>", "holds no statement"),
        (b"<html><body>Session expired</body></html>", "no CAMT.052, CAMT.053 or CAMT.054 message"),
        (camt(entry())[:-40], "not well-formed XML"),
    ],
)
def test_what_cannot_be_a_statement_is_refused_with_the_place(data: bytes, reason: str) -> None:
    """Each refusal says what is wrong and where."""
    assert reason in refusal(data)


def test_amounts_are_exact_whatever_way_they_are_written() -> None:
    """Leading zeros, a plus sign, trailing zeros beyond the minor unit: the same money."""
    for written in ("250", "250.0", "250.000", "0250.00", "+250.00", " 250.00 "):
        assert only_line(read_statement(camt(entry(written)))).amount == Money("250.00", "EUR")


def test_a_statement_without_movement_may_leave_out_its_currency() -> None:
    """An empty report that names no currency is no reason to call somebody."""
    statement = only(read_statement(camt(currency="", kind="052")))
    assert (statement.currency, statement.lines, statement.balanced) == (None, (), None)
