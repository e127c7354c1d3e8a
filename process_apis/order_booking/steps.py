"""The memory of an order booking and its pure functions, in the order of the table."""

import msgspec

from canonical.customer import CheckCredit, CreditChecked, CustomerEnsured, EnsureCustomer
from canonical.failures import FailureRecord
from canonical.messages import Event
from canonical.money import Money
from canonical.order import (
    BookOrder,
    CancelSalesOrder,
    CreateSalesOrder,
    MarkOrderBooked,
    Order,
    OrderBooked,
    OrderLine,
    OrderRejected,
    SalesOrderCreated,
)
from canonical.project import CancelProject, OpenProject, Project, ProjectOpened
from canonical.provenance import ExternalId
from canonical.subscription import BillingOpened, CloseBilling, OpenBilling, Subscription
from canonical.tax import CommitTax, TaxCommitted, TaxDocument, VoidTax
from process_apis.order_booking.splitting import lines_of, split
from runtime.process.declare import CaseDraft

replace = msgspec.structs.replace


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the booking has learned so far."""

    order: Order
    credit: CreditChecked | None = None
    customer: ExternalId | None = None
    tax_total: Money | None = None
    erp_ref: ExternalId | None = None
    billing_ref: ExternalId | None = None
    project_ref: ExternalId | None = None


def begin(command: BookOrder) -> Memory:
    return Memory(order=command.order)


def order_id(command: BookOrder) -> str:
    return command.order.id


def credit(m: Memory) -> CheckCredit:
    return CheckCredit(customer_id=m.order.customer.id, customer_name=m.order.customer.legal_name, currency=m.order.currency)


def keep_credit(m: Memory, reply: CreditChecked) -> Memory:
    return replace(m, credit=reply)


def credit_ok(m: Memory) -> bool:
    return not m.credit or not (m.credit.on_hold or _beyond_limit(m.credit, m.order.total))


def _beyond_limit(checked: CreditChecked, total: Money) -> bool:
    """Whether the order would take the customer beyond the limit; a limit in another currency says nothing about this order."""
    if checked.limit is None or checked.limit.currency != total.currency:
        return False
    balance = checked.open_balance if checked.open_balance and checked.open_balance.currency == total.currency else None
    return (balance or Money.zero(total.currency)) + total > checked.limit


def no_credit(m: Memory) -> str:
    if m.credit and m.credit.on_hold:
        return f"{m.order.customer.legal_name} is on credit hold"
    limit = m.credit.limit if m.credit else None
    return f"{m.order.customer.legal_name} would exceed its credit limit of {limit}"


def customer(m: Memory) -> EnsureCustomer:
    return EnsureCustomer(customer=m.order.customer)


def keep_customer(m: Memory, reply: CustomerEnsured) -> Memory:
    return replace(m, customer=reply.customer)


def tax(m: Memory) -> CommitTax:
    return CommitTax(document=TaxDocument.of(m.order, m.order.id, m.order.ordered_on))


def keep_tax(m: Memory, reply: TaxCommitted) -> Memory:
    return replace(m, tax_total=reply.total)


def void_tax(m: Memory) -> VoidTax:
    return VoidTax(code=m.order.id, entity=m.order.entity)


def sales_order(m: Memory) -> CreateSalesOrder:
    return CreateSalesOrder(order=m.order, customer=known(m.customer), tax_total=m.tax_total)


def keep_erp(m: Memory, reply: SalesOrderCreated) -> Memory:
    return replace(m, erp_ref=reply.erp_ref)


def cancel_sales_order(m: Memory) -> CancelSalesOrder:
    return CancelSalesOrder(order_id=m.order.id, erp_ref=known(m.erp_ref), reason="the booking was undone")


def has_subscription(m: Memory) -> bool:
    return bool(lines_of(m.order, "recurring", "usage"))


def billing(m: Memory) -> OpenBilling:
    lines = lines_of(m.order, "recurring", "usage")
    return OpenBilling(
        subscription=Subscription(
            order_id=m.order.id,
            entity=m.order.entity,
            customer=m.order.customer,
            currency=m.order.currency,
            starts_on=min((line.term.start for line in lines if line.term), default=m.order.ordered_on),
            lines=lines,
        )
    )


def keep_billing(m: Memory, reply: BillingOpened) -> Memory:
    return replace(m, billing_ref=reply.billing_ref)


def close_billing(m: Memory) -> CloseBilling:
    return CloseBilling(order_id=m.order.id, billing_ref=known(m.billing_ref), reason="the booking was undone")


def has_services(m: Memory) -> bool:
    return bool(lines_of(m.order, "service"))


def project(m: Memory) -> OpenProject:
    lines = lines_of(m.order, "service")
    terms = [line.term for line in lines if line.term]
    return OpenProject(
        project=Project(
            order_id=m.order.id,
            entity=m.order.entity,
            title=f"{m.order.customer.legal_name} {m.order.id}",
            customer=m.order.customer,
            currency=m.order.currency,
            budget=_sum(lines, m.order.currency),
            starts_on=min((t.start for t in terms), default=None),
            ends_on=max((t.end for t in terms), default=None),
            lines=lines,
        )
    )


def keep_project(m: Memory, reply: ProjectOpened) -> Memory:
    return replace(m, project_ref=reply.project_ref)


def cancel_project(m: Memory) -> CancelProject:
    return CancelProject(order_id=m.order.id, project_ref=known(m.project_ref), reason="the booking was undone")


def has_opportunity(m: Memory) -> bool:
    return bool(m.order.opportunity_id)


def won(m: Memory) -> MarkOrderBooked:
    order = m.order
    return MarkOrderBooked(
        order_id=order.id, quote_id=order.quote_id, opportunity_id=order.opportunity_id, erp_ref=known(m.erp_ref), total=order.total
    )


def booked(m: Memory) -> OrderBooked:
    order = m.order
    return OrderBooked(
        order_id=order.id,
        quote_id=order.quote_id,
        entity=order.entity,
        erp_ref=known(m.erp_ref),
        total=order.total,
        split={kind: _sum(lines, order.currency) for kind, lines in split(order).items()},
    )


def rejected(m: Memory, failure: FailureRecord) -> Event:
    return OrderRejected(order_id=m.order.id, quote_id=m.order.quote_id, reason=failure.detail)


def entity(m: Memory) -> str:
    return m.order.entity


def shows(m: Memory) -> CaseDraft:
    order = m.order
    return CaseDraft(
        kind="order",
        title=f"Order {order.id} of {order.customer.legal_name}",
        amount=order.total.amount,
        currency=order.currency,
        document=m,
    )


def known(reference: ExternalId | None) -> ExternalId:
    """A reference that an earlier step of the table has learned."""
    if reference is None:
        raise ValueError("the table asks for a reference before the step that learns it")
    return reference


def _sum(lines: tuple[OrderLine, ...], currency: str) -> Money:
    return Money.total((line.net_total for line in lines), currency)
