"""MT940 end-of-day statements and MT942 interim reports, as banks really send them.

The file is cut into fields here, and each amount, mark and date must match as a whole: an MT940 parser that tolerates a rest after an
amount turns ``1.234,56`` into ``1``. What a bank may leave out or bend, and does, is taken: envelopes, ``-`` and control characters
around messages, an entry date of blanks, the currency in ``:25:``, 30 February (the bankers' month end), a missing last line break.
"""

import calendar
import datetime as dt
import re

import msgspec

from canonical.bank_statement import Balance, BankLine, BankStatement, Direction, Status
from canonical.money import DECIMALS, Money
from system_apis.bank_files import mt940_details
from system_apis.bank_files.assembly import Draft, checked, money_of, numbered
from system_apis.bank_files.failures import StatementRefused
from system_apis.bank_files.wording import clean, reference

FIELD_LENGTH_MAX = 20_000
TAG = re.compile(r"^:\n?([0-9]{2,3}[A-Z]?|NS):[ ]?", re.MULTILINE)
_ENVELOPE = re.compile(r"^(?:-\}.*|\{[1-5S]:.*|-[ ]*)$", re.MULTILINE)
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_AMOUNT = r"[0-9]{1,24}(?:[,.][0-9]{0,6})?(?![0-9,.])"
_BALANCE = re.compile(rf"([CD])([0-9]{{6}})([A-Z]{{3}})({_AMOUNT}|,[0-9]{{1,6}})")
_LINE = re.compile(
    rf"""(?P<value>[0-9]{{6}})(?P<entry>[0-9]{{4}}|[ ]{{4}})?(?P<mark>R?[CD]|E[CD])(?P<funds>[A-Z])?[ \n]?
    (?P<amount>{_AMOUNT})(?=[A-Za-z/\n]|\Z)(?P<type>[A-Z][A-Z0-9 ]{{3}})?(?P<rest>.*)""",
    re.VERBOSE | re.DOTALL,
)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_FLOOR_LIMIT = re.compile(r"([A-Z]{3})[DC ]?[0-9,.]*")
# A reversal (R) of a credit takes money out; an expected (E) movement has not happened yet.
_MARKS: dict[str, tuple[Direction, bool, Status]] = {
    "C": ("credit", False, "booked"),
    "D": ("debit", False, "booked"),
    "RC": ("debit", True, "booked"),
    "RD": ("credit", True, "booked"),
    "EC": ("credit", False, "pending"),
    "ED": ("debit", False, "pending"),
}
_OPENING, _CLOSING, _INTERIM = ("60", "60F", "60M"), ("62", "62F", "62M"), ("13D", "34F", "90C", "90D")

Field = tuple[str, str]


def looks_like(text: str) -> bool:
    """Whether a text has at least one field as MT940 writes them."""
    return TAG.search(text) is not None


def read(text: str) -> list[BankStatement]:
    """All statements of a file, in its order. Raises `StatementRefused`."""
    messages = _messages(_fields(text))
    if not messages:
        raise StatementRefused("the file holds no statement: none of its fields is one of MT940")
    return [_statement(message, f"statement {count}") for count, message in enumerate(messages, start=1)]


def _fields(text: str) -> list[Field]:
    """Tags with their values; what stands outside of them (envelopes, headers, separators) is left out."""
    plain = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    plain = re.sub(r"\{4:[ ]*(?=:)", "\n", plain)
    plain = _ENVELOPE.sub("", plain)
    parts = TAG.split(plain)
    fields = [(tag, value.strip("\n")) for tag, value in zip(parts[1::2], parts[2::2], strict=True)]
    for tag, value in fields:
        if len(value) > FIELD_LENGTH_MAX:
            raise StatementRefused(f"a field :{tag}: has {len(value):,} characters; no bank writes more than {FIELD_LENGTH_MAX:,}")
    return fields


def _messages(fields: list[Field]) -> list[list[Field]]:
    """A statement begins at ``:20:``; some exports leave that out, then at the next account."""
    messages: list[list[Field]] = []
    for tag, value in fields:
        if len(tag.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) == 3:
            continue  # ':940:' is a headline, not a field
        known = [known_tag for known_tag, _ in messages[-1]] if messages and tag.startswith("25") else []
        if not messages or tag == "20" or any(known_tag.startswith("25") for known_tag in known):
            messages.append([])
        messages[-1].append((tag, value))
    return messages


def _statement(fields: list[Field], where: str) -> BankStatement:
    first = dict(reversed(fields))
    account, own_currency = _account(next((value for tag, value in fields if tag.startswith("25")), ""))
    if not account:
        raise StatementRefused(f"{where} names no account (:25:); a whole statement has :20:, :25:, :60F:, lines and :62F:")
    where = f"{where} (account {account})"
    opening = next((_balance(value, f"{where}, opening balance") for tag, value in fields if tag in _OPENING), None)
    closing = next((_balance(value, f"{where}, closing balance") for tag, value in reversed(fields) if tag in _CLOSING), None)
    blocks, late = _line_blocks(fields)
    if opening is None and closing is None and not blocks:
        raise StatementRefused(f"{where} has neither a balance (:60F:, :62F:) nor a line (:61:)")
    limit = _FLOOR_LIMIT.match(first.get("34F", ""))
    found = [balance.amount.currency for balance in (opening, closing) if balance] or ([limit[1]] if limit else [])
    currency = _currency([*found, *([own_currency] if own_currency else [])], where)
    interim = opening is None and closing is None and any(tag in _INTERIM for tag, _ in fields)
    drafts = [_draft(block, currency, interim, f"{where}, line {count}") for count, block in enumerate(blocks, start=1)]
    warnings = (f"{late} line(s) stand after the closing balance",) if late else ()
    return checked(
        BankStatement(
            format="mt942" if interim else "mt940",
            account=account,
            currency=currency,
            reference=clean(first.get("20", "")),
            number=clean(first.get("28C", first.get("28", ""))),
            opening=opening,
            closing=closing,
            from_date=opening.on if opening else None,
            to_date=closing.on if closing else None,
            lines=numbered(account, drafts),
            warnings=warnings,
        ),
        where,
    )


