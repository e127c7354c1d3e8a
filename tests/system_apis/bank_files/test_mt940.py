"""MT940 and MT942: balances, lines, dates, amounts, and everything around them that banks bend."""

import datetime as dt

import pytest

from canonical.bank_statement import Balance
from canonical.money import Money
from system_apis.bank_files.reader import StatementRefused, read_statement
from tests.system_apis.bank_files.samples import ACCOUNT, LINE, mt940, only, only_line


def refusal(data: bytes) -> str:
    with pytest.raises(StatementRefused) as caught:
        read_statement(data)
    assert caught.value.code == "statement_refused"
    return caught.value.reason


def test_a_statement_has_its_account_number_balances_and_dates() -> None:
    """The head of a statement: account, currency, number, both balances with their days."""
    statement = only(read_statement(mt940(LINE)))
    assert (statement.format, statement.account, statement.currency) == ("mt940", ACCOUNT, "EUR")
    assert (statement.reference, statement.number) == ("STMT-0131", "00012/00001")
    assert statement.opening == Balance(amount=Money("1000", "EUR"), on=dt.date(2024, 1, 30))
    assert statement.closing == Balance(amount=Money("1250", "EUR"), on=dt.date(2024, 1, 31))
    assert (statement.from_date, statement.to_date) == (dt.date(2024, 1, 30), dt.date(2024, 1, 31))
    assert statement.balanced is True
    assert statement.warnings == ()


def test_a_line_has_its_dates_amount_direction_and_references() -> None:
    """A line of :61: with value and booking date, customer reference and bank reference."""
    line = only_line(read_statement(mt940(":61:2401310201CR250,00NTRFINV-1001//BANK-77")))
    assert (line.value_date, line.booking_date) == (dt.date(2024, 1, 31), dt.date(2024, 2, 1))
    assert (line.amount, line.direction, line.reversal, line.status) == (Money("250", "EUR"), "credit", False, "booked")
    assert (line.references.customer, line.references.bank, line.transaction_code) == ("INV-1001", "BANK-77", "NTRF")


@pytest.mark.parametrize(
    ("mark", "direction", "reversal", "status"),
    [
        ("C", "credit", False, "booked"),
        ("D", "debit", False, "booked"),
        ("CR", "credit", False, "booked"),  # the R is the third letter of the currency
        ("DR", "debit", False, "booked"),
        ("RC", "debit", True, "booked"),  # a reversed credit takes the money out again
        ("RD", "credit", True, "booked"),
        ("RCR", "debit", True, "booked"),
        ("EC", "credit", False, "pending"),  # expected, not yet booked
    ],
)
def test_the_mark_says_which_way_the_money_went(mark: str, direction: str, reversal: bool, status: str) -> None:
    """Credit, debit, their reversals, and the funds code that looks like one."""
    line = only_line(read_statement(mt940(f":61:240131{mark}250,00NTRFNONREF", opening="C240130EUR0,00", closing="")))
    assert (line.direction, line.reversal, line.status) == (direction, reversal, status)


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("250,00", "250.00"),
        ("250,", "250.00"),
        ("250,5", "250.50"),
        ("250", "250.00"),
        ("000000000250,00", "250.00"),
        ("250.00", "250.00"),
        ("0,00", "0.00"),
    ],
)
def test_amounts_are_taken_as_banks_write_them(written: str, amount: str) -> None:
    """A missing fraction, a short one, leading zeros, a point for the comma."""
    assert only_line(read_statement(mt940(f":61:240131C{written}NTRFNONREF", closing=""))).amount == Money(amount, "EUR")


@pytest.mark.parametrize("written", ["1.234,56", "1,2,3", "250,005", "12345678901234567890,00", "1 250,00", "", "-5,00", "٢٥٠,00"])
def test_an_amount_that_is_not_plain_is_refused_not_cut(written: str) -> None:
    """Thousands separators, third decimals, 20 digits and foreign digits are refused with the place; nothing is guessed."""
    assert "line 1" in refusal(mt940(f":61:240131C{written}NTRFNONREF", closing=""))


def test_a_line_without_a_transaction_type_is_not_overwritten_by_the_next() -> None:
    """Two lines stay two where the bank leaves out the type of movement."""
    statement = only(read_statement(mt940(":61:240131C100,00", ":61:240131C150,00")))
    assert [str(line.amount) for line in statement.lines] == ["100.00 EUR", "150.00 EUR"]
    assert statement.balanced is True


def test_an_empty_entry_date_takes_the_value_date() -> None:
    """Neither a missing entry date nor one of four blanks is a reason to refuse."""
    for entry_date in ("", "    "):
        line = only_line(read_statement(mt940(f":61:240131{entry_date}C250,00NTRFNONREF")))
        assert line.booking_date == line.value_date == dt.date(2024, 1, 31)


