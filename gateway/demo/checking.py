"""Whether every effect happened exactly once: the vendors' own books, held against the deals.

Counted by business identity, not by what the gateway believes: an order is one sales order, one tax document, one subscription of each
kind and one project; a payment is one payment; a customer is one customer. What belongs to no deal is a ghost; what a deal needs and
nobody has is missing; what an undone deal has left standing is open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from system_apis.simulation import Effect

Ledgers = Mapping[str, Sequence[Effect]]

BY_PEOPLE = {("netsuite", "invoice"), ("tryton", "invoice"), ("stripe", "invoice"), ("stripe", "payment")}
# how an effect is called by a person, where that is more than its business key
IDENTITY: Mapping[tuple[str, str], Callable[[Effect], str]] = {
    ("tryton", "payment"): lambda effect: effect.idempotency_key,  # a payment has an entry for each invoice that it pays
    ("tryton", "payment_part"): lambda effect: effect.idempotency_key,
}
# what takes an effect back
UNDOES: Mapping[tuple[str, str], str] = {
    ("netsuite", "sales_order"): "sales_order_closed",
    ("avalara", "tax_document"): "tax_void",
    ("stripe", "subscription"): "subscription_cancelled",
    ("stripe", "usage_subscription"): "usage_subscription_cancelled",
    ("kantata", "project"): "project_cancelled",
}
OF_CUSTOMERS, OF_PAYMENTS = {"customer"}, {"payment", "payment_part"}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the books must show it. ``kinds`` are its effects, by vendor and kind, with how many of each; ``tax`` is its amount."""

    id: str
    customer: str
    undone: bool = False
    kinds: Mapping[tuple[str, str], int]
    tax: str = ""


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that was applied: in which ERP, how much, and to which invoices."""

    id: str
    erp: str
    amount: str
    invoices: tuple[str, ...]


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """All that may and must stand in the books. ``called_off``: the orders that an ERP without such an effect shows as called off."""

    orders: tuple[Order, ...] = ()
    payments: tuple[Paid, ...] = ()
    invoices: tuple[str, ...] = ()
    called_off: frozenset[str] = frozenset()


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the books, a sentence each; nothing: every effect happened exactly once."""

    duplicates: tuple[str, ...] = ()
    ghosts: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    left_open: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        return (*self.duplicates, *self.ghosts, *self.missing, *self.left_open, *self.amounts)


def audit(ledgers: Ledgers, expected: Expected) -> Audit:
    """Hold the books against the deals."""
    books = [(vendor, effect) for vendor, effects in ledgers.items() for effect in effects if (vendor, effect.kind) not in BY_PEOPLE]
    return Audit(
        duplicates=tuple(_duplicates(books)),
        ghosts=tuple(_ghosts(books, expected)),
        missing=tuple(_missing(books, expected)),
        left_open=tuple(_left_open(books, expected)),
        amounts=tuple(_amounts(books, expected)),
    )


def _identity(vendor: str, effect: Effect) -> str:
    return IDENTITY.get((vendor, effect.kind), _business_key)(effect)


def _business_key(effect: Effect) -> str:
    return effect.business_key


def _duplicates(books: Iterable[tuple[str, Effect]]) -> Iterable[str]:
    counted = Counter((vendor, effect.kind, _identity(vendor, effect)) for vendor, effect in books)
    return (f"{vendor} has {n} × {kind} of {key}" for (vendor, kind, key), n in sorted(counted.items()) if n > 1)


def _ghosts(books: Iterable[tuple[str, Effect]], expected: Expected) -> Iterable[str]:
    orders = {order.id: order for order in expected.orders}
    customers = {order.customer for order in expected.orders}
    payments = {payment.id: payment for payment in expected.payments}
    shown = {f"{payment.id}|{invoice}" for payment in expected.payments for invoice in payment.invoices}
    for vendor, effect in books:
        if effect.kind in OF_CUSTOMERS:
            known = effect.business_key in customers
        elif vendor == "salesforce" and effect.kind == "crm_payment":
            known = effect.business_key in shown
        elif effect.kind in OF_PAYMENTS:
            known = effect.business_key in payments and payments[effect.business_key].erp == vendor
        elif effect.kind == "crm_invoice":
            known = effect.business_key in expected.invoices
        else:
            known = _of_order(vendor, effect, orders)
        if not known:
            yield f"{vendor} has {effect.kind} of {effect.business_key}, which belongs to no deal"


