"""What is sold in the stories: customers, lines, quotes and orders, priced as the simulated vendors have them."""

import datetime as dt
from typing import Any

from canonical.customer import Address, Customer
from canonical.item import ChargeType
from canonical.money import Money, Percent, Price, Quantity
from canonical.order import Order
from canonical.quote import Quote, QuoteLine, Signature, Term
from tests.stories.clock import START

TODAY = START.date()
YEAR = Term(start=dt.date(2026, 2, 1), end=dt.date(2027, 1, 31))

ACME = Customer(
    id="C-ACME",
    legal_name="Acme Robotics Inc.",
    email="ap@acme.example",
    currency="USD",
    bill_to=Address(street="1 Market Street", city="San Francisco", region="CA", postal_code="94105", country="US"),
)
HOOLI = Customer(
    id="C-HOLD",
    legal_name="Hooli Holdings LLC",
    email="pay@hooli.example",
    currency="USD",
    bill_to=Address(street="500 Congress Avenue", city="Austin", region="TX", postal_code="78701", country="US"),
)
MUSTER = Customer(
    id="C-MUSTER",
    legal_name="Muster Maschinenbau GmbH",
    email="rechnung@muster.example",
    currency="EUR",
    bill_to=Address(street="Königstraße 1", city="Stuttgart", postal_code="70173", country="DE"),
)
SELLERS = {"C-MUSTER": "DE01"}

# how an item is charged, and its list price by currency
ITEMS: dict[str, tuple[ChargeType, dict[str, str]]] = {
    "SUB-TEAM": ("recurring", {"USD": "45.00", "EUR": "42.00"}),
    "SUB-ENT3": ("recurring", {"USD": "69.00", "EUR": "69.00"}),
    "SUB-OLD": ("recurring", {"USD": "30.00"}),
    "USE-API": ("usage", {"USD": "0.0350", "EUR": "0.0320"}),
    "SVC-ONB": ("service", {"USD": "1600.00", "EUR": "1450.00"}),
    "HW-GW": ("one_time", {"USD": "990.00", "EUR": "920.00"}),
    "XX-404": ("one_time", {"USD": "1.00"}),
}


def line(number: int, code: str, quantity: str, currency: str, *, price: str = "", discount: str = "0", cost: str = "") -> QuoteLine:
    """A line at the list price, or at another one."""
    kind, prices = ITEMS[code]
    unit, count, off = Price(price or prices[currency], currency), Quantity(quantity), Percent(discount)
    return QuoteLine(
        number=number,
        item_code=code,
        charge_type=kind,
        quantity=count,
        unit_price=unit,
        discount=off,
        net_total=unit.times(count.number, off.number),
        unit_cost=Price(cost, currency) if cost else None,
        term=YEAR if kind == "recurring" else None,
    )


def quote(number: str, customer: Customer, *sold: tuple[str, str], **fields: Any) -> Quote:
    """Version 1 of a quote over items and quantities."""
    currency = customer.currency
    lines = tuple(line(at, code, quantity, currency) for at, (code, quantity) in enumerate(sold, start=1))
    given = {"lines": lines, "opportunity_id": f"OPP-{number}", "expires_on": dt.date(2026, 2, 14), **fields}
    total = Money.total((one.net_total for one in given["lines"]), currency)
    entity = SELLERS.get(customer.id, "US01")
    return Quote(
        **{"id": f"Q-{number}", "entity": entity, "customer": customer, "currency": currency, "issued_on": TODAY, "total": total, **given}
    )


def order(number: str, customer: Customer, *sold: tuple[str, str], **fields: Any) -> Order:
    """The order that such a quote becomes."""
    return Order.of_quote(quote(number, customer, *sold, **fields), f"ORD-{number}", TODAY)


def signature(signed: Quote) -> Signature:
    """The customer's signature under a version."""
    return Signature(signed_by="Pat Doe", signed_at=START, fingerprint=signed.fingerprint)
