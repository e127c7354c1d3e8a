"""A deal, and what was seen of it: small and made up for these tests."""

import datetime as dt
from typing import Any

import msgspec

from canonical.failures import FailureRecord
from canonical.quote import QuoteValidated
from gateway.demo.deals import Deal, read
from gateway.demo.driver import Seen
from process_apis.transactions import InstanceView, StepView, TransactionView

TODAY = dt.date(2026, 11, 20)

QUOTE: dict[str, Any] = {
    "id": "Q-1",
    "entity": "US01",
    "customer": {"id": "C-ACME", "legal_name": "Acme Robotics Inc.", "currency": "USD"},
    "opportunity_id": "OPP-1",
    "currency": "USD",
    "issued_on": "today-5",
    "expires_on": "today+30",
    "lines": [
        {
            "number": 1,
            "item_code": "SUB-TEAM",
            "charge_type": "recurring",
            "quantity": {"amount": "2", "unit": "seat"},
            "unit_price": {"amount": "50", "currency": "USD"},
            "net_total": {"amount": "100.00", "currency": "USD"},
            "term": {"start": "month+1", "end": "monthend+12"},
        }
    ],
    "total": {"amount": "100.00", "currency": "USD"},
}
PAYMENT: dict[str, Any] = {
    "by": "card",
    "amount": {"amount": "110.00", "currency": "USD"},
    "payer": "Acme Robotics Inc.",
    "reference": "{invoice.1}",
    "pays": [{"invoice": "{invoice.1}", "amount": {"amount": "110.00", "currency": "USD"}}],
}
PAID: dict[str, Any] = {
    "title": "Acme pays",
    "quote": QUOTE,
    "people": [{"name": "Carla", "does": "sign"}],
    "invoices": [{"total": {"amount": "110.00", "currency": "USD"}}],
    "payments": [PAYMENT],
    "expect": {"outcome": "paid", "invoices": 1, "tax": {"amount": "10.00", "currency": "USD"}},
}


def changed(tree: Any, path: str, value: Any) -> Any:
    """The tree with another value at a place; None takes the key away."""
    name, _, rest = path.partition("/")
    if isinstance(tree, list):
        return [changed(one, rest, value) if index == int(name) and rest else one for index, one in enumerate(tree)]
    if rest:
        return {**tree, name: changed(tree[name], rest, value)}
    kept = {key: one for key, one in tree.items() if key != name}
    return kept if value is None else {**kept, name: value}


def deal(tree: dict[str, Any] = PAID, name: str = "01-acme") -> Deal:
    return read(f"{name}.json", msgspec.json.encode(tree), TODAY)


def instance(process: str, key: str, status: str = "done", *, why: str = "", steps: tuple[tuple[str, str, str], ...] = ()) -> InstanceView:
    """A process of a transaction; steps are (kind, step, answered or detail)."""
    reason = FailureRecord(word="rejected", code="no", detail=why) if why else None
    shown = tuple(StepView(step=step, kind=kind, answered=said, detail=said, at="") for kind, step, said in steps)
    return InstanceView(process=process, key=key, status=status, reason=reason, steps=shown)


def seen(of: Deal | None = None, *processes: InstanceView, stage: str = "paid", payment: InstanceView | None = None, **fields: Any) -> Seen:
    """A deal that went well, unless something else is said."""
    sold = of or deal()
    found = processes or (instance("quote_approval", "Q-1.v1"), instance("order_booking", "ORD-1"))
    valid = QuoteValidated(quote_id="Q-1", version=1, valid=True, findings=(), tax_estimate=sold.expect.tax)
    return msgspec.structs.replace(
        Seen(
            deal=sold,
            validation=valid,
            correlation_id="q2c-1",
            view=TransactionView(correlation_id="q2c-1", stage=stage, processes=found, story="It went well."),
            numbers=["INV-1"] if sold.invoices else [],
            payments={"pi_1": payment or instance("cash_application", "pi_1")} if sold.payments else {},
        ),
        **fields,
    )
