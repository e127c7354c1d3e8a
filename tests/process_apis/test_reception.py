"""What is taken in: checked first, kept before it is acknowledged, once under its business key for good."""

from typing import Any

import msgspec
import pytest

from canonical.failures import Misconfigured, Rejected, Unavailable
from canonical.messages import Accepted
from canonical.money import Money
from canonical.order import BookOrder, Order
from canonical.payment import AllocatedAmount, DecideAllocation, ReceivePayment
from canonical.quote import DecideQuote, Finding, SubmitQuote, ValidateQuote
from process_apis.cash_application import steps as cash
from process_apis.quote_approval import steps as approval
from process_apis.quote_approval.rules import RULES
from process_apis.reception import Conflict, NotValid, Reception
from runtime.bus.wire import envelope
from runtime.clock import SetClock
from runtime.context import Context, current, working_in
from runtime.house import collecting
from runtime.store.contract import Duplicate, Instance, PutIdempotency, StartInstance
from runtime.store.engine import SqlStore
from tests.process_apis.bills import invoice, payment
from tests.process_apis.conftest import HERE, Post, Validation
from tests.process_apis.deals import DAY, changed, line, quote, signed

ORDER = Order.of_quote(quote(), "ORD-1", DAY)
SECOND = Context(tenant="acme", correlation_id="q2c-second", actor="dana")


def money(amount: str, currency: str = "EUR") -> Money:
    return Money(amount, currency)


