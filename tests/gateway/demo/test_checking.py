"""The audit of the vendors' books: clean books pass, and each planted fault is caught."""

from typing import Any

import pytest

from gateway.demo.checking import Expected, Order, Paid, audit, called_off
from system_apis.simulation import Effect


def effect(kind: str, key: str, **fields: Any) -> Effect:
    return Effect(seq=1, kind=kind, business_key=key, record_id="r-1", **fields)


BOOKED = Order(
    id="ORD-1",
    customer="C-ACME",
    kinds={
        ("avalara", "tax_document"): 1,
        ("netsuite", "sales_order"): 1,
        ("stripe", "subscription"): 1,
        ("stripe", "usage_subscription"): 1,
        ("kantata", "project"): 1,
        ("kantata", "project_task"): 2,
        ("salesforce", "opportunity_won"): 1,
    },
    tax="10.00",
)
UNDONE = Order(
    id="ORD-2", customer="C-NORDIC", undone=True, kinds={("avalara", "tax_document"): 1, ("tryton", "sales_order"): 1}, tax="5.00"
)
EXPECTED = Expected(
    orders=(BOOKED, UNDONE),
    payments=(
        Paid(id="pi_1", erp="netsuite", amount="110.00", invoices=("INV-1",)),
        Paid(id="BL-1", erp="tryton", amount="75.00", invoices=("INV-2", "INV-3")),
    ),
    invoices=("INV-1", "INV-2", "INV-3"),
    called_off=frozenset({"ORD-2"}),
)
CLEAN: dict[str, list[Effect]] = {
    "avalara": [
        effect("tax_document", "ORD-1", amount="10.00"),
        effect("tax_document", "ORD-2", amount="5.00"),
        effect("tax_void", "ORD-2"),
    ],
    "netsuite": [effect("customer", "C-ACME"), effect("sales_order", "ORD-1"), effect("payment", "pi_1", amount="110")],
    "tryton": [
        effect("customer", "C-NORDIC"),
        effect("sales_order", "ORD-2"),
        effect("payment", "BL-1", idempotency_key="BL-1 account.invoice,2", amount="50.00"),
        effect("payment_part", "BL-1", idempotency_key="BL-1 account.invoice,3", amount="25.00"),
        effect("invoice", "ORD-1"),
    ],
    "stripe": [
        effect("customer", "C-ACME"),
        effect("subscription", "ORD-1"),
        effect("usage_subscription", "ORD-1"),
        effect("payment", "pi_1"),
        effect("payment", "pi_2"),
    ],
    "kantata": [effect("project", "ORD-1"), effect("project_task", "ORD-1:1"), effect("project_task", "ORD-1:2")],
    "salesforce": [
        effect("opportunity_won", "ORD-1"),
        effect("crm_payment", "pi_1|INV-1"),
        effect("crm_payment", "BL-1|INV-2"),
        effect("crm_payment", "BL-1|INV-3"),
        *(effect("crm_invoice", number) for number in ("INV-1", "INV-2", "INV-3")),
    ],
}
BY_PEOPLE = {("stripe", "payment"), ("tryton", "invoice")}
MADE = [(vendor, at) for vendor, effects in CLEAN.items() for at, e in enumerate(effects) if (vendor, e.kind) not in BY_PEOPLE]


def with_(vendor: str, *more: Effect) -> dict[str, list[Effect]]:
    return {**CLEAN, vendor: [*CLEAN[vendor], *more]}


def without(vendor: str, at: int) -> dict[str, list[Effect]]:
    return {**CLEAN, vendor: [e for index, e in enumerate(CLEAN[vendor]) if index != at]}


def test_clean_books_pass() -> None:
    """Where every effect stands once, what was undone is taken back, and people's own acts do not count, nothing is found."""
    assert audit(CLEAN, EXPECTED).faults == ()


@pytest.mark.parametrize(("vendor", "at"), MADE)
def test_every_effect_that_happens_twice_is_a_duplicate(vendor: str, at: int) -> None:
    """A second effect of the same business identity is caught, under whatever record and key the vendor keeps it."""
    first = CLEAN[vendor][at]
    key = first.idempotency_key or "another key"
    twin = Effect(seq=99, kind=first.kind, business_key=first.business_key, record_id="r-2", idempotency_key=key, amount=first.amount)
    found = audit(with_(vendor, twin), EXPECTED).duplicates
    assert len(found) == 1
    assert found[0].startswith(f"{vendor} has 2 × {first.kind} of ")


