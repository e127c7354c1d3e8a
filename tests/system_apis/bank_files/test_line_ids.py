"""The id of a line: the same money is recognised however often and in whatever wrapping it arrives."""

import msgspec
import pytest

from canonical.bank_statement import BankLine, BankStatement
from canonical.money import Money
from canonical.provenance import Id
from system_apis.bank_files.reader import read_statement
from tests.system_apis.bank_files.samples import LINE, balance, camt, detail, entry, mt940


def ids(data: bytes) -> list[str]:
    return [line.id for statement in read_statement(data) for line in statement.lines]


@pytest.mark.parametrize("data", [mt940(LINE, LINE, ":86:INV-1001", LINE), camt(entry("1.00"), entry("1.00"), entry("2.00", detail()))])
def test_the_same_file_gives_the_same_ids_and_identical_lines_different_ones(data: bytes) -> None:
    """Importing twice changes nothing; two truly identical lines of one statement are two payments."""
    assert ids(data) == ids(data)
    assert len(set(ids(data))) == 3
    for found in ids(data):
        msgspec.convert(found, Id)


def test_the_ids_are_pinned() -> None:
    """A better reader must not give known lines new ids, or money that was applied would be applied again."""
    assert ids(mt940(LINE, ":86:166?00GUTSCHRIFT?20SVWZ+INV-1001?32Müller")) == ["BL-5dadb198e6c48743a72a1f03bbfeb3f3"]
    assert ids(camt(entry("250.00", detail(name="Müller")))) == ["BL-45cc520c5170ba9e592f0608a3ed3726"]


def test_the_wrapping_of_a_line_does_not_change_its_id() -> None:
    """Line ends, code pages, balances, other lines and the statement's number are not part of a line."""
    data = mt940(LINE, ":86:Müller").decode()
    expected = ids(data.encode())
    assert ids(data.replace("\r\n", "\n").encode("cp1252")) == expected
    assert ids(mt940(":61:240131D1,00NTRFX", LINE, ":86:Müller", closing=""))[1:] == expected
    assert ids(data.replace("00012/00001", "00013/00001").encode()) == expected


def test_a_message_of_another_kind_or_version_gives_the_same_id() -> None:
    """What CAMT.052 reported as pending is recognised in CAMT.053, also when the bank moves to version 8."""
    old, new = detail(), detail().replace("<Nm>", "<Pty><Nm>").replace("</Nm>", "</Nm></Pty>")
    pending = ids(camt(entry("250.00", old, status="<Sts>PDNG</Sts>"), kind="052"))
    assert ids(camt(entry("250.00", new, status="<Sts><Cd>BOOK</Cd></Sts>"), version=8, head=balance("CLBD", "1.00"))) == pending


@pytest.mark.parametrize(
    "other",
    [
        entry("250.01", detail()),
        entry("250.00", detail(), direction="DBIT"),
        entry("250.00", detail(), currency="USD"),
        entry("250.00", detail(end_to_end="E2E-2")),
        entry("250.00", detail(text="INV-1002")),
        entry("250.00", detail(), dates="<BookgDt><Dt>2024-02-01</Dt></BookgDt>"),
    ],
)
def test_another_movement_has_another_id(other: str) -> None:
    """Amount, direction, currency, references, text and date each make a difference."""
    assert ids(camt(other)) != ids(camt(entry("250.00", detail())))


def test_another_account_has_other_ids() -> None:
    """The same line on another account is other money."""
    assert ids(mt940(LINE)) != ids(mt940(LINE).replace(b"DE89", b"DE88"))


def test_a_line_never_has_a_negative_amount() -> None:
    """The direction says which way the money went; a negative amount would say it twice."""
    line = read_statement(camt(entry("250.00")))[0].lines[0]
    with pytest.raises(ValueError, match="never negative"):
        msgspec.structs.replace(line, amount=Money("-1.00", "EUR"))


@pytest.mark.parametrize("data", [mt940(LINE, ":86:x" * 3000), camt(entry("1.00", *[detail("0.10", text="y" * 140)] * 10))])
def test_a_statement_survives_the_wire(data: bytes) -> None:
    """Whatever was read fits its own types: encoded and decoded strictly it is the same."""
    for statement in read_statement(data):
        assert msgspec.json.decode(msgspec.json.encode(statement), type=BankStatement) == statement
        assert all(isinstance(line, BankLine) for line in statement.lines)
