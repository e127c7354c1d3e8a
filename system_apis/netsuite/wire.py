"""What all NetSuite records and query rows have in common: references, sublists, flags, and numbers that are never floats."""

import re
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from canonical.failures import Broken
from canonical.money import Money, plain

Line = TypeVar("Line")

# NetSuite writes numbers as JSON numbers in records and as text in query rows; ".5" and "1250.0" both occur
_NUMBER = re.compile(r"-?([0-9]{1,18}(\.[0-9]{0,8})?|\.[0-9]{1,8})")


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to a record, or the value of a select field."""

    id: str = ""
    name: str = msgspec.field(name="refName", default="")


class Sublist(msgspec.Struct, Generic[Line], frozen=True, kw_only=True):
    """The lines of a record."""

    items: tuple[Line, ...] = ()


def money(number: Decimal | str | None, currency: str) -> Money:
    """An amount as NetSuite wrote it. Raises `Broken` where it is not one; an absent amount is zero."""
    if number is None:
        return Money.zero(currency)
    text = f"{number:f}" if isinstance(number, Decimal) and number.is_finite() else str(number)
    if not _NUMBER.fullmatch(text):
        raise Broken("unreadable_amount", f"{text[:40]!r} is not a number", raw=text)
    try:
        return Money.of(plain(Decimal(text)), currency)
    except ValueError as error:
        raise Broken("unreadable_amount", f"{error}", raw=f"{text} {currency}") from error


def external_id(our_id: str) -> str:
    """Our id as NetSuite's external id. Ours may hold a slash, which has no safe place in a path; the tilde does not occur in ours."""
    return our_id.replace("/", "~")


def our_id(external: str) -> str:
    """The way back."""
    return external.replace("~", "/")


def quoted(text: str) -> str:
    """Text as a SuiteQL literal."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: tuple[str, ...]) -> str:
    """Texts as a SuiteQL list of literals, each once."""
    return "(" + ", ".join(quoted(text) for text in dict.fromkeys(texts)) + ")"


def memo(our_id_: str, correlation_id: str, note: str = "") -> str:
    """The memo of a transaction: what it is to us, and the name of the whole deal."""
    return " ".join(part for part in (our_id_, correlation_id, note) if part)[:999]
