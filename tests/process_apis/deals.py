"""Quotes for the checks and rules: two sound lines, and one change at a time."""

import datetime as dt
from typing import Any

import msgspec

from canonical.customer import Address, Customer
from canonical.item import ChargeType
from canonical.money import Money, Percent, Price, Quantity
from canonical.quote import Quote, QuoteLine, Signature, Term

DAY = dt.date(2026, 1, 15)
YEAR = Term(start=dt.date(2026, 2, 1), end=dt.date(2027, 1, 31))
ACME = Customer(id="C-ACME", legal_name="Acme Robotics Inc.", currency="USD", bill_to=Address(city="Austin", country="US"))


def line(number: int = 1, quantity: str = "10", price: str = "45", **fields: Any) -> QuoteLine:
    """A recurring line at 45 USD, unless told otherwise."""
    currency = fields.pop("currency", "USD")
    kind: ChargeType = fields.pop("charge_type", "recurring")
    discount = Percent(fields.pop("discount", "0"))
    cost = fields.pop("cost", None)
    unit = Price(price, currency)
    given: dict[str, Any] = {
        "item_code": "SUB-TEAM",
        "net_total": fields.pop("net_total", None) or unit.times(Quantity(quantity).number, discount.number),
        "term": YEAR if kind == "recurring" else None,
        "unit_cost": Price(cost, currency) if cost else None,
        **fields,
    }
    return QuoteLine(number=number, charge_type=kind, quantity=Quantity(quantity), unit_price=unit, discount=discount, **given)


def quote(*lines: QuoteLine, **fields: Any) -> Quote:
    """A quote over these lines, with the total that they come to."""
    sold = lines or (line(1), line(2, "2", "990", charge_type="one_time", item_code="HW-GW"))
    currency = fields.get("currency", "USD")
    given: dict[str, Any] = {
        "id": "Q-1",
        "entity": "US01",
        "customer": ACME,
        "currency": currency,
        "issued_on": DAY,
        "expires_on": DAY + dt.timedelta(days=30),
        "opportunity_id": "OPP-1",
        **fields,
    }
    if "total" not in given:
        given["total"] = Money.total((one.net_total for one in sold), currency)
    return Quote(lines=tuple(sold), **given)


def signed(version: Quote, **fields: Any) -> Signature:
    """The customer's signature under this very version."""
    when = dt.datetime(2026, 1, 20, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-8)))
    return Signature(**{"signed_by": "Pat Doe", "signed_at": when, "fingerprint": version.fingerprint, **fields})


def changed(version: Quote, **fields: Any) -> Quote:
    """The same version with other fields."""
    return msgspec.structs.replace(version, **fields)
