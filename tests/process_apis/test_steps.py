"""The pure functions of the tables: what is asked follows from the memory, to the cent, and nothing is keyed in again."""

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canonical.customer import CreditChecked
from canonical.failures import FailureRecord
from canonical.item import ChargeType
from canonical.money import Money
from canonical.order import BookOrder, Order
from canonical.payment import AllocatedAmount, AllocationDecided, Payment, PaymentSettled, ReceivePayment
from canonical.provenance import ExternalId
from canonical.quote import QuoteDecided, SubmitQuote
from process_apis.cash_application import steps as cash
from process_apis.invoicing import steps as invoicing
from process_apis.order_booking import steps as booking
from process_apis.order_booking.splitting import split
from process_apis.quote_approval import steps as approval
from process_apis.quote_approval.rules import RULES
from tests.process_apis.bills import invoice, payment
from tests.process_apis.deals import line, quote, signed

KINDS: tuple[ChargeType, ...] = ("recurring", "one_time", "usage", "service")
replace = msgspec.structs.replace


def order(*kinds: ChargeType) -> Order:
    lines = tuple(line(number, charge_type=kind) for number, kind in enumerate(kinds, start=1))
    return Order.of_quote(quote(*lines), "ORD-1", dt.date(2026, 1, 21))


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
def test_every_line_is_in_exactly_one_part(kinds: list[ChargeType]) -> None:
    """Splitting an order by charge type loses no line, doubles none, and keeps their order; the parts come to the total."""
    booked = order(*kinds)
    parts = split(booked)
    assert sorted(one.number for lines in parts.values() for one in lines) == [one.number for one in booked.lines]
    assert all(lines and [one.number for one in lines] == sorted(one.number for one in lines) for lines in parts.values())
    assert Money.total((one.net_total for lines in parts.values() for one in lines), "USD") == booked.total
    assert set(parts) == set(kinds)


@pytest.mark.parametrize(
    ("kinds", "subscription", "project"),
    [(("one_time",), False, False), (("usage",), True, False), (("service", "recurring"), True, True), (("service",), False, True)],
)
def test_who_is_asked_follows_from_the_lines(kinds: tuple[ChargeType, ...], subscription: bool, project: bool) -> None:
    """Billing is asked only for recurring and usage lines, the PSA only for services."""
    memory = booking.begin(BookOrder(order=order(*kinds)))
    assert (booking.has_subscription(memory), booking.has_services(memory)) == (subscription, project)


def test_billing_gets_its_lines_from_their_first_day() -> None:
    """The subscription has the recurring and usage lines and starts with the earliest term; without any, with the order."""
    memory = booking.begin(BookOrder(order=order("recurring", "service", "usage")))
    subscription = booking.billing(memory).subscription
    assert ([one.number for one in subscription.lines], subscription.starts_on) == ([1, 3], dt.date(2026, 2, 1))
    usage_only = booking.billing(booking.begin(BookOrder(order=order("usage")))).subscription
    assert usage_only.starts_on == dt.date(2026, 1, 21)


def test_the_project_has_the_services_and_their_budget() -> None:
    """The project's budget is the sum of the service lines."""
    project = booking.project(booking.begin(BookOrder(order=order("service", "recurring", "service")))).project
    assert ([one.number for one in project.lines], project.budget, project.starts_on) == ([1, 3], Money("900.00", "USD"), None)


def test_what_is_told_of_a_booking_adds_up() -> None:
    """The event of a booked order has a sum for each part, and they come to its total."""
    memory = booking.begin(BookOrder(order=order("service", "recurring", "one_time")))
    told = booking.booked(replace(memory, erp_ref=ExternalId(connection="erp", kind="order", id="7")))
    assert Money.total(told.split.values(), "USD") == told.total


def test_a_step_out_of_order_is_a_bug_that_says_so() -> None:
    """A command that needs a reference which nobody has learned is not built with a hole in it."""
    with pytest.raises(ValueError, match="before the step that learns it"):
        booking.sales_order(booking.begin(BookOrder(order=order("one_time"))))


def test_an_order_is_the_quote_to_the_cent() -> None:
    """An order has the lines, amounts and customer of the quote version, and marks what is earned over a term."""
    version = quote(line(1), line(2, charge_type="one_time", discount="12.5"))
    made = Order.of_quote(version, "ORD-1", dt.date(2026, 1, 21))
    same = ("number", "item_code", "quantity", "unit_price", "discount", "net_total", "term", "charge_type")
    assert [[getattr(one, name) for name in same] for one in made.lines] == [[getattr(one, name) for name in same] for one in version.lines]
    assert ([one.deferred for one in made.lines], made.total, made.quote_version) == ([True, False], version.total, 1)


@pytest.mark.parametrize(
    ("credit", "ok"),
    [
        (None, True),
        (CreditChecked(known=True, on_hold=True), False),
        (CreditChecked(known=True, limit=Money("450.00", "USD")), True),
        (CreditChecked(known=True, limit=Money("449.99", "USD")), False),
        (CreditChecked(known=True, limit=Money("500.00", "USD"), open_balance=Money("50.01", "USD")), False),
        (CreditChecked(known=True, limit=Money("1.00", "EUR")), True),
    ],
)
def test_credit(credit: CreditChecked | None, ok: bool) -> None:
    """An order is booked on credit that is there; a limit in another currency says nothing."""
    memory = replace(booking.begin(BookOrder(order=order("recurring"))), credit=credit)
    assert booking.credit_ok(memory) is ok
    if not ok:
        assert "Acme Robotics Inc." in booking.no_credit(memory)


