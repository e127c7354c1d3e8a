"""From what Salesforce says to what the house can hold: exact numbers, days, countries, and the refusal of what does not fit."""

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from canonical.failures import Broken, Rejected
from canonical.money import plain

Shape = TypeVar("Shape")
_ISO2 = re.compile(r"^[A-Z]{2}$")
_RECORD_ID = re.compile(r"^[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?$")


def is_record_id(text: str, prefix: str = "") -> bool:
    """Whether a text looks like a Salesforce record id (15 or 18 characters) of the object with this key prefix."""
    return text.startswith(prefix) and _RECORD_ID.match(text) is not None


def number_text(number: Decimal | None, default: str = "0") -> str:
    """A JSON number (Salesforce writes 1.25E7) as canonical text. Raises `Broken` for what is no sensible number."""
    if number is None:
        return default
    if not number.is_finite() or abs(number.adjusted()) > 24:
        raise Broken("unreadable_answer", f"{str(number)[:40]} is not a number that anybody means")
    return plain(number)


def day(text: str) -> dt.date:
    """The calendar day of a date or a date-time. Raises `Broken`."""
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError as error:
        raise Broken("unreadable_answer", f"{text[:40]!r} is not a date") from error


def months_later(start: dt.date, months: int) -> dt.date:
    """The last day of a term of some months: 2026-01-31 and one month give 2026-02-27."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    first = dt.date(year, month + 1, 1)
    last_of_month = (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    return min(first + dt.timedelta(days=start.day - 1), last_of_month) - dt.timedelta(days=1)


def address(parts: Mapping[str, str | None], countries: Mapping[str, str]) -> dict[str, str] | None:
    """An address as the canonical one has it, or None where the CRM has none. Raises `Rejected` for a country that settings do not know."""
    said = (parts.get("country") or "").strip()
    if not said:
        return None
    country = said if _ISO2.match(said) else countries.get(said)
    if country is None:
        raise Rejected("unknown_country", f"the CRM says {said!r}: correct it there, or add it to `countries` in settings")
    return {**{name: (value or "").strip() for name, value in parts.items()}, "country": country}


def fit(shape: type[Shape], values: Mapping[str, Any], code: str) -> Shape:
    """The canonical struct with these values. Raises `Rejected(code)` where the CRM holds what the language of the house refuses."""
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise Rejected(code, str(error)) from error
