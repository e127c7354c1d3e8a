"""What sales sees of a transaction."""

import msgspec

from canonical.money import Money
from runtime.store.contract import Transaction

IN_WORDS = {
    "received": "submitted",
    "awaiting_approval": "waits for approval",
    "accepted": "accepted, being booked",
    "booked": "booked",
    "invoiced": "invoiced",
    "partially_paid": "partially paid",
    "paid": "paid",
    "cash_applied": "payment applied",
    "rejected": "rejected",
}


class QuoteProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a quote has come on its way to cash."""

    correlation_id: str
    quote_id: str
    order_id: str = ""
    customer: str
    amount: Money | None = None
    stage: str
    stage_in_words: str
    updated_at: str

    @classmethod
    def of(cls, row: Transaction) -> "QuoteProgress":
        """The view of a read-model row."""
        return cls(
            correlation_id=row.correlation_id,
            quote_id=row.quote_id,
            order_id=row.order_id,
            customer=row.customer,
            amount=Money(row.amount, row.currency) if row.currency else None,
            stage=row.stage,
            stage_in_words=IN_WORDS.get(row.stage, row.stage.replace("_", " ")),
            updated_at=row.updated_at.isoformat(),
        )
