"""Payment: money that has arrived, and which invoices it pays."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from canonical.messages import Accepted, Command, Event
from canonical.money import Money
from canonical.order import CrmUpdated
from canonical.provenance import ExternalId, Id, Name, Text

Certainty = Literal["certain", "proposed", "none"]


class Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settled money. ``id`` is the payment provider's id or the bank line's hash: the same id is the same money."""

    id: Id
    entity: Id
    source: Literal["payment_provider", "bank_statement", "manual"]
    received_on: dt.date
    amount: Money
    payer: Text = ""
    payer_account: Text = ""
    references: tuple[Text, ...] = ()
    remittance: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    fee: Money | None = None
    external_id: ExternalId | None = None


class Allocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a payment that pays one invoice, in the payment's currency."""

    invoice_id: Id
    invoice: ExternalId
    amount: Money


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to allocate a payment, with a score between 0 and 100 and the reasons in words."""

    score: int
    reasons: tuple[str, ...]
    allocations: tuple[Allocation, ...]
    unapplied: Money


class ReceivePayment(Command[Accepted], frozen=True, kw_only=True):
    """Start the cash application of a payment."""

    port = "process"
    payment: Payment


class AllocationDecided(Event, frozen=True, kw_only=True):
    """A person has said which invoices a payment pays; none means that it stays unapplied on account."""

    payment_id: Id
    invoices: tuple["AllocatedAmount", ...]
    decided_by: Name
    note: Text = ""


class AllocatedAmount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invoice by its number, and how much of the payment it gets."""

    invoice_id: Id
    amount: Money


class AllocationRequested(Event, frozen=True, kw_only=True):
    """A payment that does not match with certainty waits for a person."""

    payment: Payment
    proposals: tuple[Proposal, ...]
    reason: str


class PaymentApplied(Event, frozen=True, kw_only=True):
    """The ERP has the payment and its allocations; ``unapplied`` stays on the customer's account."""

    payment_id: Id
    erp_ref: ExternalId
    allocations: tuple[Allocation, ...]
    unapplied: Money


class ApplyPayment(Command[PaymentApplied], frozen=True, kw_only=True):
    """Enter the payment in the ERP and allocate it; our payment id is its external id or reference."""

    port = "erp"
    payment: Payment
    allocations: tuple[Allocation, ...]


class CashApplied(Event, frozen=True, kw_only=True):
    """The money is where it belongs. ``order_ids``: the orders behind the invoices, where they are known."""

    payment_id: Id
    amount: Money
    invoice_ids: tuple[str, ...]
    order_ids: tuple[str, ...] = ()
    unapplied: Money


class PaymentNotApplied(Event, frozen=True, kw_only=True):
    """The money stays unapplied, for this reason."""

    payment_id: Id
    amount: Money
    reason: str


class RecordPayment(Command[CrmUpdated], frozen=True, kw_only=True):
    """Show at the invoice in the CRM what has been paid; the same payment again changes nothing."""

    port = "crm"
    payment_id: Id
    allocation: Allocation
    paid_on: dt.date


class PaymentSettled(Event, frozen=True, kw_only=True):
    """A payment provider says that money has been settled."""

    payment: Payment


class DecideAllocation(Command[Accepted], frozen=True, kw_only=True):
    """Say which invoices a waiting payment pays. The parts may not come to more than the payment."""

    port = "process"
    payment_id: Id
    invoices: tuple[AllocatedAmount, ...]
    note: Text = ""