def _of_order(vendor: str, effect: Effect, orders: Mapping[str, Order]) -> bool:
    """Whether an order has effects of this kind; what takes one back is only for an order that was undone."""
    order = orders.get(effect.business_key.split(":", maxsplit=1)[0])
    if order is None:
        return False
    undoing = order.undone and effect.kind in {UNDOES.get(kind) for kind in order.kinds if kind[0] == vendor}
    return (vendor, effect.kind) in order.kinds or undoing


def _missing(books: Iterable[tuple[str, Effect]], expected: Expected) -> Iterable[str]:
    found = Counter((vendor, effect.kind, effect.business_key.split(":", maxsplit=1)[0]) for vendor, effect in books)
    for order in expected.orders:
        for (vendor, kind), wanted in order.kinds.items():
            if found[vendor, kind, order.id] < wanted:
                yield f"{vendor} has {found[vendor, kind, order.id]} × {kind} of {order.id}, not {wanted}"
    for payment in expected.payments:
        if not found[payment.erp, "payment", payment.id]:
            yield f"{payment.erp} has no payment {payment.id}"
        for invoice in payment.invoices:
            if not found["salesforce", "crm_payment", f"{payment.id}|{invoice}"]:
                yield f"salesforce does not show payment {payment.id} at {invoice}"
    for invoice in expected.invoices:
        if not found["salesforce", "crm_invoice", invoice]:
            yield f"salesforce does not show invoice {invoice}"


def _left_open(books: Iterable[tuple[str, Effect]], expected: Expected) -> Iterable[str]:
    found = Counter((vendor, effect.kind, effect.business_key) for vendor, effect in books)
    for order in (order for order in expected.orders if order.undone):
        for vendor, kind in order.kinds:
            done, undo = found[vendor, kind, order.id], UNDOES.get((vendor, kind))
            taken_back = found[vendor, undo, order.id] if undo else done * (order.id in expected.called_off)
            if done > taken_back:
                yield f"{vendor} still has {kind} of {order.id}, which was undone"


def _amounts(books: Sequence[tuple[str, Effect]], expected: Expected) -> Iterable[str]:
    sums: dict[tuple[str, str], Decimal] = {}
    for vendor, effect in books:
        if effect.kind in OF_PAYMENTS and vendor != "salesforce":
            key = (vendor, effect.business_key)
            sums[key] = sums.get(key, Decimal(0)) + Decimal(effect.amount or 0)
    for payment in expected.payments:
        booked = sums.get((payment.erp, payment.id))
        if booked is not None and booked != Decimal(payment.amount):
            yield f"{payment.erp} has payment {payment.id} with {booked}, not {payment.amount}"
    taxes = {order.id: order.tax for order in expected.orders if order.tax}
    for vendor, effect in books:
        tax = taxes.get(effect.business_key)
        if vendor == "avalara" and effect.kind == "tax_document" and tax is not None and Decimal(effect.amount) != Decimal(tax):
            yield f"avalara has {effect.amount} tax for {effect.business_key}, not {tax}"


def called_off(sales: Iterable[Mapping[str, Any]], invoices: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The orders that Tryton shows as called off: cancelled, or processed with all their invoices cancelled and ignored."""
    states = {invoice["id"]: invoice["state"] for invoice in invoices}

    def off(sale: Mapping[str, Any]) -> bool:
        made, ignored = sale["invoices"] or [], sale["invoices_ignored"] or []
        return sale["state"] == "cancelled" or (bool(made) and all(i in ignored and states[i] == "cancelled" for i in made))

    return frozenset(sale["reference"] for sale in sales if sale["reference"] and off(sale))
