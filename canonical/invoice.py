"""Invoice: what a customer owes. Posted by the ERP or the billing system, never by the gateway."""

import datetime as dt
from typing import Literal

import msgspec

from canonical.messages import Command, Event
from canonical.money import CurrencyCode, Money, Quantity
from canonical.order import CrmUpdated
from canonical.provenance import ExternalId, Id, Provenance, Text

InvoiceStatus = Literal["draft", "posted", "partially_paid", "paid", "void"]


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line, net of tax."""

    number: int
    item_code: Text = ""
    description: Text = ""
    quantity: Quantity | None = None
    net_total: Money
    tax: Money | None = None


class Invoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invoice as its system shows it. ``id`` is the number that customers quote; ``open_amount`` is what is still to be paid."""

    id: Id
    order_id: Text = ""
    customer_id: Text = ""
    customer_name: Text = ""
    issued_on: dt.date
    due_on: dt.date | None = None
    currency: CurrencyCode
    total: Money
    tax_total: Money | None = None
    open_amount: Money
    status: InvoiceStatus
    reference: Text = ""
    lines: tuple[InvoiceLine, ...] = ()
    external_id: ExternalId
    provenance: Provenance | None = None


class InvoicesFound(Event, frozen=True, kw_only=True):
    """Invoices; ``cursor`` is handed back on the next call to go on from there, and is the same as before when there is nothing new."""

    invoices: tuple[Invoice, ...]
    cursor: str = ""


class FindOpenInvoices(Command[InvoicesFound], frozen=True, kw_only=True):
    """Posted invoices with an open amount. Filters are cumulative; without any, all open invoices (at most `limit`, oldest first)."""

    port = "erp"
    currency: CurrencyCode | None = None
    customer_name: Text = ""
    references: tuple[Text, ...] = ()
    limit: int = 500


class FindPostedInvoices(Command[InvoicesFound], frozen=True, kw_only=True):
    """Invoices that were posted or changed since `cursor` (opaque; empty: from the beginning)."""

    port = "erp"
    cursor: str = ""
    limit: int = 200


class InvoicePosted(Event, frozen=True, kw_only=True):
    """An ERP or billing system has posted an invoice."""

    invoice: Invoice
    entity: Text = ""


class InvoiceIssued(Event, frozen=True, kw_only=True):
    """CRM and read models know the invoice, or the new state of it."""

    invoice_id: Id
    order_id: Text = ""
    total: Money
    open_amount: Money
    status: InvoiceStatus


class RecordInvoice(Command[CrmUpdated], frozen=True, kw_only=True):
    """Show the invoice at the opportunity or account in the CRM; the same invoice again updates it."""

    port = "crm"
    invoice: Invoice
    opportunity_id: Text = ""
