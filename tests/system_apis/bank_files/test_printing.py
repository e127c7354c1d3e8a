"""The command line's answer: lines for the eye, JSON for programs, or the reason and exit code 2."""

import io
import json
import sys
from pathlib import Path

import pytest

from system_apis.bank_files.printing import main_statement, statements_as_json, statements_as_text
from system_apis.bank_files.reader import read_statement
from tests.system_apis.bank_files.samples import LINE, camt, detail, entry, mt940


def test_the_text_shows_each_line_with_all_that_matters() -> None:
    """Date, direction, amount, currency, counterparty, references, remittance text, and what is odd."""
    data = mt940(
        LINE, ":86:166?00GUTSCHRIFT?20EREF+E2E-7?21SVWZ+INV-1001?31FR7630006?32Nordlicht", ":61:240131RC1,00NTRFX", closing="C240131EUR1,00"
    )
    assert statements_as_text(read_statement(data)) == (
        "mt940 statement 00012/00001 · account DE89370400440532013000 · EUR · 2024-01-30 to 2024-01-31\n"
        "  opening 1000.00 EUR · closing 1.00 EUR · 2 line(s) +250.00 EUR -1.00 EUR · NOT BALANCED\n"
        "  ! opening balance and lines make 1249.00 EUR, the closing balance says 1.00 EUR\n"
        "  2024-01-31  credit           250.00 EUR  Nordlicht (FR7630006)\n"
        "              refs: E2E-7 | BANK-77\n"
        "              text: INV-1001\n"
        "              kind: GUTSCHRIFT\n"
        "  2024-01-31  debit              1.00 EUR  [reversal]\n"
        "              refs: X\n"
    )


def test_the_text_shows_parts_of_a_batch_and_lines_without_date() -> None:
    """A part says which of how many; a pending line without a date says both."""
    data = camt(entry("3.00", detail("1.00"), detail("2.00"), dates="", status="<Sts>PDNG</Sts>"), kind="052", currency="")
    text = statements_as_text(read_statement(data))
    assert "no date     credit             1.00 EUR  Nordlicht GmbH (FR7630006000011234567890189)  [pending, 1 of 2]" in text
    assert "opening not given · closing not given · 2 line(s) +3.00 EUR · balance not checked" in text


def test_the_json_has_the_fields_of_a_table() -> None:
    """Amounts are text beside their currency; what is not known is null or empty, never missing."""
    (statement,) = json.loads(statements_as_json(read_statement(camt(entry("250.00", detail(name="Müller"))))))["statements"]
    (line,) = statement["lines"]
    assert (line["date"], line["amount"], line["currency"], line["direction"]) == ("2024-01-31", "250.00", "EUR", "credit")
    assert (line["counterparty"]["name"], line["counterparty"]["account"]) == ("Müller", "FR7630006000011234567890189")
    assert (line["references"]["end_to_end_id"], line["remittance_text"]) == ("E2E-1", "Invoice INV-1001")
    assert (statement["opening"], statement["balanced"], statement["account"]) == (None, None, "DE89370400440532013000")


def test_a_file_is_printed_with_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the statements, as text or as JSON."""
    file = tmp_path / "january.sta"
    file.write_bytes(mt940(LINE))
    assert main_statement(str(file), as_json=False) == 0
    assert "2024-01-31  credit           250.00 EUR" in capsys.readouterr().out
    assert main_statement(str(file), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["statements"][0]["lines"][0]["amount"] == "250.00"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.sta", "the file is empty"),
        ("missing.sta", "No such file or directory"),
        ("", "Is a directory"),
        ("nul\x00.sta", "null byte"),
    ],
)
def test_a_refusal_is_a_sentence_and_exit_code_2(name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused, missing or unreadable file gives its reason on stderr; with --json also as JSON."""
    (tmp_path / "empty.sta").touch()
    assert main_statement(str(tmp_path / name), as_json=False) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert reason in err
    assert "Traceback" not in err
    assert main_statement(str(tmp_path / name), as_json=True) == 2
    assert reason in json.loads(capsys.readouterr().out)["refused"]["reason"]


def test_an_endless_file_is_read_no_further_than_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """A device that never ends is refused as too large."""
    assert main_statement("/dev/zero", as_json=False) == 2
    assert "larger than 20 MB" in capsys.readouterr().err


def test_a_poor_terminal_gets_codes_for_what_it_cannot_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ASCII terminal shows the code of an umlaut instead of a traceback."""
    file = tmp_path / "müller.sta"
    file.write_bytes(mt940(LINE, ":86:166?20INV-1001?32Müller"))
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    assert main_statement(str(file), as_json=False) == 0
    screen.flush()
    buffer = screen.buffer
    assert isinstance(buffer, io.BytesIO)
    assert b"M\\xfcller" in buffer.getvalue()