@pytest.mark.parametrize(
    ("dates", "value", "booked"),
    [
        ("2312311231", "2023-12-31", "2023-12-31"),
        ("2312310102", "2023-12-31", "2024-01-02"),
        ("2401021229", "2024-01-02", "2023-12-29"),
        ("2402290229", "2024-02-29", "2024-02-29"),
        ("2402300301", "2024-02-29", "2024-03-01"),  # 30 February: the bankers' month end
        ("2302300230", "2023-02-28", "2023-02-28"),
        ("9912311231", "1999-12-31", "1999-12-31"),
    ],
)
def test_the_entry_date_gets_the_year_that_lies_closest(dates: str, value: str, booked: str) -> None:
    """Around New Year the booking date may lie in the other year; 30 February is the last day of February."""
    line = only_line(read_statement(mt940(f":61:{dates}C250,00NTRFNONREF")))
    assert (str(line.value_date), str(line.booking_date)) == (value, booked)


@pytest.mark.parametrize("date", ["241331", "240431", "240100", "240231", "2401319999"])
def test_a_day_that_never_was_is_refused(date: str) -> None:
    """Month 13, 31 April, day 0 and 31 February are no dates."""
    assert "line 1" in refusal(mt940(f":61:{date}C250,00NTRFNONREF"))


@pytest.mark.parametrize(
    ("written", "account", "currency"),
    [
        ("51210600/9223382012EUR", "51210600/9223382012", "EUR"),
        ("UBRTHUHB/123456789150ABCDEF002/EUR", "UBRTHUHB/123456789150ABCDEF002", "EUR"),
        ("NL08INGB0000001234 EUR", "NL08INGB0000001234", "EUR"),
        ("NL08INGB0000001234", "NL08INGB0000001234", "EUR"),
        ("MU43BOMM0101123456789101000MUR", "MU43BOMM0101123456789101000MUR", "EUR"),
        ("CLUBEUR", "CLUBEUR", "EUR"),
    ],
)
def test_the_currency_may_hang_on_the_account(written: str, account: str, currency: str) -> None:
    """A currency glued to :25: is cut off, but not from an IBAN that ends in one by right, nor from a name."""
    statement = only(read_statement(f":20:A\n:25:{written}\n:60F:C240130EUR1,00\n:62F:C240130EUR1,00\n".encode()))
    assert (statement.account, statement.currency) == (account, currency)


def test_without_balances_the_account_names_the_currency() -> None:
    """Lines can be read without any balance when :25: carries the currency; the statement then cannot be checked."""
    statement = only(read_statement(b":20:A\n:25:51210600/9223382012EUR\n:61:240131C50,00NTRFNONREF\n"))
    assert (statement.currency, str(statement.lines[0].amount), statement.balanced) == ("EUR", "50.00 EUR", None)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: body,
        lambda body: body.removesuffix("-\r\n").rstrip(),
        lambda body: body.replace("\r\n", "\n"),
        lambda body: body.replace("\r\n", "\r"),
        lambda body: "\r\n\r\n" + body + "\r\n\r\n",
        lambda body: "\x01" + body.replace("-\r\n", "-\x03\r\n"),
        lambda body: "{1:F01BANKDEFFAXXX0000000000}{2:O940BANKDEFFXXXXN}{3:}{4:\r\n" + body.replace("-\r\n", "-}{5:}\r\n"),
        lambda body: "{1:F01BANKDEFFAXXX0000000000}{4:" + body.replace("-\r\n", "-}\r\n"),
        lambda body: ":940:\r\n" + body,
        lambda body: "\ufeff" + body,
        lambda body: body.replace(":86:", ":\r\n86:"),
        lambda body: body.replace("CR250", "CR\r\n250"),
    ],
)
def test_what_stands_around_the_fields_does_not_matter(wrap: object) -> None:
    """Envelopes, dashes, control characters, headlines, a byte-order mark and any kind of line end give the same statement."""
    body = mt940(LINE, ":86:166?00GUTSCHRIFT?20SVWZ+INV-1001?32Nordlicht").decode()
    assert callable(wrap)
    assert read_statement(wrap(body).encode()) == read_statement(body.encode())


def test_text_in_an_old_code_page_is_read() -> None:
    """German umlauts in Windows-1252 and Hungarian accents in code page 852 come out as letters."""
    data = mt940(LINE, ":86:166?00GUTSCHRIFT?20SVWZ+Rechnung?32Müller Söhne").decode()
    assert only_line(read_statement(data.encode("cp1252"))).counterparty.name == "Müller Söhne"
    data = data.replace("Müller Söhne", "Átutalás jóváírása")
    assert only_line(read_statement(data.encode("cp852"))).counterparty.name == "Átutalás jóváírása"
    assert only_line(read_statement(data.encode("utf-16"))).counterparty.name == "Átutalás jóváírása"


