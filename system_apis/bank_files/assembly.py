"""What both formats share: amounts with nothing guessed, stable line ids, and a statement that says what is odd about it."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from canonical.bank_statement import BankLine, BankStatement
from canonical.money import Money
from system_apis.bank_files.failures import StatementRefused

_NUMBER = re.compile(r"\+?([0-9]{1,30}(?:\.[0-9]{0,10})?|\.[0-9]{1,10})")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A line before it has its id. ``evidence`` is what the bank wrote about it, unprocessed: the id must outlive better readers."""

    line: BankLine
    evidence: str


def money_of(text: str, currency: str, where: str) -> Money:
    """An amount as the bank wrote it. Refuses anything but plain digits, unknown currencies, and more decimals than the currency has."""
    if not _NUMBER.fullmatch(text):
        raise StatementRefused(f"{where}: {text[:40]!r} is not an amount")
    try:
        return Money.of(Decimal(text), currency)
    except ValueError as error:
        raise StatementRefused(f"{where}: {error}") from None


def numbered(account: str, drafts: Iterable[Draft]) -> tuple[BankLine, ...]:
    """The lines with their ids: a hash of what the bank wrote, and the count among those that read the same in this statement."""
    seen: Counter[str] = Counter()
    lines = []
    for draft in drafts:
        line = draft.line
        told = (account, str(line.booking_date), line.amount.amount, line.amount.currency, line.direction, "".join(draft.evidence.split()))
        key = "\x1f".join(told)
        seen[key] += 1
        digest = hashlib.sha256(f"{key}\x1f{seen[key]}".encode()).hexdigest()
        lines.append(msgspec.structs.replace(line, id=f"BL-{digest[:32]}"))
    return tuple(lines)


def checked(statement: BankStatement, where: str) -> BankStatement:
    """The statement with a warning where its balances and lines do not fit. Refuses sums that no bank account ever held."""
    try:
        statement.turnover("credit")
        statement.turnover("debit")
    except ValueError:
        raise StatementRefused(f"{where}: the amounts add up to more than 18 digits") from None
    if statement.balanced is not False or statement.opening is None or statement.closing is None:
        return statement
    moved = sum(line.signed_minor for line in statement.lines if line.status == "booked")
    counted = Money.of_minor(statement.opening.amount.minor + moved, statement.opening.amount.currency)
    warning = f"opening balance and lines make {counted}, the closing balance says {statement.closing.amount}"
    return msgspec.structs.replace(statement, warnings=(*statement.warnings, warning))