async def waits(store: SqlStore, clock: SetClock, process: str, key: str, memory: Any, waiting_for: str) -> None:
    """An instance that waits for somebody."""
    row = Instance(
        tenant="acme",
        process=process,
        key=key,
        status="waiting",
        memory=msgspec.json.encode(memory),
        waiting_for=waiting_for,
        correlation_id="q2c-deal",
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    await store.commit([StartInstance(row)])


# quotes ---------------------------------------------------------------------------------------------------------------


async def test_a_quote_is_kept_when_it_is_acknowledged(reception: Reception, store: SqlStore, post: Post) -> None:
    """The answer names process, key and correlation id; command, read model and business key are committed together."""
    accepted = await reception.submit_quote(SubmitQuote(quote=quote(), submitted_by="dana"))
    assert accepted == Accepted(process="quote_approval", key="Q-1.v1", correlation_id="q2c-first")
    assert [(letter.type, letter.correlation_id, letter.entity) for letter in post.sent] == [("process.SubmitQuote", "q2c-first", "US01")]
    row = await store.transaction("acme", "q2c-first")
    assert row is not None
    assert (row.stage, row.quote_id, row.customer, row.amount, row.currency) == ("received", "Q-1", "Acme Robotics Inc.", "2430.00", "USD")


async def test_the_same_quote_version_again_is_the_same_transaction(reception: Reception, validation: Validation, post: Post) -> None:
    """The same content under the same key is answered with the first transaction, without a second validation."""
    first = await reception.submit_quote(SubmitQuote(quote=quote()))
    with working_in(SECOND):
        assert await reception.submit_quote(SubmitQuote(quote=quote())) == first
    assert (validation.asked, len(post.sent)) == (1, 1)


async def test_another_content_under_a_version_is_refused(reception: Reception, post: Post) -> None:
    """A version cannot be changed after it was submitted; the answer names the transaction that is in the way."""
    await reception.submit_quote(SubmitQuote(quote=quote()))
    other = changed(quote(), purchase_order="PO-2")
    with working_in(SECOND), pytest.raises(Conflict, match="another content") as refused:
        await reception.submit_quote(SubmitQuote(quote=other))
    assert (refused.value.code, refused.value.correlation_id, len(post.sent)) == ("business_key_reused", "q2c-first", 1)


async def test_a_next_version_is_another_key(reception: Reception, post: Post) -> None:
    """A new version of the quote may be submitted while the first one is on its way."""
    await reception.submit_quote(SubmitQuote(quote=quote()))
    with working_in(SECOND):
        accepted = await reception.submit_quote(SubmitQuote(quote=quote(version=2)))
    assert (accepted.key, len(post.sent)) == ("Q-1.v2", 2)


async def test_a_quote_that_is_an_order_already_is_refused(reception: Reception, store: SqlStore, clock: SetClock) -> None:
    """No version of a quote is approved once one of them was booked."""
    await waits(store, clock, "order_booking", "ORD-1", {}, "")
    with pytest.raises(Conflict) as refused:
        await reception.submit_quote(SubmitQuote(quote=quote(version=2)))
    assert (refused.value.code, refused.value.correlation_id) == ("quote_already_converted", "q2c-deal")


async def test_an_invalid_quote_is_refused_with_its_findings(reception: Reception, validation: Validation, store: SqlStore) -> None:
    """The errors come with the refusal, the warnings do not, and nothing is written."""
    error = Finding(code="price_differs", severity="error", message="45, not 44", pointer="/quote/lines/0/unit_price")
    validation.findings = (Finding(code="not_checked", severity="warning", message="tax"), error)
    with pytest.raises(NotValid) as refused:
        await reception.submit_quote(SubmitQuote(quote=quote()))
    assert (refused.value.findings, refused.value.pointer) == ((error,), "/quote/lines/0/unit_price")
    assert await store.transaction("acme", "q2c-first") is None


async def test_a_quote_with_warnings_is_taken(reception: Reception, validation: Validation) -> None:
    """What could not be checked does not keep a quote from being submitted."""
    validation.findings = (Finding(code="not_checked", severity="warning", message="tax"),)
    assert (await reception.submit_quote(SubmitQuote(quote=quote()))).key == "Q-1.v1"


async def test_a_validation_that_is_away_is_said(reception: Reception, validation: Validation, store: SqlStore) -> None:
    """Where nobody validates, nothing is taken in; the caller may ask again."""
    validation.failure = Unavailable("no_answer")
    with pytest.raises(Unavailable):
        await reception.submit_quote(SubmitQuote(quote=quote()))
    validation.failure = None
    assert (await reception.submit_quote(SubmitQuote(quote=quote()))).correlation_id == "q2c-first"


async def test_a_signature_for_another_version_is_refused(reception: Reception) -> None:
    """A signature under another content does not sign this one."""
    with pytest.raises(Rejected) as refused:
        await reception.submit_quote(SubmitQuote(quote=quote(), signature=signed(quote(purchase_order="PO-2"))))
    assert (refused.value.code, refused.value.pointer) == ("signature_mismatch", "/signature/fingerprint")


# orders and payments --------------------------------------------------------------------------------------------------


async def test_an_order_is_taken_once(reception: Reception, post: Post) -> None:
    """The same order again is the same transaction, another content under its number is refused."""
    first = await reception.book_order(BookOrder(order=ORDER))
    with working_in(SECOND):
        assert await reception.book_order(BookOrder(order=ORDER)) == first
        with pytest.raises(Conflict):
            await reception.book_order(BookOrder(order=msgspec.structs.replace(ORDER, purchase_order="PO-2")))
    assert (first.key, len(post.sent)) == ("ORD-1", 1)


async def test_an_order_that_came_another_way_is_not_booked_again(reception: Reception, store: SqlStore, clock: SetClock) -> None:
    """An order number that is being booked for a quote is taken."""
    await waits(store, clock, "order_booking", "ORD-1", {}, "")
    with pytest.raises(Conflict, match="order_exists"):
        await reception.book_order(BookOrder(order=ORDER))


async def test_an_order_that_does_not_add_up_is_refused(reception: Reception) -> None:
    """The pointer says where; nothing is asked of anybody."""
    with pytest.raises(Rejected) as refused:
        await reception.book_order(BookOrder(order=msgspec.structs.replace(ORDER, total=money("1.00", "USD"))))
    assert (refused.value.code, refused.value.pointer) == ("total_wrong", "/order/total")


async def test_a_payment_is_taken_once(reception: Reception, post: Post) -> None:
    """The same money is applied once, whatever correlation id it comes with."""
    first = await reception.receive_payment(ReceivePayment(payment=payment("1.00")))
    with working_in(SECOND):
        assert await reception.receive_payment(ReceivePayment(payment=payment("1.00"))) == first
        with pytest.raises(Conflict):
            await reception.receive_payment(ReceivePayment(payment=payment("2.00")))
    assert len(post.sent) == 1


@pytest.mark.parametrize("amount", ["0.00", "-5.00"])
async def test_a_payment_is_more_than_nothing(reception: Reception, amount: str) -> None:
    """Nothing and less than nothing is no payment."""
    with pytest.raises(Rejected) as refused:
        await reception.receive_payment(ReceivePayment(payment=payment(amount)))
    assert refused.value.pointer == "/payment/amount/amount"


async def test_an_unknown_entity_is_refused(reception: Reception) -> None:
    """Nobody sells for a legal entity that is not set up."""
    nowhere = {"entity": "XX99"}
    replace = msgspec.structs.replace
    commands: list[tuple[Any, Any, str]] = [
        (reception.submit_quote, SubmitQuote(quote=changed(quote(), **nowhere)), "/quote/entity"),
        (reception.book_order, BookOrder(order=replace(ORDER, **nowhere)), "/order/entity"),
        (reception.receive_payment, ReceivePayment(payment=replace(payment("1.00"), **nowhere)), "/payment/entity"),
    ]
    for take, command, pointer in commands:
        with pytest.raises(Rejected) as refused:
            await take(command)
        assert (refused.value.code, refused.value.pointer) == ("unknown_entity", pointer)


async def test_a_correlation_id_names_one_transaction(reception: Reception) -> None:
    """A caller who uses the same correlation id for another thing is refused, lest two deals become one."""
    await reception.book_order(BookOrder(order=ORDER))
    with pytest.raises(Conflict) as refused:
        await reception.receive_payment(ReceivePayment(payment=payment("1.00")))
    assert refused.value.code == "correlation_id_reused"


async def test_without_a_correlation_id_there_is_a_new_one(reception: Reception) -> None:
    """Every transaction has a name."""
    with working_in(Context(tenant="acme")):
        accepted = await reception.book_order(BookOrder(order=ORDER))
    assert accepted.correlation_id.startswith("q2c-")


async def test_tenants_do_not_meet(reception: Reception, post: Post) -> None:
    """The same order number of another tenant is another order."""
    await reception.book_order(BookOrder(order=ORDER))
    with working_in(Context(tenant="globex", correlation_id="q2c-first")):
        await reception.book_order(BookOrder(order=msgspec.structs.replace(ORDER, purchase_order="PO-2")))
    assert [letter.tenant for letter in post.sent] == ["acme", "globex"]


async def test_a_twin_that_was_faster_is_answered_alike(reception: Reception, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two requests with the same content at the same moment both are answered with the transaction that was written."""
    commit = store.commit

    async def twin_first(unit: Any) -> None:
        monkeypatch.setattr(store, "commit", commit)
        with working_in(SECOND):
            await reception.book_order(BookOrder(order=ORDER))
        await commit(unit)

    monkeypatch.setattr(store, "commit", twin_first)
    accepted = await reception.book_order(BookOrder(order=ORDER))
    assert accepted.correlation_id == "q2c-second"


async def test_within_a_request_what_is_taken_is_only_collected(reception: Reception, store: SqlStore, post: Post) -> None:
    """Where the caller's key counts, the policy commits: until then nothing is written or sent."""
    with collecting() as writes:
        await reception.book_order(BookOrder(order=ORDER))
    assert (await store.transaction("acme", "q2c-first"), post.sent) == (None, [])
    await store.commit(writes)
    assert await store.transaction("acme", "q2c-first") is not None
    with pytest.raises(Duplicate):
        await store.commit([write for write in writes if isinstance(write, PutIdempotency)])


# decisions ------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def awaited(store: SqlStore, clock: SetClock) -> None:
    """A quote that waits for its approval, another one for its signature."""
    begin = approval.beginning(RULES)
    expensive = quote(line(1, "1", "60000"), id="Q-2")
    await waits(store, clock, "quote_approval", "Q-2.v1", begin(SubmitQuote(quote=expensive)), "QuoteDecided:Q-2.v1:approval")
    await waits(store, clock, "quote_approval", "Q-1.v1", begin(SubmitQuote(quote=quote())), "QuoteDecided:Q-1.v1:signature")


def decision(word: Any, quote_id: str = "Q-2", **fields: Any) -> DecideQuote:
    return DecideQuote(**{"quote_id": quote_id, "version": 1, "decision": word, **fields})


async def test_a_decision_is_told_in_the_name_of_who_took_it(reception: Reception, awaited: None, post: Post) -> None:
    """The event carries the decision, its reason, and the subject of the token, under the transaction of the quote."""
    accepted = await reception.decide_quote(decision("reject", reason="too cheap"))
    assert accepted == Accepted(process="quote_approval", key="Q-2.v1", correlation_id="q2c-deal")
    told: Any = post.sent[0].open()
    assert (post.sent[0].correlation_id, told.decision, told.decided_by, told.reason) == ("q2c-deal", "reject", "dana", "too cheap")


async def test_a_decision_is_taken_once(reception: Reception, awaited: None, post: Post) -> None:
    """The same decision again changes nothing, another one is refused, though the first has not been learned yet."""
    first = await reception.decide_quote(decision("approve"))
    assert await reception.decide_quote(decision("approve")) == first
    with pytest.raises(Conflict, match="business_key_reused"):
        await reception.decide_quote(decision("reject"))
    assert len(post.sent) == 1


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (decision("sign", signature=signed(quote())), "not_waiting"),
        (decision("approve", "Q-1"), "not_waiting"),
        (decision("approve", "Q-404"), "not_found"),
        (decision("approve", version=2), "not_found"),
        (decision("sign", "Q-1"), "signature_missing"),
        (decision("sign", "Q-1", signature=signed(quote(version=2))), "signature_mismatch"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.decision} {value.quote_id}",
)
async def test_a_decision_that_does_not_fit_is_refused(
    reception: Reception, awaited: None, post: Post, command: DecideQuote, code: str
) -> None:
    """What nobody waits for, and a signature that is missing or for another version, is refused at once."""
    with pytest.raises(Rejected) as refused:
        await reception.decide_quote(command)
    assert (refused.value.code, post.sent) == (code, [])


async def test_a_signature_for_this_version_is_taken(reception: Reception, awaited: None, post: Post) -> None:
    """The customer signs the very fingerprint."""
    await reception.decide_quote(decision("sign", "Q-1", signature=signed(quote())))
    assert getattr(post.sent[0].open(), "signature", None) == signed(quote())


@pytest.fixture
async def unallocated(store: SqlStore, clock: SetClock) -> None:
    """A payment of 150 EUR that waits for a person; open are A and B with 100 EUR each, and C in dollars."""
    memory = msgspec.structs.replace(
        cash.begin(ReceivePayment(payment=payment("150.00"))),
        open_invoices=(invoice("A", "100.00"), invoice("B", "100.00"), invoice("C", "100.00", currency="USD")),
    )
    await waits(store, clock, "cash_application", "PAY-1", memory, "AllocationDecided:PAY-1")


def allocation(*parts: tuple[str, Money]) -> DecideAllocation:
    return DecideAllocation(payment_id="PAY-1", invoices=tuple(AllocatedAmount(invoice_id=i, amount=m) for i, m in parts))


@pytest.mark.parametrize(
    ("parts", "code", "pointer"),
    [
        ([("Z", money("1.00"))], "invoice_not_open", "/invoices/0/invoice_id"),
        ([("A", money("1.00")), ("C", money("1.00", "USD"))], "currency_mismatch", "/invoices/1/amount"),
        ([("C", money("1.00"))], "currency_mismatch", "/invoices/0/amount"),
        ([("A", money("0.00"))], "amount_too_large", "/invoices/0/amount"),
        ([("A", money("-1.00"))], "amount_too_large", "/invoices/0/amount"),
        ([("A", money("100.01"))], "amount_too_large", "/invoices/0/amount"),
        ([("A", money("100.00")), ("B", money("50.01"))], "amount_too_large", "/invoices/1/amount"),
        ([("A", money("60.00")), ("A", money("60.00"))], "amount_too_large", "/invoices/1/amount"),
    ],
)
async def test_an_allocation_that_does_not_fit_is_refused(
    reception: Reception, unallocated: None, post: Post, parts: list[tuple[str, Money]], code: str, pointer: str
) -> None:
    """Only open invoices, only in the payment's currency, never more than is open or left, not even in two parts."""
    with pytest.raises(Rejected) as refused:
        await reception.decide_allocation(allocation(*parts))
    assert (refused.value.code, refused.value.pointer, post.sent) == (code, pointer, [])


@pytest.mark.parametrize("parts", [[], [("A", money("100.00")), ("B", money("50.00"))], [("A", money("40.00")), ("A", money("60.00"))]])
async def test_an_allocation_that_fits_is_told(reception: Reception, unallocated: None, post: Post, parts: list[tuple[str, Money]]) -> None:
    """A person may allocate all of it, a part, or nothing."""
    accepted = await reception.decide_allocation(allocation(*parts))
    assert (accepted.process, accepted.correlation_id, post.sent[0].type) == ("cash_application", "q2c-deal", "AllocationDecided")


# over the bus ---------------------------------------------------------------------------------------------------------


async def test_over_the_bus_the_answer_is_a_letter(reception: Reception, clock: SetClock) -> None:
    """What is handed in over the bus is acknowledged, or refused with the failure, in the caller's own circumstances."""
    asked = envelope(BookOrder(order=ORDER), HERE, now=clock.now())
    answer = await reception.answer(asked)
    assert (answer.open(), answer.causation_id) == (Accepted(process="order_booking", key="ORD-1", correlation_id="q2c-first"), asked.id)
    refusal = await reception.answer(envelope(BookOrder(order=msgspec.structs.replace(ORDER, entity="XX99")), HERE, now=clock.now()))
    with pytest.raises(Rejected, match="unknown_entity"):
        refusal.open()


async def test_over_the_bus_a_stray_is_refused(reception: Reception, clock: SetClock) -> None:
    """A command that is not handed in here is refused as misaddressed."""
    answer = await reception.answer(envelope(ValidateQuote(quote=quote()), HERE, now=clock.now()))
    with pytest.raises(Exception, match="misaddressed"):
        answer.open()


async def test_a_command_that_nobody_serves_is_misconfigured(reception: Reception) -> None:
    """An installation without the process says so, instead of taking in what nobody will do."""
    reception._house._routes = {}
    with pytest.raises(Misconfigured, match="no_route"):
        await reception.book_order(BookOrder(order=ORDER))
    assert current() == HERE
