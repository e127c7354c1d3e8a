"""One row per transaction, folded from the events: it shows how far the deal has come, and each event counts once."""

from typing import Any

import pytest

from canonical.invoice import InvoiceIssued
from canonical.messages import Accepted, Event
from canonical.money import Money
from canonical.order import OrderBooked, OrderRejected
from canonical.payment import AllocationRequested, CashApplied, PaymentNotApplied
from canonical.provenance import ExternalId
from canonical.quote import QuoteAccepted, QuoteApprovalRequested, QuoteRejected
from process_apis.read_models import FOLDS, QUEUE, ReadModels
from runtime.bus.wire import envelope
from runtime.clock import SetClock
from runtime.context import Context
from runtime.store.contract import Instance, StartInstance, Transaction
from runtime.store.engine import SqlStore
from tests.process_apis.bills import payment

TEN = Money("10.00", "EUR")
REF = ExternalId(connection="erp", kind="order", id="7")


def invoiced(status: Any, order_id: str = "ORD-1") -> InvoiceIssued:
    return InvoiceIssued(invoice_id="INV-1", order_id=order_id, total=TEN, open_amount=TEN, status=status)


def applied(*order_ids: str) -> CashApplied:
    return CashApplied(payment_id="PAY-1", amount=TEN, invoice_ids=("INV-1",), order_ids=order_ids, unapplied=Money.zero("EUR"))


EVENTS: list[tuple[Event, str]] = [
    (QuoteApprovalRequested(quote_id="Q-1", version=1, reasons=("amount",), amount=TEN, level="first"), "awaiting_approval"),
    (QuoteAccepted(quote_id="Q-1", version=1, fingerprint="f", order_id="ORD-1"), "accepted"),
    (QuoteRejected(quote_id="Q-1", version=1, reason="no"), "rejected"),
    (OrderBooked(order_id="ORD-1", quote_id="Q-1", entity="DE01", erp_ref=REF, total=TEN, split={}), "booked"),
    (OrderRejected(order_id="ORD-1", quote_id="Q-1", reason="no"), "rejected"),
    (invoiced("posted"), "invoiced"),
    (invoiced("partially_paid"), "partially_paid"),
    (invoiced("paid"), "paid"),
    (invoiced("void"), "invoice_void"),
    (applied(), "cash_applied"),
    (AllocationRequested(payment=payment("10.00"), proposals=(), reason="unclear"), "awaiting_allocation"),
    (PaymentNotApplied(payment_id="PAY-1", amount=TEN, reason="no"), "not_applied"),
]


