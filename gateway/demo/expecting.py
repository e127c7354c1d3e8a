"""What must stand in the vendors' books, by what the deals' files say and which numbers came into being."""

from collections.abc import Iterable, Mapping, Sequence

from gateway.demo.checking import Expected, Order, Paid
from gateway.demo.deals import Deal, told
from gateway.demo.driver import Seen
from gateway.demo.people import erp_of


def expected(deals: Sequence[Seen], numbers: Mapping[tuple[str, int], str], called_off: frozenset[str]) -> Expected:
    """The books as the files want them."""
    return Expected(
        orders=tuple(order for seen in deals if (order := order_of(seen.deal)) is not None),
        payments=tuple(paid for seen in deals for paid in _paid(seen, numbers)),
        invoices=tuple(sorted(numbers.values())),
        called_off=called_off,
    )


def order_of(deal: Deal) -> Order | None:
    """The effects that an order must have; None for a deal that never comes to an order."""
    outcome, tax = deal.expect.outcome, deal.expect.tax.amount if deal.expect.tax else ""
    if deal.books:
        return Order(id=deal.order_id, customer=deal.subject.customer.id, kinds=_kinds(deal), tax=tax)
    if outcome != "rejected_in_booking":
        return None
    undone = {kind: 1 for step in deal.expect.undone for kind in _made_by(deal, step)}
    return Order(id=deal.order_id, customer=deal.subject.customer.id, undone=True, kinds=undone, tax=tax)


def _kinds(deal: Deal) -> dict[tuple[str, str], int]:
    steps = ("commit_tax", "book_in_erp", "open_billing", "open_project", "update_crm")
    kinds = {kind: 1 for step in steps for kind in _made_by(deal, step)}
    tasks = sum(line.charge_type == "service" for line in deal.subject.lines)
    return kinds | ({("kantata", "project_task"): tasks} if tasks else {})


def _made_by(deal: Deal, step: str) -> Iterable[tuple[str, str]]:
    """What a step of the booking leaves in the books."""
    made: dict[str, list[tuple[str, str]]] = {
        "commit_tax": [("avalara", "tax_document")],
        "book_in_erp": [(erp_of(deal), "sales_order")],
        "open_billing": [
            *([("stripe", "subscription")] if deal.charges("recurring") else []),
            *([("stripe", "usage_subscription")] if deal.charges("usage") else []),
        ],
        "open_project": [("kantata", "project")] if deal.charges("service") else [],
        "update_crm": [("salesforce", "opportunity_won")],
    }
    return made[step]


def _paid(seen: Seen, numbers: Mapping[tuple[str, int], str]) -> Iterable[Paid]:
    for payment, payment_id in zip(seen.deal.payments, seen.payments, strict=False):
        if payment.ends == "applied":
            invoices = tuple(told(seen.deal, share.invoice, dict(numbers)) for share in payment.pays)
            yield Paid(id=payment_id, erp=erp_of(seen.deal), amount=payment.amount.amount, invoices=invoices)
