"""The memory of a cash application and its pure functions, in the order of the table."""

import msgspec

from canonical.failures import FailureRecord
from canonical.invoice import FindOpenInvoices, Invoice, InvoicesFound
from canonical.messages import Event
from canonical.money import Money
from canonical.payment import (
    Allocation,
    AllocationDecided,
    AllocationRequested,
    ApplyPayment,
    CashApplied,
    Payment,
    PaymentApplied,
    PaymentNotApplied,
    PaymentSettled,
    ReceivePayment,
    RecordPayment,
)
from process_apis.cash_application.matching import Match, match
from runtime.process.declare import CaseDraft

replace = msgspec.structs.replace


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the application has learned so far. ``why``: why there is no allocation."""

    payment: Payment
    open_invoices: tuple[Invoice, ...] = ()
    match: Match | None = None
    allocations: tuple[Allocation, ...] = ()
    decided_by: str = ""
    why: str = ""
    applied: PaymentApplied | None = None


def begin(message: ReceivePayment | PaymentSettled) -> Memory:
    return Memory(payment=message.payment)


def payment_id(message: ReceivePayment | PaymentSettled) -> str:
    return message.payment.id


def open_invoices(m: Memory) -> FindOpenInvoices:  # noqa: ARG001 - the ERP is asked for all: which of them are meant is the matching's business
    return FindOpenInvoices()


def keep_match(m: Memory, reply: InvoicesFound) -> Memory:
    found = match(m.payment, reply.invoices)
    return replace(m, open_invoices=reply.invoices, match=found, allocations=found.certain)


def needs_person(m: Memory) -> bool:
    return not m.allocations


def allocation_requested(m: Memory) -> AllocationRequested:
    found = m.match or Match(unapplied=m.payment.amount)
    return AllocationRequested(payment=m.payment, proposals=found.proposals, reason=found.reason)


def waiting_key(m: Memory) -> str:
    return m.payment.id


def decided_key(event: AllocationDecided) -> str:
    return event.payment_id


def keep_allocation(m: Memory, event: AllocationDecided) -> Memory:
    known = {invoice.id: invoice for invoice in m.open_invoices}
    if unknown := [a.invoice_id for a in event.invoices if a.invoice_id not in known]:
        return replace(m, why=f"{', '.join(unknown)} was not open when the payment came in")
    allocations = tuple(
        Allocation(invoice_id=a.invoice_id, invoice=known[a.invoice_id].external_id, amount=a.amount) for a in event.invoices
    )
    return replace(m, allocations=allocations, decided_by=event.decided_by, why="" if allocations else event.note or "left on account")


def nobody_allocated(m: Memory) -> Memory:
    return replace(m, why="nobody allocated it in time")


def is_allocated(m: Memory) -> bool:
    return bool(m.allocations)


def why_not(m: Memory) -> str:
    return m.why or "no invoice was found for it"


def apply(m: Memory) -> ApplyPayment:
    return ApplyPayment(payment=m.payment, allocations=m.allocations)


def keep_applied(m: Memory, reply: PaymentApplied) -> Memory:
    return replace(m, applied=reply)


def records(m: Memory) -> tuple[RecordPayment, ...]:
    return tuple(RecordPayment(payment_id=m.payment.id, allocation=a, paid_on=m.payment.received_on) for a in m.allocations)


def applied(m: Memory) -> CashApplied:
    spent = Money.total((a.amount for a in m.allocations), m.payment.amount.currency)
    unapplied = m.payment.amount - spent
    return CashApplied(
        payment_id=m.payment.id,
        amount=m.payment.amount,
        invoice_ids=tuple(a.invoice_id for a in m.allocations),
        order_ids=tuple(order_id for _, order_id in orders(m)),
        unapplied=unapplied,
    )


def not_applied(m: Memory, failure: FailureRecord) -> Event:
    return PaymentNotApplied(payment_id=m.payment.id, amount=m.payment.amount, reason=failure.detail)


def orders(m: Memory) -> tuple[tuple[str, str], ...]:
    """The orders behind the invoices that the payment pays: their transactions are this one's, too."""
    paid = {a.invoice_id for a in m.allocations}
    return tuple(("order_booking", i.order_id) for i in m.open_invoices if i.id in paid and i.order_id)


def _title(m: Memory) -> str:
    return f"{m.payment.amount} from {m.payment.payer or 'an unnamed payer'}"


def allocation_case(m: Memory) -> CaseDraft:
    found = m.match or Match(unapplied=m.payment.amount)
    return CaseDraft(
        kind="allocation",
        title=f"Allocate {_title(m)}: {found.reason}",
        amount=m.payment.amount.amount,
        currency=m.payment.amount.currency,
        document={"payment": m.payment, "reason": found.reason, "proposals": found.proposals, "open_invoices": m.open_invoices},
    )


def entity(m: Memory) -> str:
    return m.payment.entity


def shows(m: Memory) -> CaseDraft:
    return CaseDraft(
        kind="payment", title=f"Payment {_title(m)}", amount=m.payment.amount.amount, currency=m.payment.amount.currency, document=m
    )
