"""What the integration tests sell: quotes and orders of customers whom the simulated CRM knows, with ids that nobody has used yet."""

import datetime as dt
import uuid
from decimal import Decimal

import msgspec

from canonical.customer import Address, Customer
from canonical.item import ChargeType
from canonical.money import Money, Percent, Price, Quantity
from canonical.order import BookOrder, Order
from canonical.quote import Quote, QuoteLine, Signature, SubmitQuote, Term

TODAY = dt.datetime.now(dt.UTC).date()  # what the gateway, whose clock is the machine's, takes a quote's expiry by
TERM = Term(start=TODAY.replace(day=1), end=TODAY.replace(day=1) + dt.timedelta(days=364))
CURRENCIES = {"US01": "USD", "DE01": "EUR"}

_ADDRESSES = {
    "C-ACME": Address(street="1 Market Street", city="San Francisco", region="CA", postal_code="94105", country="US"),
    "C-MUSTER": Address(street="Königstraße 1", city="Stuttgart", postal_code="70173", country="DE"),
    "C-NORDIC": Address(street="Havnegade 2", city="København", postal_code="1050", country="DK"),
}
ACME, MUSTER, NORDIC = (
    Customer(id=key, legal_name=name, email=email, currency=currency, bill_to=_ADDRESSES[key])
    for key, name, email, currency in (
        ("C-ACME", "Acme Robotics Inc.", "ap@acme.example", "USD"),
        ("C-MUSTER", "Muster Maschinenbau GmbH", "rechnung@muster.example", "EUR"),
        ("C-NORDIC", "Nordic Shipping A/S", "ap@nordic.example", "EUR"),
    )
)


class Sold(msgspec.Struct, frozen=True):
    """A line before it has a number: what, how it is charged, how much of it, at which list price."""

    code: str
    charged: ChargeType
    quantity: str
    price: str
    discount: str = "0"


PLAN, PLAN_USD = Sold("SUB-TEAM", "recurring", "10", "42.00", "10"), Sold("SUB-TEAM", "recurring", "20", "45.00")
DAYS, DAYS_USD = Sold("SVC-ONB", "service", "3", "1450.00"), Sold("SVC-ONB", "service", "2", "1600.00")
DEVICES, DEVICES_USD = Sold("HW-GW", "one_time", "2", "920.00"), Sold("HW-GW", "one_time", "2", "990.00")


def quote(entity: str, customer: Customer, *sold: Sold, opportunity: str = "OPP-1001") -> Quote:
    """A new quote, which adds up."""
    currency = CURRENCIES[entity]
    lines = tuple(_line(number, one, currency) for number, one in enumerate(sold, start=1))
    return Quote(
        id=f"Q-{uuid.uuid4().hex[:10].upper()}",
        entity=entity,
        customer=customer,
        opportunity_id=opportunity,
        currency=currency,
        issued_on=TODAY,
        expires_on=TODAY + dt.timedelta(days=30),
        lines=lines,
        total=Money.total((line.net_total for line in lines), currency),
    )


def _line(number: int, sold: Sold, currency: str) -> QuoteLine:
    price = Price(sold.price, currency)
    return QuoteLine(
        number=number,
        item_code=sold.code,
        description=f"{sold.code} as quoted",
        charge_type=sold.charged,
        quantity=Quantity(sold.quantity),
        unit_price=price,
        discount=Percent(sold.discount),
        net_total=price.times(Decimal(sold.quantity), Decimal(sold.discount)),
        term=TERM if sold.charged == "recurring" else None,
    )


def signed(quoted: Quote) -> SubmitQuote:
    """The quote as it is submitted when the customer has signed already."""
    at = dt.datetime.combine(TODAY, dt.time(8), dt.UTC)
    return SubmitQuote(quote=quoted, signature=Signature(signed_by="Pat Muster", signed_at=at, fingerprint=quoted.fingerprint))


def order_id(quoted: Quote) -> str:
    """The order that a quote becomes."""
    return quoted.id.replace("Q-", "ORD-")


def order(quoted: Quote) -> BookOrder:
    """The same as an order that was accepted elsewhere."""
    return BookOrder(order=Order.of_quote(quoted, order_id(quoted), TODAY))


def effects_of(quoted: Quote) -> set[tuple[str, str, str]]:
    """What the booking of a deal leaves in whose books: vendor, kind and business key."""
    booked = order_id(quoted)
    erp = {"US01": "netsuite", "DE01": "tryton"}[quoted.entity]
    found = {("salesforce", "opportunity_won", booked), ("avalara", "tax_document", booked), (erp, "sales_order", booked)}
    if any(line.charge_type == "recurring" for line in quoted.lines):
        found.add(("stripe", "subscription", booked))
    services = [line.number for line in quoted.lines if line.charge_type == "service"]
    if services:
        found.add(("kantata", "project", booked))
    return found | {("kantata", "project_task", f"{booked}:{number}") for number in services}
