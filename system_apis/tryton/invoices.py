"""Customer invoices in Tryton: which are open, and which were posted or changed since we last looked."""

import datetime as dt
import re
from decimal import Decimal

import msgspec

from canonical.invoice import FindOpenInvoices, FindPostedInvoices, Invoice, InvoiceLine, InvoicePosted, InvoicesFound, InvoiceStatus
from canonical.money import Money, Quantity, plain
from canonical.provenance import ExternalId, Provenance
from system_apis.connector import Call, Translated
from system_apis.tryton.client import Books
from system_apis.tryton.cursor import cursor_of
from system_apis.tryton.customers import Currency

INVOICE = "account.invoice"
LIMIT_MAX = 500  # a server reads at most 1,000 records at once, unless told otherwise

# wire shapes ----------------------------------------------------------------------------------------------------------


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """The party that owes."""

    id: int
    code: str | None = None
    name: str | None = None


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A sale behind the invoice."""

    id: int
    reference: str | None = None


class LineProduct(msgspec.Struct, frozen=True, kw_only=True):
    """The product of a line."""

    id: int
    code: str | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line; titles and comments have another type than ``line``."""

    id: int
    type: str = "line"
    description: str | None = None
    quantity: Decimal | None = None
    amount: Decimal | None = None
    product: LineProduct | None = msgspec.field(name="product.", default=None)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A receivable line, for its due date."""

    id: int
    maturity_date: dt.date | None = None


class TrytonInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as Tryton shows it."""

    id: int
    number: str | None = None
    reference: str | None = None
    state: str = ""
    invoice_date: dt.date | None = None
    total_amount: Decimal = Decimal(0)
    tax_amount: Decimal = Decimal(0)
    amount_to_pay: Decimal = Decimal(0)
    write_date: dt.datetime | None = None
    currency: Currency = msgspec.field(name="currency.")
    party: Payer | None = msgspec.field(name="party.", default=None)
    sales: tuple[Origin, ...] = msgspec.field(name="sales.", default=())
    lines: tuple[Line, ...] = msgspec.field(name="lines.", default=())
    lines_to_pay: tuple[Due, ...] = msgspec.field(name="lines_to_pay.", default=())


# mapping --------------------------------------------------------------------------------------------------------------

SETTLED: dict[str, InvoiceStatus] = {"draft": "draft", "validated": "draft", "paid": "paid", "cancelled": "void"}  # nothing is open
_OUR_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")


def status_of(state: str, total: Decimal, open_amount: Decimal) -> InvoiceStatus:
    """Tryton's state in our words; a state that we do not know counts by what is still to be paid."""
    if state in SETTLED:
        return SETTLED[state]
    if not open_amount:
        return "paid"
    return "partially_paid" if open_amount < total else "posted"


def invoice_of(found: TrytonInvoice, call: Call) -> Invoice:
    """An invoice of Tryton as ours."""
    currency, number = found.currency.code, found.number or ""
    due = [line.maturity_date for line in found.lines_to_pay if line.maturity_date]
    open_amount = Decimal(0) if found.state in SETTLED else found.amount_to_pay
    return Invoice(
        id=number if _OUR_ID.fullmatch(number) else f"tryton-{found.id}",
        order_id=next((sale.reference for sale in found.sales if sale.reference), ""),
        customer_id=(found.party.code if found.party else None) or "",
        customer_name=(found.party.name if found.party else None) or "",
        issued_on=found.invoice_date or call.now.date(),
        due_on=max(due, default=None),
        currency=currency,
        total=Money.of(found.total_amount, currency),
        tax_total=Money.of(found.tax_amount, currency),
        open_amount=Money.of(open_amount, currency),
        status=status_of(found.state, found.total_amount, open_amount),
        reference=found.reference or "",
        lines=_lines(found.lines, currency),
        external_id=ExternalId(connection=call.connection, kind="invoice", id=str(found.id), number=number),
        provenance=Provenance(source_system="tryton", connection=call.connection, observed_at=call.now.isoformat()),
    )


def _lines(lines: tuple[Line, ...], currency: str) -> tuple[InvoiceLine, ...]:
    """The lines with something on them: the line that only carries tax is part of the tax total."""
    told = [line for line in lines if line.type == "line" and (line.product or line.amount)]
    return tuple(
        InvoiceLine(
            number=number,
            item_code=(line.product.code if line.product else None) or "",
            description=(line.description or "")[:500],
            quantity=Quantity(plain(line.quantity)) if line.quantity is not None and line.quantity >= 0 else None,
            net_total=Money.of(line.amount or Decimal(0), currency),
        )
        for number, line in enumerate(told, start=1)
    )


def posted_events(reply: InvoicesFound) -> tuple[tuple[Translated, ...], str]:
    """What a poll tells the house: each state of an invoice once: posted, paid in part, paid."""
    posted = [invoice for invoice in reply.invoices if invoice.status != "void"]
    events = (
        Translated(
            id=f"invoice/{invoice.external_id.connection}/{invoice.external_id.id}/{invoice.status}/{invoice.open_amount.amount}",
            event=InvoicePosted(invoice=invoice),
            order_id=invoice.order_id,
        )
        for invoice in posted
    )
    return tuple(events), reply.cursor


# operations -----------------------------------------------------------------------------------------------------------


async def find_open(call: Call, command: FindOpenInvoices) -> InvoicesFound:
    """Posted invoices that are not paid, oldest first. A reference may be an invoice number, its reference, or our order id."""
    domain: list[object] = [["state", "=", "posted"]]
    if command.currency:
        domain.append(["currency.code", "=", command.currency])
    if command.customer_name:
        domain.append(["party.name", "ilike", f"%{command.customer_name}%"])
    if command.references:
        named = list(command.references)
        domain.append(["OR", ["number", "in", named], ["reference", "in", named], ["sales.reference", "in", named]])
    limit = min(command.limit, LIMIT_MAX)
    found = await of_customers(call.client.books(call.entity), domain, limit=limit, order=(("invoice_date", "ASC"), ("id", "ASC")))
    return InvoicesFound(invoices=tuple(invoice_of(one, call) for one in found if one.amount_to_pay > 0))


async def find_posted(call: Call, command: FindPostedInvoices) -> InvoicesFound:
    """Invoices that were posted, paid in part or whole, or cancelled after posting, in the order of the change."""
    cursor = cursor_of(command.cursor)
    limit = min(command.limit, LIMIT_MAX)
    domain = [["state", "in", ["posted", "paid", "cancelled"]], ["number", "!=", None], ["write_date", ">=", cursor.since]]
    order = (("write_date", "ASC"), ("id", "ASC"))
    found = await of_customers(call.client.books(call.entity), domain, limit=limit + len(cursor.seen), order=order)
    new = [one for one in found if one.write_date and cursor.is_new(one.id, one.write_date)][:limit]
    onward = cursor.after({one.id: one.write_date for one in new if one.write_date})
    return InvoicesFound(invoices=tuple(invoice_of(one, call) for one in new), cursor=onward.text())


async def of_customers(books: Books, domain: list[object], *, limit: int, order: tuple[tuple[str, str], ...]) -> list[TrytonInvoice]:
    """Customer invoices of the company; credit notes are negative and left out."""
    ours = [["type", "=", "out"], ["company", "=", books.company], ["total_amount", ">=", Decimal(0)]]
    return await books.rows(INVOICE, [*ours, *domain], TrytonInvoice, limit=limit, order=order)
