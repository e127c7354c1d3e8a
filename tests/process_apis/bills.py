"""Invoices and payments, made short."""

import datetime as dt
from typing import Any

from canonical.invoice import Invoice
from canonical.money import Money
from canonical.payment import Allocation, Payment
from canonical.provenance import ExternalId

DAY = dt.date(2026, 1, 15)
PAYER = "Acme Robotics Inc."


def euros(amount: str, currency: str = "EUR") -> Money:
    return Money(amount, currency)


def invoice(number: str, open_amount: str, *, currency: str = "EUR", customer: str = PAYER, **fields: Any) -> Invoice:
    """A posted invoice of which so much is open."""
    given: dict[str, Any] = {"status": "posted", "issued_on": DAY, **fields}
    return Invoice(
        id=number,
        customer_name=customer,
        currency=currency,
        total=Money(open_amount, currency),
        open_amount=Money(open_amount, currency),
        external_id=ExternalId(connection="erp", kind="invoice", id=f"id-{number}", number=number),
        **given,
    )


def payment(amount: str, text: str = "", *, currency: str = "EUR", payer: str = PAYER, references: tuple[str, ...] = ()) -> Payment:
    """Money that has arrived, with what the payer wrote."""
    return Payment(
        id="PAY-1",
        entity="US01",
        source="bank_statement",
        received_on=DAY,
        amount=Money(amount, currency),
        payer=payer,
        references=references,
        remittance=text,
    )


def short(allocations: tuple[Allocation, ...]) -> dict[str, str]:
    """Invoice number and amount."""
    return {a.invoice_id: a.amount.amount for a in allocations}
