"""Real statements of many banks: each is read, or refused with a reason; the counts and sums below were checked by eye.

The files are not part of this repository: they lie in ``../shared/data/bank-statements`` beside it (`Q2C_SHARED` says otherwise).
"""

import json
import os
import random
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from canonical.bank_statement import BankLine, BankStatement, Direction
from system_apis.bank_files.printing import main_statement
from system_apis.bank_files.reader import StatementRefused, read_statement
from tests.system_apis.bank_files.samples import damaged, harmless

REPOSITORY = Path(__file__).resolve().parents[3]
STATEMENTS = Path(os.environ.get("Q2C_SHARED", REPOSITORY.parent / "shared")) / "data" / "bank-statements"

pytestmark = pytest.mark.skipif(not STATEMENTS.is_dir(), reason=f"the real bank statements are not there: {STATEMENTS}")

_FRAGMENT = "statement 1 names no account (:25:); a whole statement has :20:, :25:, :60F:, lines and :62F:"
_EMPTY = "has neither a balance (:60F:, :62F:) nor a line (:61:)"
_NEITHER = "this is neither MT940 (fields such as ':20:') nor CAMT (XML); it begins with"

# file: (statements, lines, sum of credits, sum of debits), or the reason for which it is refused
GOLDEN: dict[str, tuple[int, int, str, str] | str] = {
    "camt/genkgo_camt052.v1.xml": (1, 1, "", "200000.00 SEK"),
    "camt/genkgo_camt052.v2.with-account-name.xml": (1, 1, "", "200000.00 SEK"),
    "camt/genkgo_camt052.v4.xml": (1, 1, "", "200000.00 SEK"),
    "camt/genkgo_camt052.v6.xml": (1, 1, "", "200000.00 SEK"),
    "camt/genkgo_camt053.v2.all-balance-types.xml": (1, 1, "8.85 EUR", ""),
    "camt/genkgo_camt053.v2.minimal.ultimate.xml": (1, 1, "8.85 EUR", ""),
    "camt/genkgo_camt053.v2.multi.statement.xml": (2, 2, "8.85 EUR", "7.00 EUR"),
    "camt/genkgo_camt053.v2.with-party-ids.xml": (1, 1, "8.85 EUR", ""),
    "camt/genkgo_camt053.v3.xml": (1, 1, "8.85 EUR", ""),
    "camt/genkgo_camt053.v8.xml": (1, 1, "8.85 EUR", ""),
    "camt/genkgo_camt054.v2.xml": (1, 1, "", "200000.00 SEK"),
    "camt/genkgo_camt054.v8-with-UETR.xml": (1, 1, "", "200000.00 SEK"),
    "camt/genkgo_camt054.v8.xml": (1, 1, "", "200000.00 SEK"),
    "camt/viafintech_valid_example.xml": (1, 5, "80.56 CHF", "21.53 CHF"),
    "camt/viafintech_valid_example_v4.xml": (1, 32, "1810.56 CHF", "1272.95 CHF"),
    "camt/viafintech_valid_example_with_batch.xml": (1, 3, "7688.00 EUR", "4753.74 EUR"),
    "camt/viafintech_valid_example_with_debit.xml": (1, 5, "1.00 EUR", "11.00 EUR"),
    "camt/viafintech_valid_example_with_other_id.xml": (1, 0, "", ""),
    "camt/viafintech_valid_namespace.xml": "this XML holds no CAMT.052, CAMT.053 or CAMT.054 message",
    "mt940/ASNB_mt940_with_spaces_for_entry_date.txt": (31, 8, "2828.90 EUR", "2771.96 EUR"),
    "mt940/betterplace_currency_in_25.sta": f"statement 1 (account 51210600/9223382012) {_EMPTY}",
    "mt940/betterplace_empty_entry_date.sta": _FRAGMENT,
    "mt940/betterplace_missing_crlf_at_end.sta": _FRAGMENT,
    "mt940/betterplace_sepa_snippet.sta": (2, 11, "1430745.72 EUR", "3574069.11 EUR"),
    "mt940/betterplace_with_binary_character.sta": (2, 4, "14215.30 EUR", "193282.05 EUR"),
    "mt940/cmxl_account_balance_credit.sta": _FRAGMENT,
    "mt940/cmxl_account_identification_iban.sta": f"statement 1 (account PL25106000760000888888888888) {_EMPTY}",
    "mt940/cmxl_available_balance.sta": _FRAGMENT,
    "mt940/cmxl_mt940.sta": "statement 1 (account 45050050/76198810), opening balance: 'DEM' is not an ISO 4217 currency",
    "mt940/cmxl_statement_details.sta": _FRAGMENT,
    "mt940/cmxl_statement_number.sta": _FRAGMENT,
    "mt940/jejik_generic.sta": (2, 2, "", "20.00 EUR"),
    "mt940/jejik_knab.sta": (2, 3, "1000.00 EUR", "7260.00 EUR"),
    "mt940/jejik_rabobank-iban.sta": (2, 4, "", "70.00 EUR"),
    "mt940/jejik_sns.sta": (2, 2, "", "25.00 EUR"),
    "mt940/mBank_mt940.sta": (1, 3, "0.03 PLN", ""),
    "mt940/mBank_with_newline_in_tnr.sta": (1, 2, "89.00 PLN", ""),
    "mt940/sberbank_171011_01234945.sta": (1, 3, "", "9437.00 HUF"),
    "mt940/self-provided_details_60-63.sta": (1, 1, "", "233.15 EUR"),
    "mt940/self-provided_february_30.sta": (1, 1, "", "6.00 EUR"),
    "mt940/self-provided_invalid_statement.sta": f"{_NEITHER} '1 2 3 4 5 6 7 8 9 10'",
    "mt940/self-provided_malformed_details.sta": (1, 1, "", "233.15 EUR"),
    "mt940/self-provided_multiline.sta": (1, 2, "119.00 EUR", "5.00 EUR"),
    "mt940/self-provided_raiffeisen-cmi.sta": (1, 7, "2066637.00 HUF", "3078850.50 HUF"),
    "mt940/self-provided_sparkassen.sta": _FRAGMENT,
    "mt940/self-provided_whitespace.sta": (1, 1, "", "233.15 EUR"),
}


