"""Invoices that Stripe finalises for subscriptions: renewals and usage, which the ERP does not invoice."""

import datetime as dt

import msgspec

from canonical.failures import Broken
from canonical.invoice import Invoice, InvoiceLine, InvoicePosted, InvoiceStatus
from canonical.money import Quantity
from canonical.provenance import ExternalId, Provenance
from system_apis.connector import Call, Translated
from system_apis.stripe.amounts import money
from system_apis.stripe.events import StripeEvent, decoded
from system_apis.stripe.wire import BUYER, CORRELATION, ENTITY, ORDER, Expandable, Metadata, id_of

MAPPING_VERSION = "1"

# wire shapes ----------------------------------------------------------------------------------------------------------


class Tax(msgspec.Struct, frozen=True, kw_only=True):
    """A tax on a line; old API versions call the list ``tax_amounts``."""

    amount: int = 0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an invoice."""

    amount: int
    description: str | None = None
    quantity: int | None = None
    taxes: list[Tax] | None = None
    tax_amounts: list[Tax] | None = None


class LineList(msgspec.Struct, frozen=True, kw_only=True):
    """The first lines of an invoice."""

    data: list[Line] = []


class SubscriptionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The subscription behind an invoice, with its metadata as they were when the invoice was finalised."""

    metadata: Metadata = None
    subscription: Expandable = None


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice comes from."""

    subscription_details: SubscriptionDetails | None = None


class Transitions(msgspec.Struct, frozen=True, kw_only=True):
    """When the invoice changed its status."""

    finalized_at: int | None = None


class StripeInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as Stripe shows it; ``parent`` since 2025, ``subscription`` and ``subscription_details`` before."""

    id: str
    currency: str
    total: int
    amount_remaining: int
    amount_paid: int = 0
    total_excluding_tax: int | None = None
    number: str | None = None
    status: str | None = None
    due_date: int | None = None
    customer: Expandable = None
    customer_name: str | None = None
    lines: LineList = LineList()
    parent: Parent | None = None
    subscription: Expandable = None
    subscription_details: SubscriptionDetails | None = None
    status_transitions: Transitions = Transitions()

    @property
    def details(self) -> SubscriptionDetails:
        current = self.parent.subscription_details if self.parent else None
        return current or self.subscription_details or SubscriptionDetails(subscription=self.subscription)


# mapping --------------------------------------------------------------------------------------------------------------

STATUS: dict[str, InvoiceStatus] = {"draft": "draft", "open": "posted", "uncollectible": "posted", "paid": "paid", "void": "void"}


def posted(call: Call, event: StripeEvent) -> tuple[Translated, ...]:
    """``invoice.finalized``. Invoices of people's own making are none of ours, and a trial's invoice over nothing is none at all."""
    told = decoded(event.data.object, StripeInvoice)
    if not id_of(told.details.subscription) or told.total == 0:
        return ()
    metadata = told.details.metadata or {}
    invoice = _valid(_invoice(call, event, told))
    fact = InvoicePosted(invoice=invoice, entity=metadata.get(ENTITY, "") or call.settings.default_entity)
    return (Translated(id=f"stripe:{told.id}", event=fact, order_id=invoice.order_id),)


def _invoice(call: Call, event: StripeEvent, told: StripeInvoice) -> Invoice:
    metadata = told.details.metadata or {}
    finalised_at = told.status_transitions.finalized_at or event.created
    total = money(told.total, told.currency)
    return Invoice(
        id=told.number or told.id,
        order_id=metadata.get(ORDER, ""),
        customer_id=metadata.get(BUYER, ""),
        customer_name=told.customer_name or "",
        issued_on=_day(finalised_at),
        due_on=_day(told.due_date) if told.due_date else None,
        currency=total.currency,
        total=total,
        tax_total=None if told.total_excluding_tax is None else money(told.total - told.total_excluding_tax, told.currency),
        open_amount=money(told.amount_remaining, told.currency),
        status=_status(told),
        reference=id_of(told.details.subscription),
        lines=tuple(_line(number, line, told.currency) for number, line in enumerate(told.lines.data, 1)),
        external_id=ExternalId(connection=call.connection, kind="invoice", id=told.id, number=told.number or ""),
        provenance=Provenance(
            source_system="stripe",
            connection=call.connection,
            mapping_version=MAPPING_VERSION,
            correlation_id=metadata.get(CORRELATION, "") or call.correlation_id,
            observed_at=dt.datetime.fromtimestamp(event.created, dt.UTC).isoformat(),
        ),
    )


def _status(told: StripeInvoice) -> InvoiceStatus:
    """A status that Stripe adds later counts as posted: the invoice has been finalised."""
    if told.amount_paid and told.amount_remaining > 0:
        return "partially_paid"
    return STATUS.get(told.status or "", "posted")


def _line(number: int, line: Line, currency: str) -> InvoiceLine:
    taxes = line.taxes if line.taxes is not None else line.tax_amounts
    return InvoiceLine(
        number=number,
        description=(line.description or "")[:500],
        quantity=None if line.quantity is None else Quantity(str(line.quantity)),
        net_total=money(line.amount, currency),
        tax=None if taxes is None else money(sum(tax.amount for tax in taxes), currency),
    )


def _day(seconds: int) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date()


def _valid(invoice: Invoice) -> Invoice:
    try:
        return msgspec.convert(msgspec.to_builtins(invoice), Invoice)
    except msgspec.ValidationError as error:
        raise Broken("unreadable_event", f"invoice {invoice.id[:80]}: {error}") from error
