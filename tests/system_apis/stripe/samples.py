"""Customers and orders to subscribe for."""

import datetime as dt
from decimal import Decimal
from typing import Any

from canonical.customer import Address, Customer, TaxRegistration
from canonical.item import ChargeType
from canonical.money import Percent, Price, Quantity
from canonical.order import OrderLine
from canonical.quote import Term
from canonical.subscription import OpenBilling, Subscription
from system_apis.simulation import Simulation

ACME = Customer(
    id="C-ACME",
    legal_name="Acme Robotics Inc.",
    email="ap@acme.example",
    currency="USD",
    bill_to=Address(street="500 Howard Street", city="San Francisco", region="CA", postal_code="94105", country="US"),
)
MUSTER = Customer(
    id="C-MUSTER",
    legal_name="Muster Maschinenbau GmbH",
    email="rechnung@muster.example",
    currency="EUR",
    bill_to=Address(street="Königstraße 20", city="Stuttgart", postal_code="70173", country="DE"),
    tax_registrations=(TaxRegistration(country="DE", number="DE129273398"),),
    payment_terms_days=14,
)
START = dt.date(2026, 1, 15)
YEAR_END = dt.date(2027, 1, 14)


def line(
    number: int,
    code: str,
    charge_type: ChargeType,
    price: str,
    *,
    quantity: str = "10",
    discount: str = "0",
    currency: str = "USD",
    end: dt.date | None = YEAR_END,
    tax_code: str = "",
) -> OrderLine:
    """An order line; its term begins on 15 January 2026 where it has one."""
    unit_price, amount = Price(price, currency), Quantity(quantity)
    return OrderLine(
        number=number,
        item_code=code,
        charge_type=charge_type,
        quantity=amount,
        unit_price=unit_price,
        discount=Percent(discount),
        net_total=unit_price.times(amount.number, Decimal(discount)),
        term=Term(start=START, end=end) if end else None,
        tax_code=tax_code,
    )


def opening(*lines: OrderLine, order_id: str = "ORD-1001", customer: Customer = ACME, entity: str = "US01") -> OpenBilling:
    """The command to open the billing of an order."""
    subscription = Subscription(
        order_id=order_id, entity=entity, customer=customer, currency=customer.currency, starts_on=START, lines=lines
    )
    return OpenBilling(subscription=subscription)


def team(**options: Any) -> OrderLine:
    """Ten seats of the team plan at list price."""
    return line(1, "SUB-TEAM", "recurring", "45.00", **options)


def api_calls(price: str = "0.0350", **options: Any) -> OrderLine:
    """Metered calls."""
    return line(2, "USE-API", "usage", price, quantity="1", **options)


def kinds(simulation: Simulation) -> list[tuple[str, str]]:
    """What stands in the account's books: kind and business key of each effect."""
    return [(effect.kind, effect.business_key) for effect in simulation.ledger]
