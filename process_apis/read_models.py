"""The commercial transactions as finance and sales see them: one row per correlation id, folded from the events."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from canonical.failures import Unavailable
from canonical.invoice import InvoiceIssued
from canonical.messages import Event
from canonical.order import OrderBooked, OrderRejected
from canonical.payment import AllocationRequested, CashApplied, PaymentNotApplied
from canonical.quote import QuoteAccepted, QuoteApprovalRequested, QuoteRejected
from runtime.bus.contract import Queue
from runtime.bus.topology import READ_MODELS
from runtime.bus.wire import Envelope
from runtime.clock import Clock
from runtime.store.contract import Duplicate, PutTransaction, Seen, Store, Transaction

replace = msgspec.structs.replace
Fold = Callable[[Transaction, Any], Transaction]

AGE: Mapping[str, int] = {"draft": 0, "posted": 1, "partially_paid": 2, "paid": 3, "void": 4}
"""How far an invoice has come; events may come in any order, and older news does not take it back."""


class Document(msgspec.Struct, frozen=True):
    """What a row remembers beside its columns: the state of each invoice of the transaction, by number, and how often it was written."""

    invoices: dict[str, str] = {}
    writes: int = 0


ONWARD = ("received", "awaiting_approval", "accepted", "booked")
TRIES = 5


def _onward(row: Transaction, stage: str) -> str:
    """The stage, unless the transaction has left it behind: events may overtake one another."""
    return stage if row.stage in ONWARD[: ONWARD.index(stage) + 1] else row.stage


def _approval(row: Transaction, event: QuoteApprovalRequested) -> Transaction:
    stage = _onward(row, "awaiting_approval")
    return replace(row, quote_id=event.quote_id, stage=stage, amount=event.amount.amount, currency=event.amount.currency)


def _accepted(row: Transaction, event: QuoteAccepted) -> Transaction:
    return replace(row, quote_id=event.quote_id, order_id=event.order_id, stage=_onward(row, "accepted"))


def _quote_rejected(row: Transaction, event: QuoteRejected) -> Transaction:
    return replace(row, quote_id=event.quote_id, stage="rejected")


def _booked(row: Transaction, event: OrderBooked) -> Transaction:
    return replace(
        row,
        quote_id=event.quote_id,
        order_id=event.order_id,
        entity=event.entity,
        stage=_onward(row, "booked"),
        amount=event.total.amount,
        currency=event.total.currency,
    )


def _order_rejected(row: Transaction, event: OrderRejected) -> Transaction:
    return replace(row, order_id=event.order_id, quote_id=event.quote_id, stage="rejected")


def _invoiced(row: Transaction, event: InvoiceIssued) -> Transaction:
    noted = msgspec.json.decode(row.document, type=Document)
    states = dict(noted.invoices)
    known = states.get(event.invoice_id, "draft")
    states[event.invoice_id] = max(known, event.status, key=lambda state: AGE.get(state, 0))
    stage = _stage(row.stage, {state for state in states.values() if state != "void"})
    return replace(row, stage=stage, document=msgspec.json.encode(replace(noted, invoices=states)))


def _stage(before: str, states: set[str]) -> str:
    """Where a transaction stands by the states of its invoices."""
    if not states:
        return "invoice_void"
    if states == {"paid"}:
        return "paid"
    if states & {"paid", "partially_paid"}:
        return "partially_paid"
    return "cash_applied" if before == "cash_applied" else "invoiced"


def _cash(row: Transaction, _event: CashApplied) -> Transaction:
    return row if row.stage in {"partially_paid", "paid"} else replace(row, stage="cash_applied")


def _parked(row: Transaction, event: AllocationRequested) -> Transaction:
    return replace(row, stage="awaiting_allocation", amount=event.payment.amount.amount, currency=event.payment.amount.currency)


def _not_applied(row: Transaction, _event: PaymentNotApplied) -> Transaction:
    return replace(row, stage="not_applied")


FOLDS: Mapping[type[Event], Fold] = {
    QuoteApprovalRequested: _approval,
    QuoteAccepted: _accepted,
    QuoteRejected: _quote_rejected,
    OrderBooked: _booked,
    OrderRejected: _order_rejected,
    InvoiceIssued: _invoiced,
    CashApplied: _cash,
    AllocationRequested: _parked,
    PaymentNotApplied: _not_applied,
}

QUEUE = Queue(name=READ_MODELS, events=tuple(event.wire_name() for event in FOLDS))


class ReadModels:
    """Keeps the rows; each event counts once."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def handle(self, letter: Envelope) -> None:
        """Fold one event into the row of its transaction, and into those of the orders that it concerns."""
        event = letter.open()
        fold = FOLDS.get(type(event))  # type: ignore[arg-type]
        if fold is None:
            return
        correlations = {letter.correlation_id}
        for order_id in _orders(event):
            correlations.add(await self._store.correlation_of(letter.tenant, "order_booking", order_id))
        for _ in range(TRIES):
            writes = [await self._folded(letter, c, event, fold) for c in sorted(correlations - {""})]
            try:
                await self._store.commit([Seen(READ_MODELS, letter.id), *(write for pair in writes for write in pair)])
            except Duplicate:
                if await self._store.seen(READ_MODELS, letter.id):
                    return
            else:
                return
        raise Unavailable("read_model_busy", f"others write to the transactions of {letter.type}", retry_after_s=1.0)

    async def _folded(self, letter: Envelope, correlation_id: str, event: Any, fold: Fold) -> tuple[PutTransaction, Seen]:
        """The row with the event in it; the mark makes sure that nobody has written the row since it was read."""
        now = self._clock.now()
        row = await self._store.transaction(letter.tenant, correlation_id)
        row = row or Transaction(
            tenant=letter.tenant, correlation_id=correlation_id, entity=letter.entity, stage="received", updated_at=now
        )
        folded = fold(row, event)
        noted = msgspec.json.decode(folded.document, type=Document)
        document = msgspec.json.encode(replace(noted, writes=noted.writes + 1))
        mark = Seen(f"{READ_MODELS}/{letter.tenant}/{correlation_id}", str(noted.writes + 1))
        return PutTransaction(replace(folded, document=document, updated_at=now)), mark


def _orders(event: Any) -> tuple[str, ...]:
    if isinstance(event, CashApplied):
        return event.order_ids
    return (event.order_id,) if isinstance(event, InvoiceIssued) and event.order_id else ()
