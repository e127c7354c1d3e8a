"""The memory of an invoicing and its pure functions, in the order of the table."""

import msgspec

from canonical.invoice import Invoice, InvoiceIssued, InvoicePosted, RecordInvoice
from runtime.process.declare import CaseDraft


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice as it was when the instance began."""

    invoice: Invoice


def begin(event: InvoicePosted) -> Memory:
    return Memory(invoice=event.invoice)


def invoice_key(event: InvoicePosted) -> str:
    """One instance per state of an invoice: posted, partially paid down to an amount, paid, void."""
    invoice = event.invoice
    return f"{invoice.external_id.connection}:{invoice.id}:{invoice.status}:{invoice.open_amount.amount}"


def record(m: Memory) -> RecordInvoice:
    return RecordInvoice(invoice=m.invoice)


def issued(m: Memory) -> InvoiceIssued:
    return InvoiceIssued(
        invoice_id=m.invoice.id,
        order_id=m.invoice.order_id,
        total=m.invoice.total,
        open_amount=m.invoice.open_amount,
        status=m.invoice.status,
    )


def order(m: Memory) -> tuple[tuple[str, str], ...]:
    return (("order_booking", m.invoice.order_id),) if m.invoice.order_id else ()


def shows(m: Memory) -> CaseDraft:
    return CaseDraft(
        kind="invoice",
        title=f"Invoice {m.invoice.id} of {m.invoice.customer_name}",
        amount=m.invoice.total.amount,
        currency=m.invoice.currency,
        document=m,
    )
