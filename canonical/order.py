"""Order: what was sold, and what each system has made of it."""

import datetime as dt
from typing import Literal

import msgspec

from canonical.customer import Customer
from canonical.item import ChargeType
from canonical.messages import Accepted, Command, Event
from canonical.money import CurrencyCode, Money, Percent, Price, Quantity
from canonical.provenance import ExternalId, Id, Text
from canonical.quote import Lines, Quote, Term

OrderStatus = Literal["draft", "open", "closed", "void"]
InvoicingStatus = Literal["not_invoiced", "partially_invoiced", "invoiced"]


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an order; ``deferred`` marks revenue that is earned over the term."""

    number: int
    item_code: Id
    description: Text = ""
    charge_type: ChargeType
    quantity: Quantity
    unit_price: Price
    discount: Percent = Percent("0")
    net_total: Money
    term: Term | None = None
    tax_code: Text = ""
    deferred: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sales order: the accepted quote version, in the words of the ERP. ``total`` is before tax."""

    id: Id
    quote_id: Id
    quote_version: int
    entity: Id
    customer: Customer
    opportunity_id: Text = ""
    currency: CurrencyCode
    ordered_on: dt.date
    lines: tuple[OrderLine, ...]
    total: Money
    purchase_order: Text = ""

    @classmethod
    def of_quote(cls, quote: Quote, order_id: str, ordered_on: dt.date) -> "Order":
        """The order that follows from a quote version: the same lines and amounts, never re-keyed."""
        return cls(
            id=order_id,
            quote_id=quote.id,
            quote_version=quote.version,
            entity=quote.entity,
            customer=quote.customer,
            opportunity_id=quote.opportunity_id,
            currency=quote.currency,
            ordered_on=ordered_on,
            lines=_order_lines(quote.lines),
            total=quote.total,
            purchase_order=quote.purchase_order,
        )


def _order_lines(lines: Lines) -> tuple[OrderLine, ...]:
    return tuple(
        OrderLine(
            number=line.number,
            item_code=line.item_code,
            description=line.description,
            charge_type=line.charge_type,
            quantity=line.quantity,
            unit_price=line.unit_price,
            discount=line.discount,
            net_total=line.net_total,
            term=line.term,
            tax_code=line.tax_code,
            deferred=line.charge_type == "recurring" and line.term is not None,
        )
        for line in lines
    )


class SalesOrderCreated(Event, frozen=True, kw_only=True):
    """The ERP has the sales order."""

    order_id: Id
    erp_ref: ExternalId
    total: Money


class CreateSalesOrder(Command[SalesOrderCreated], frozen=True, kw_only=True):
    """Book the order in the ERP, with our order id as its external id or reference and the correlation id in its memo."""

    port = "erp"
    order: Order
    customer: ExternalId
    tax_total: Money | None = None


class SalesOrderCancelled(Event, frozen=True, kw_only=True):
    """The ERP will not deliver or invoice the order any more."""

    order_id: Id


class CancelSalesOrder(Command[SalesOrderCancelled], frozen=True, kw_only=True):
    """Cancel a sales order; an order that is already cancelled is a success."""

    port = "erp"
    order_id: Id
    erp_ref: ExternalId
    reason: Text = ""


class BookOrder(Command[Accepted], frozen=True, kw_only=True):
    """Start the booking of an order."""

    port = "process"
    order: Order


class OrderBooked(Event, frozen=True, kw_only=True):
    """All systems have the order."""

    order_id: Id
    quote_id: Id
    entity: Id
    erp_ref: ExternalId
    total: Money
    split: dict[ChargeType, Money]


class OrderRejected(Event, frozen=True, kw_only=True):
    """The order is not booked; whatever had been done was undone."""

    order_id: Id
    quote_id: Id
    reason: str


class CrmUpdated(Event, frozen=True, kw_only=True):
    """The CRM shows the new state."""

    reference: ExternalId | None = None


class MarkOrderBooked(Command[CrmUpdated], frozen=True, kw_only=True):
    """Set the opportunity to won and note order number and ERP reference on it."""

    port = "crm"
    order_id: Id
    quote_id: Id
    opportunity_id: Text
    erp_ref: ExternalId
    total: Money
