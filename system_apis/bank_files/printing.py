"""Statements for the eye and for other programs, and the command line's ``q2c statement FILE``."""

import json
import sys
from pathlib import Path
from typing import Any, TextIO

import msgspec

from canonical.bank_statement import BankLine, BankStatement, Counterparty
from system_apis.bank_files.reader import FILE_SIZE_MAX, StatementRefused, read_statement

_BALANCED = {True: "balanced", False: "NOT BALANCED", None: "balance not checked"}


def statements_as_text(statements: list[BankStatement]) -> str:
    """One paragraph a statement; a line each with date, direction, amount and counterparty, then its references and its text."""
    return "\n".join(_statement_text(statement) for statement in statements)


def statements_as_json(statements: list[BankStatement]) -> str:
    """``{"statements": [{…, "lines": […]}]}``; amounts are text, and only ASCII is written, so that no terminal can spoil it."""
    return json.dumps({"statements": [_statement_json(statement) for statement in statements]}, indent=2) + "\n"


def main_statement(path: str, as_json: bool) -> int:
    """Print the statements of a file: 0, or 2 with the reason on stderr (with ``as_json`` also on stdout, as JSON)."""
    try:
        statements = read_statement(_content(path))
    except StatementRefused as refused:
        _say(f"{path}: refused: {refused.reason}\n", sys.stderr)
        if as_json:
            _say(json.dumps({"refused": {"code": refused.code, "reason": refused.reason}}, indent=2) + "\n", sys.stdout)
        return 2
    _say(statements_as_json(statements) if as_json else statements_as_text(statements), sys.stdout)
    return 0


def _content(path: str) -> bytes:
    """The bytes of a file; never more than the reader would take, whatever the path leads to."""
    try:
        with Path(path).open("rb") as file:
            return file.read(FILE_SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StatementRefused(f"the file cannot be read: {reason}") from None


def _say(text: str, stream: TextIO) -> None:
    """Write what the terminal's encoding can show; a sign that it cannot becomes its code."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, errors="backslashreplace").decode(encoding))


def _statement_text(statement: BankStatement) -> str:
    head = " · ".join(
        filter(
            None,
            (
                f"{statement.format} statement {statement.number}".rstrip(),
                f"account {statement.account}",
                statement.account_owner,
                statement.currency or "no currency",
                f"{statement.from_date or '…'} to {statement.to_date or '…'}",
            ),
        )
    )
    sums = [f"{_sign(line.direction)}{money}" for line in _one_each(statement) for money in statement.turnover(line.direction)]
    totals = " · ".join(
        [
            f"opening {statement.opening.amount if statement.opening else 'not given'}",
            f"closing {statement.closing.amount if statement.closing else 'not given'}",
            f"{len(statement.lines)} line(s) {' '.join(sums)}".rstrip(),
            _BALANCED[statement.balanced],
        ]
    )
    warnings = [f"  ! {warning}" for warning in statement.warnings]
    return "\n".join([head, f"  {totals}", *warnings, *(text for line in statement.lines for text in _line_text(line))]) + "\n"


def _one_each(statement: BankStatement) -> list[BankLine]:
    """One line for each direction that occurs, credits first."""
    return sorted({line.direction: line for line in statement.lines}.values(), key=lambda line: line.direction)


def _sign(direction: str) -> str:
    return "+" if direction == "credit" else "-"


def _line_text(line: BankLine) -> list[str]:
    party = line.counterparty
    who = " ".join(filter(None, (party.name, f"({party.account})" if party.account else "")))
    flags: list[str] = [line.status] if line.status != "booked" else []
    flags += ["reversal"] if line.reversal else []
    flags += [f"{line.batch.position or 'all'} of {line.batch.transactions}"] if line.batch else []
    texts = [f"  {line.booking_date or 'no date   '}  {line.direction:<6}  {line.amount.amount:>15} {line.amount.currency}  {who}".rstrip()]
    if flags:
        texts[0] += f"  [{', '.join(flags)}]"
    for label, text in (("refs", " | ".join(line.references.every())), ("text", line.remittance_text), ("kind", line.booking_text)):
        if text:
            texts.append(f"              {label}: {text}")
    return texts


def _statement_json(statement: BankStatement) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(statement)
    plain["balanced"] = statement.balanced
    plain["lines"] = [_line_json(line) for line in statement.lines]
    return plain


def _line_json(line: BankLine) -> dict[str, Any]:
    """A line with its money spread out, as a table wants it: amount and currency beside date and direction."""
    plain: dict[str, Any] = msgspec.to_builtins(line)
    plain |= {"date": plain.pop("booking_date"), "amount": line.amount.amount, "currency": line.amount.currency}
    plain["counterparty"] = plain["counterparty"] if line.counterparty != Counterparty() else None
    return plain