class Shelf:
    """The read models over a real store."""

    def __init__(self, store: SqlStore, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.models = ReadModels(store, clock)

    async def tell(self, event: Event, correlation_id: str = "q2c-1", message_id: str = "") -> None:
        context = Context(tenant="acme", entity="DE01", correlation_id=correlation_id)
        await self.models.handle(envelope(event, context, now=self.clock.now(), message_id=message_id))

    async def row(self, correlation_id: str = "q2c-1") -> Transaction:
        found = await self.store.transaction("acme", correlation_id)
        assert found is not None
        return found


@pytest.fixture
def shelf(store: SqlStore, clock: SetClock) -> Shelf:
    return Shelf(store, clock)


@pytest.mark.parametrize(("event", "stage"), EVENTS, ids=lambda value: value if isinstance(value, str) else type(value).__name__)
async def test_each_event_sets_the_stage(shelf: Shelf, event: Event, stage: str) -> None:
    """Every event that the read models subscribe to says where the transaction stands."""
    await shelf.tell(event)
    assert (await shelf.row()).stage == stage


def test_every_subscribed_event_is_told_above() -> None:
    """The queue has exactly the events that can be folded, and each of them was tried."""
    assert {type(event) for event, _ in EVENTS} == set(FOLDS)
    assert set(QUEUE.events) == {event.wire_name() for event in FOLDS}


async def test_a_row_gathers_what_the_events_know(shelf: Shelf) -> None:
    """Quote, order, entity and amount stay in the row while the deal moves on."""
    for position in (1, 3, 5):
        await shelf.tell(EVENTS[position][0])
    row = await shelf.row()
    assert (row.quote_id, row.order_id, row.entity, row.amount, row.currency, row.stage) == (
        "Q-1",
        "ORD-1",
        "DE01",
        "10.00",
        "EUR",
        "invoiced",
    )


async def test_the_same_event_again_changes_nothing(shelf: Shelf) -> None:
    """An event that is delivered again after the next one does not set the transaction back."""
    await shelf.tell(EVENTS[3][0], message_id="m-1")
    await shelf.tell(applied(), message_id="m-2")
    await shelf.tell(EVENTS[3][0], message_id="m-1")
    assert (await shelf.row()).stage == "cash_applied"


async def test_a_paid_invoice_does_not_become_open_again(shelf: Shelf) -> None:
    """An invoice state that arrives late does not undo the payment (Q9, ME3)."""
    await shelf.tell(invoiced("paid"))
    await shelf.tell(invoiced("posted"))
    assert (await shelf.row()).stage == "paid"


@pytest.mark.parametrize("event", [invoiced("posted"), applied("ORD-1", "ORD-2")], ids=["an invoice", "money for two orders"])
async def test_what_concerns_an_order_shows_in_its_transaction(shelf: Shelf, store: SqlStore, clock: SetClock, event: Event) -> None:
    """An invoice or a payment with a transaction of its own moves those of its orders, too."""
    for number in (1, 2):
        row = Instance(
            tenant="acme",
            process="order_booking",
            key=f"ORD-{number}",
            correlation_id=f"q2c-order-{number}",
            created_at=clock.now(),
            updated_at=clock.now(),
        )
        await store.commit([StartInstance(row)])
    await shelf.tell(event, "q2c-money")
    told = ["q2c-money", "q2c-order-1", *(["q2c-order-2"] if isinstance(event, CashApplied) else [])]
    assert len({(await shelf.row(correlation_id)).stage for correlation_id in told}) == 1


LATE: list[tuple[Event, Event, str]] = [
    (EVENTS[3][0], EVENTS[1][0], "booked"),
    (EVENTS[5][0], EVENTS[3][0], "invoiced"),
    (EVENTS[7][0], EVENTS[3][0], "paid"),
    (EVENTS[4][0], EVENTS[1][0], "rejected"),
    (EVENTS[1][0], EVENTS[0][0], "accepted"),
]


@pytest.mark.parametrize(("first", "late", "stage"), LATE, ids=lambda value: value if isinstance(value, str) else type(value).__name__)
async def test_an_event_that_was_overtaken_does_not_set_the_stage_back(shelf: Shelf, first: Event, late: Event, stage: str) -> None:
    """What an earlier event knows is noted when it comes late, but the deal stands where it stood (Q9, ME3)."""
    await shelf.tell(first)
    await shelf.tell(late)
    assert (await shelf.row()).stage == stage


async def test_two_workers_do_not_overwrite_one_another(shelf: Shelf, store: SqlStore, clock: SetClock) -> None:
    """Where another worker writes the row between our reading and our writing, both events are in it in the end."""
    other, read = Shelf(store, clock), store.transaction

    class Interrupted:
        """The store of a worker that is overtaken once, right after it has read the row."""

        def __init__(self) -> None:
            self.times = 0

        async def transaction(self, tenant: str, correlation_id: str) -> Transaction | None:
            row = await read(tenant, correlation_id)
            self.times += 1
            if self.times == 1:
                await other.tell(EVENTS[3][0])
            return row

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    shelf.models = ReadModels(Interrupted(), clock)
    await shelf.tell(EVENTS[1][0])
    row = await shelf.row()
    assert (row.stage, row.order_id, row.amount) == ("booked", "ORD-1", "10.00")


async def test_an_event_of_another_kind_is_left_alone(shelf: Shelf) -> None:
    """What is delivered by mistake is passed over."""
    await shelf.tell(Accepted(process="x", key="y"))
    assert await shelf.store.transaction("acme", "q2c-1") is None