# The numbers of these statements were changed by whoever published them; their sums do not fit, and the reader says so.
NOT_BALANCED = Counter(
    {
        "camt/genkgo_camt053.v2.all-balance-types.xml": 1,
        "camt/viafintech_valid_example_with_debit.xml": 1,
        "mt940/betterplace_sepa_snippet.sta": 1,
        "mt940/jejik_knab.sta": 1,
        "mt940/mBank_with_newline_in_tnr.sta": 1,
        "mt940/self-provided_details_60-63.sta": 1,
        "mt940/self-provided_malformed_details.sta": 1,
        "mt940/self-provided_multiline.sta": 1,
        "mt940/self-provided_raiffeisen-cmi.sta": 1,
        "mt940/self-provided_whitespace.sta": 1,
    }
)
READABLE = sorted(name for name, expected in GOLDEN.items() if not isinstance(expected, str))


def statements_of(name: str) -> list[BankStatement]:
    return read_statement((STATEMENTS / name).read_bytes())


def lines_of(name: str) -> list[BankLine]:
    return [line for statement in statements_of(name) for line in statement.lines]


def sum_of(statements: list[BankStatement], direction: Direction) -> str:
    sums: dict[str, Decimal] = {}
    for statement in statements:
        for money in statement.turnover(direction):
            sums[money.currency] = sums.get(money.currency, Decimal(0)) + money.number
    return " ".join(f"{number} {currency}" for currency, number in sums.items())


def test_every_file_that_is_there_is_in_the_table() -> None:
    """A new file makes this fail until somebody has looked at how it is read."""
    there = {f"{folder}/{path.name}" for folder in ("mt940", "camt") for path in (STATEMENTS / folder).iterdir()}
    assert there == set(GOLDEN)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_every_file_is_read_or_refused_as_the_table_says(name: str) -> None:
    """The number of statements and lines and both sums, or the reason for the refusal."""
    found: tuple[int, int, str, str] | str
    try:
        statements = statements_of(name)
        lines = sum(len(statement.lines) for statement in statements)
        found = (len(statements), lines, sum_of(statements, "credit"), sum_of(statements, "debit"))
    except StatementRefused as refused:
        found = refused.reason
    assert found == GOLDEN[name]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_command_line_prints_every_file_or_its_refusal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 with a row for each line, or 2 with the reason; both ways also as JSON."""
    expected = GOLDEN[name]
    code = 2 if isinstance(expected, str) else 0
    assert main_statement(str(STATEMENTS / name), as_json=False) == code
    out, err = capsys.readouterr()
    assert main_statement(str(STATEMENTS / name), as_json=True) == code
    answer = json.loads(capsys.readouterr().out)
    if isinstance(expected, str):
        assert (out, expected in err, answer["refused"]["reason"]) == ("", True, expected)
    else:
        assert len(re.findall(r"^  (?:\d{4}-\d\d-\d\d|no date   )  (?:credit|debit )  ", out, re.MULTILINE)) == expected[1]
        assert sum(len(statement["lines"]) for statement in answer["statements"]) == expected[1]


@pytest.mark.parametrize("name", READABLE)
def test_no_line_of_a_file_is_lost(name: str) -> None:
    """A count of the raw marks: each :61: is a line; each CAMT entry is one or more, with parts that make up its amount."""
    raw = (STATEMENTS / name).read_bytes()
    if name.startswith("mt940/"):
        assert len(lines_of(name)) == len(re.findall(rb"^:61:", raw, re.MULTILINE))
    else:
        whole = [line for line in lines_of(name) if line.batch is None or line.batch.position <= 1]
        assert len(whole) == raw.count(b"<Ntry>")


@pytest.mark.parametrize("name", READABLE)
def test_statements_balance_unless_the_file_itself_does_not(name: str) -> None:
    """Opening balance and lines make the closing balance in all files but those known to be altered."""
    assert sum(statement.balanced is False for statement in statements_of(name)) == NOT_BALANCED[name]


@pytest.mark.parametrize("name", READABLE)
def test_reading_a_file_again_gives_the_same_ids(name: str) -> None:
    """Every line has an id of its own, and the same one tomorrow."""
    for statement, again in zip(statements_of(name), statements_of(name), strict=True):
        assert len({line.id for line in statement.lines}) == len(statement.lines)
        assert statement == again


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_damaged_real_files_are_harmless(name: str) -> None:
    """Real files with bytes changed, cut out or doubled are read or refused, and nothing else."""
    dice = random.Random(name)
    for _ in range(25):
        harmless(damaged((STATEMENTS / name).read_bytes(), dice, blows=dice.randrange(1, 6)))