def _account(value: str) -> tuple[str, str]:
    """The account and, where the bank glues it on, its currency: ``51210600/9223382012EUR``. A whole IBAN is left alone."""
    account = clean(value.split("\n", maxsplit=1)[0])
    bare, tail = account[:-3].rstrip(" /"), account[-3:]
    if tail not in DECIMALS or not bare or not (account[-4].isdigit() or account[-4] in " /") or _is_iban(account):
        return account, ""
    return bare, tail


def _is_iban(text: str) -> bool:
    """Whether the check digits hold; the IBANs of Mauritius and the Seychelles end in a currency by right."""
    if not _IBAN.fullmatch(text):
        return False
    return int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1


def _currency(found: list[str], where: str) -> str:
    if not found:
        raise StatementRefused(f"{where} names no currency: neither a balance nor the account has one")
    if found[0] not in DECIMALS:
        raise StatementRefused(f"{where}: {found[0]!r} is not an ISO 4217 currency")
    if len(set(found)) > 1:
        raise StatementRefused(f"{where} names several currencies: {', '.join(sorted(set(found)))}")
    return found[0]


def _balance(value: str, where: str) -> Balance:
    match = _BALANCE.fullmatch(value.split("\n", maxsplit=1)[0].strip())
    if match is None:
        raise StatementRefused(f"{where}: {value[:40]!r} is not a balance such as 'C240131EUR1250,00'")
    mark, day, currency, amount = match.groups()
    money = money_of(amount.replace(",", "."), currency, where)
    return Balance(amount=-money if mark == "D" else money, on=None if day == "000000" else _date(day, where))


def _line_blocks(fields: list[Field]) -> tuple[list[list[Field]], int]:
    """Each ``:61:`` with the ``:86:`` and ``:NS:`` that follow it, and how many of them stand after the closing balance.

    An ``:86:`` before the first line or after the closing balance speaks about the statement, not about a line.
    """
    blocks: list[list[Field]] = []
    open_block, closed, late = False, False, 0
    for tag, value in fields:
        if tag == "61":
            blocks.append([(tag, value)])
            open_block, late = True, late + closed
        elif tag in {"86", "NS"} and open_block:
            blocks[-1].append((tag, value))
        elif tag in _CLOSING:
            open_block, closed = False, True
        elif tag not in {"86", "NS"}:
            open_block = False
    return blocks, late


def _draft(block: list[Field], currency: str, interim: bool, where: str) -> Draft:
    value = block[0][1]
    match = _LINE.fullmatch(value)
    if match is None:
        raise StatementRefused(f"{where}: {value[:60]!r} is not a statement line such as '2401310131C1250,00NTRFNONREF'")
    direction, reversal, status = _MARKS[match["mark"]]
    value_date = _date(match["value"], where)
    entry = (match["entry"] or "").strip()
    head, _, supplement = match["rest"].partition("\n")
    customer, _, bank = head.partition("//")
    details = mt940_details.read(
        information="\n".join(text for tag, text in block[1:] if tag == "86"),
        non_swift="\n".join(text for tag, text in block[1:] if tag == "NS"),
        customer_reference=reference(customer),
        supplement=clean(supplement),
    )
    references = details.references
    if not references.bank:
        references = msgspec.structs.replace(references, bank=reference(bank))
    line = BankLine(
        id="BL",
        booking_date=_entry_date(entry, value_date, where) if entry else value_date,
        value_date=value_date,
        amount=_amount(match["amount"], currency, where),
        direction=direction,
        reversal=reversal,
        status="pending" if interim else status,
        counterparty=details.counterparty,
        references=references,
        remittance_text=details.remittance_text,
        booking_text=details.booking_text,
        transaction_code=" ".join(filter(None, ((match["type"] or "").strip(), details.transaction_code))),
    )
    # The code page of an MT940 file is a guess that may improve; the id must not depend on it.
    evidence = "".join(text for _, text in block).encode("ascii", errors="ignore").decode()
    return Draft(line=line, evidence=evidence)


def _amount(text: str, currency: str, where: str) -> Money:
    return money_of(text.replace(",", "."), currency, where)


def _date(text: str, where: str) -> dt.date:
    """A date of six digits, YYMMDD. Banks that count in months of 30 days write 30 February: that is its last day."""
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:6])
    date = _day(year + (1900 if year >= 80 else 2000), month, day)
    if date is None:
        raise StatementRefused(f"{where}: {text} is not a date (YYMMDD)")
    return date


def _entry_date(text: str, value_date: dt.date, where: str) -> dt.date:
    """The booking date has no year: it is the one that lies closest to the value date, so that New Year cannot shift it by a year."""
    month, day = int(text[:2]), int(text[2:4])
    candidates = [_day(value_date.year + shift, month, day) for shift in (0, -1, 1)]
    dates = [date for date in candidates if date is not None]
    if not dates:
        raise StatementRefused(f"{where}: {text} is not an entry date (MMDD)")
    return min(dates, key=lambda date: abs(date - value_date))


def _day(year: int, month: int, day: int) -> dt.date | None:
    if not 1 <= month <= 12:
        return None
    last = calendar.monthrange(year, month)[1]
    if month == 2 and last < day <= 30:
        day = last
    return dt.date(year, month, day) if 1 <= day <= last else None