@pytest.mark.parametrize(
    ("vendor", "ghost"),
    [
        ("netsuite", effect("sales_order", "ORD-9")),
        ("netsuite", effect("customer", "C-UNKNOWN")),
        ("netsuite", effect("payment", "pi_2", amount="1.00")),
        ("netsuite", effect("sales_order_closed", "ORD-1")),
        ("tryton", effect("sales_order", "ORD-1")),
        ("tryton", effect("payment", "pi_1", idempotency_key="pi_1 x", amount="110.00")),
        ("avalara", effect("tax_adjustment", "ORD-1")),
        ("avalara", effect("tax_void", "ORD-1")),
        ("stripe", effect("subscription", "ORD-2")),
        ("kantata", effect("project_task", "ORD-9:1")),
        ("salesforce", effect("opportunity_won", "ORD-2")),
        ("salesforce", effect("crm_payment", "pi_1|INV-2")),
        ("salesforce", effect("crm_invoice", "INV-9")),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.kind}-{value.business_key}",
)
def test_an_effect_without_a_deal_is_a_ghost(vendor: str, ghost: Effect) -> None:
    """What belongs to no deal, or not to this vendor, or not to this kind of deal, is found."""
    found = audit(with_(vendor, ghost), EXPECTED).ghosts
    assert found == (f"{vendor} has {ghost.kind} of {ghost.business_key}, which belongs to no deal",)


OF_BOOKED = [(vendor, at) for vendor, at in MADE if "ORD-2" not in CLEAN[vendor][at].business_key and CLEAN[vendor][at].kind != "customer"]


@pytest.mark.parametrize(("vendor", "at"), OF_BOOKED)
def test_every_effect_that_a_deal_needs_is_missed(vendor: str, at: int) -> None:
    """An effect that nobody has is found, be it of the order, its payment or its invoice; of a payment in parts by its sum."""
    found = audit(without(vendor, at), EXPECTED)
    assert [*found.missing, *found.amounts]


def test_what_an_undone_deal_has_left_is_open() -> None:
    """A tax document that was not voided, and a sale that the ERP does not show as called off, are still open."""
    standing = Expected(orders=EXPECTED.orders, payments=EXPECTED.payments, invoices=EXPECTED.invoices)
    assert audit(CLEAN, standing).left_open == ("tryton still has sales_order of ORD-2, which was undone",)
    assert audit(without("avalara", 2), EXPECTED).left_open == ("avalara still has tax_document of ORD-2, which was undone",)


def test_a_wrong_amount_is_found() -> None:
    """A payment booked with another amount, and a tax document over another tax, are faults even where each is there once."""
    off = {**CLEAN, "netsuite": [effect("sales_order", "ORD-1"), effect("payment", "pi_1", amount="100.00")]}
    assert audit(off, EXPECTED).amounts == ("netsuite has payment pi_1 with 100.00, not 110.00",)
    taxed = {**CLEAN, "avalara": [effect("tax_document", "ORD-1", amount="9.99"), *CLEAN["avalara"][1:]]}
    assert audit(taxed, EXPECTED).amounts == ("avalara has 9.99 tax for ORD-1, not 10.00",)


def test_a_sale_is_called_off_when_nothing_of_it_is_left() -> None:
    """Cancelled, or processed with every invoice cancelled and ignored; one invoice that still counts keeps it standing."""
    invoices = [{"id": 1, "state": "cancelled"}, {"id": 2, "state": "draft"}]
    sales: list[dict[str, Any]] = [
        {"reference": "A", "state": "cancelled", "invoices": [], "invoices_ignored": []},
        {"reference": "B", "state": "done", "invoices": [1], "invoices_ignored": [1]},
        {"reference": "C", "state": "processing", "invoices": [1, 2], "invoices_ignored": [1]},
        {"reference": "D", "state": "processing", "invoices": [1], "invoices_ignored": None},
        {"reference": "E", "state": "draft", "invoices": None, "invoices_ignored": None},
        {"reference": None, "state": "cancelled", "invoices": [], "invoices_ignored": []},
    ]
    assert called_off(sales, invoices) == {"A", "B"}