def test_a_file_with_several_statements_keeps_them_apart() -> None:
    """Each :20: opens a statement with its own balances; a day without lines is a statement too."""
    data = mt940(LINE) + mt940(opening="C240131EUR1250,00", closing="C240131EUR1250,00") + mt940(LINE, opening="D240131EUR1,00", closing="")
    statements = read_statement(data)
    assert [len(statement.lines) for statement in statements] == [1, 0, 1]
    assert [statement.balanced for statement in statements] == [True, True, None]
    assert statements[2].opening == Balance(amount=Money("-1", "EUR"), on=dt.date(2024, 1, 31))


def test_accounts_stay_apart_where_the_bank_leaves_out_the_reference() -> None:
    """Without :20: a second account still opens a second statement."""
    block = ":25:{}\n:60F:C240130EUR1,00\n:62F:C240130EUR1,00\n"
    statements = read_statement((block.format("ONE1") + block.format("TWO2")).encode())
    assert [statement.account for statement in statements] == ["ONE1", "TWO2"]


def test_balances_that_do_not_fit_the_lines_are_a_warning() -> None:
    """A statement that does not add up is read, says so in numbers, and is not refused."""
    statement = only(read_statement(mt940(LINE, closing="C240131EUR1300,00")))
    assert statement.balanced is False
    assert statement.warnings == ("opening balance and lines make 1250.00 EUR, the closing balance says 1300.00 EUR",)


def test_what_is_said_about_the_statement_is_not_put_on_its_last_line() -> None:
    """An :86: after the closing balance speaks about the statement."""
    statement = only(read_statement(mt940(LINE, ":86:about the line") + b":86:about the whole statement\r\n"))
    assert statement.lines[0].remittance_text == "about the line"


def test_a_line_after_the_closing_balance_is_kept_and_pointed_out() -> None:
    """Nothing is dropped, but a line that no balance covers gets a warning."""
    statement = only(read_statement(mt940(LINE) + LINE.encode()))
    assert len(statement.lines) == 2
    assert statement.warnings[0] == "1 line(s) stand after the closing balance"


def test_an_interim_report_gives_pending_lines() -> None:
    """MT942 has no balances; its currency comes from the floor limit, and its lines are not cash yet."""
    data = f":20:A\n:25:{ACCOUNT}\n:28C:1/1\n:34F:EURC0,00\n:13D:2401311200+0100\n{LINE}\n:90D:0EUR0,00\n:90C:1EUR250,00\n"
    statement = only(read_statement(data.encode()))
    assert (statement.format, statement.currency, statement.balanced) == ("mt942", "EUR", None)
    assert [line.status for line in statement.lines] == ["pending"]


def test_the_same_money_has_the_same_id_in_the_interim_report_and_the_statement() -> None:
    """What was seen as pending is recognised when it is booked."""
    interim = f":20:A\n:25:{ACCOUNT}\n:34F:EURC0,00\n:13D:2401311200\n{LINE}\n:86:INV-1001\n".encode()
    assert only_line(read_statement(interim)).id == only_line(read_statement(mt940(LINE, ":86:INV-1001"))).id


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b":940:\n", "holds no statement"),
        (b":20:A\n:60F:C240130EUR1,00\n", "names no account (:25:)"),
        (b":62F:C240130EUR1,00", "names no account (:25:)"),
        (b":20:A\n:25:ACC1\n", "neither a balance (:60F:, :62F:) nor a line (:61:)"),
        (b":20:A\n:25:ACC1\n:61:240131C1,00NTRF\n", "names no currency"),
        (b":20:A\n:25:ACC1\n:34F:XXXC0,\n:61:240131C1,00NTRF\n", "'XXX' is not an ISO 4217 currency"),
        (b":20:A\n:25:ACC1\n:60F:C240130DEM1,00\n", "'DEM' is not an ISO 4217 currency"),
        (b":20:A\n:25:ACC1\n:60F:C240130JPY1,50\n", "JPY has 0 decimals"),
        (b":20:A\n:25:ACC1\n:60F:C240130EUR1,00\n:62F:C240130USD1,00\n", "several currencies: EUR, USD"),
        (b":20:A\n:25:ACC1EUR\n:60F:C240130USD1,00\n", "several currencies: EUR, USD"),
        (b":20:A\n:25:ACC1\n:60F:X240130EUR1,00\n", "is not a balance"),
        (b":20:A\n:25:ACC1\n:60F:C240130EUR1234567890123456789,00\n", "opening balance"),
        (b":20:A\n:25:ACC1\n:60F:C240130EUR1,00\n:61:nonsense\n", "is not a statement line"),
        (b":20:A\n:25:ACC1\n:60F:C240130EUR1,00\n:86:" + b"x" * 20_001, "no bank writes more than 20,000"),
        (b":20:A\n:25:ACC1\n:60F:C240130EUR1,00\n" + b":61:240131C999999999999999999,00NTRF\n" * 2, "more than 18 digits"),
    ],
)
def test_what_cannot_be_a_statement_is_refused_with_the_place(data: bytes, reason: str) -> None:
    """Each refusal says what is missing or wrong, and in which statement."""
    assert reason in refusal(data)
