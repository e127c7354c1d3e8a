"""How Stripe writes things down: bracketed forms, ids that may be whole records, lists with a next page."""

from collections.abc import Mapping
from typing import Any

import msgspec

Expandable = str | dict[str, Any] | None  # an id, or the record itself where it was asked for with `expand`
Metadata = dict[str, str] | None

ORDER = "q2c_order_id"
CORRELATION = "q2c_correlation_id"
ENTITY = "q2c_entity"
PART = "q2c_part"
CUSTOMER = "q2c_id"
BUYER = "q2c_customer"
INVOICE = "q2c_invoice"
PAYER = "q2c_payer"


class Page(msgspec.Struct, frozen=True):
    """One page of a list; the records stay raw until their noun reads them."""

    data: list[msgspec.Raw]
    has_more: bool = False


def form(params: Mapping[str, Any]) -> dict[str, str]:
    """Nested values as Stripe wants them: ``items[0][price]=…``. None is left out, booleans are lower-case words.

    Raises `TypeError` for a float: an amount has no business being one.
    """
    flat: dict[str, str] = {}
    for name, value in params.items():
        _flatten(name, value, flat)
    return flat


def _flatten(name: str, value: Any, flat: dict[str, str]) -> None:
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _flatten(f"{name}[{key}]", inner, flat)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _flatten(f"{name}[{index}]", inner, flat)
    elif isinstance(value, float):
        raise TypeError(f"{name} is a float")
    else:
        flat[name] = str(value).lower() if isinstance(value, bool) else str(value)


def id_of(reference: Expandable) -> str:
    """The id behind a reference, whether it was expanded or not; empty where there is none."""
    return str(reference.get("id", "")) if isinstance(reference, dict) else reference or ""


def text_of(reference: Expandable, field: str) -> str:
    """A text field of an expanded reference; empty where it was not expanded."""
    return str(reference.get(field) or "") if isinstance(reference, dict) else ""