def test_a_quote_becomes_one_order_whichever_version_is_accepted() -> None:
    """The number of the order follows from the quote alone."""
    assert (approval.order_id_of("Q-1001"), approval.order_id_of("0069X")) == ("ORD-1001", "ORD-0069X")


def test_a_signature_for_another_version_is_no_signature() -> None:
    """What was signed is a fingerprint; with another one the quote still waits for its signature."""
    version = quote()
    begin = approval.beginning(RULES)
    assert not approval.needs_signature(begin(SubmitQuote(quote=version, signature=signed(version))))
    assert approval.needs_signature(begin(SubmitQuote(quote=version)))
    other = signed(version, fingerprint="0" * 64)
    assert approval.needs_signature(begin(SubmitQuote(quote=version, signature=other)))


def test_the_order_is_dated_by_the_signature() -> None:
    """The day of the order is the day on which the customer signed, as the customer's own clock had it."""
    version = quote()
    memory = approval.beginning(RULES)(SubmitQuote(quote=version, signature=signed(version)))
    assert approval.book_order(memory).order.ordered_on == dt.date(2026, 1, 20)


def test_an_unsigned_quote_is_not_booked() -> None:
    """A table that forgot to wait for the signature stops here."""
    with pytest.raises(ValueError, match="signed"):
        approval.book_order(approval.beginning(RULES)(SubmitQuote(quote=quote())))


def test_decisions_are_told_apart_by_what_they_are_about() -> None:
    """Approving and rejecting answer one question, signing and declining another."""
    keys = {
        decision: approval.decision_key(QuoteDecided(quote_id="Q-1", version=2, decision=decision, decided_by="eve"))
        for decision in ("approve", "reject", "sign", "decline")
    }
    assert keys == {
        "approve": "Q-1.v2:approval",
        "reject": "Q-1.v2:approval",
        "sign": "Q-1.v2:signature",
        "decline": "Q-1.v2:signature",
    }


def paid(amount: str, *invoices: str) -> cash.Memory:
    open_ones = tuple(invoice(number, "100.00", order_id=f"ORD-{number}") for number in invoices)
    return replace(cash.begin(ReceivePayment(payment=payment(amount))), open_invoices=open_ones)


def decided(*parts: tuple[str, str], note: str = "") -> AllocationDecided:
    amounts = tuple(AllocatedAmount(invoice_id=number, amount=Money(amount, "EUR")) for number, amount in parts)
    return AllocationDecided(payment_id="PAY-1", invoices=amounts, decided_by="fin", note=note)


def test_a_person_allocates_what_was_open() -> None:
    """The parts that a person names get the references of the ERP; the orders behind them become part of the transaction."""
    memory = cash.keep_allocation(paid("150.00", "A", "B", "C"), decided(("A", "100.00"), ("B", "20.00")))
    assert [(a.invoice_id, a.invoice.id, a.amount.amount) for a in memory.allocations] == [("A", "id-A", "100.00"), ("B", "id-B", "20.00")]
    assert cash.orders(memory) == (("order_booking", "ORD-A"), ("order_booking", "ORD-B"))
    told = cash.applied(memory)
    assert (told.invoice_ids, told.order_ids, told.unapplied) == (("A", "B"), ("ORD-A", "ORD-B"), Money("30.00", "EUR"))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (decided(), "left on account"),
        (decided(note="unknown payer"), "unknown payer"),
        (decided(("Z", "1.00")), "Z was not open when the payment came in"),
    ],
)
def test_no_allocation_ends_with_its_reason(event: AllocationDecided, why: str) -> None:
    """A decision that names no invoice, or one that is not open, applies nothing and says why."""
    memory = cash.keep_allocation(paid("150.00", "A"), event)
    assert (cash.is_allocated(memory), cash.why_not(memory)) == (False, why)
    told = cash.not_applied(memory, FailureRecord(word="rejected", code="allocated", detail=why))
    assert getattr(told, "reason", "") == why


def test_a_payment_is_one_however_it_is_told() -> None:
    """The id of the payment is the key, whether it comes as a command or as an event."""
    money: Payment = payment("1.00")
    assert cash.payment_id(ReceivePayment(payment=money)) == cash.payment_id(PaymentSettled(payment=money)) == "PAY-1"


def test_each_state_of_an_invoice_is_told_once() -> None:
    """The key of an invoicing names connection, invoice, status and open amount: a new state is a new instance, the same one is not."""
    posted = invoice("INV-1", "100.00")
    states = [posted, replace(posted, status="partially_paid", open_amount=Money("40.00", "EUR")), replace(posted, status="paid")]
    from canonical.invoice import InvoicePosted  # noqa: PLC0415 - beside its only use

    keys = [invoicing.invoice_key(InvoicePosted(invoice=state)) for state in [*states, posted]]
    assert keys[0] == keys[3] == "erp:INV-1:posted:100.00"
    assert len(set(keys)) == 3
