"""The whole of a transaction under its correlation id; and what the process layer answers over the bus."""

import datetime as dt

import pytest

from canonical.failures import Broken, FailureRecord, Unavailable
from canonical.messages import Accepted
from canonical.quote import QuoteValidated, ValidateQuote
from process_apis import transactions
from process_apis.quote_validation.inquiry import QUOTE_VALIDATION
from process_apis.worker import _answering, all_queues
from runtime.bus.wire import envelope
from runtime.clock import SetClock
from runtime.context import Context
from runtime.house import House
from runtime.process.asking import Answer
from runtime.store.contract import AddLine, Chain, Instance, JournalLine, PutTransaction, StartInstance, Transaction
from runtime.store.engine import SqlStore
from tests.process_apis.conftest import TABLES
from tests.process_apis.deals import quote

DUE = dt.datetime(2026, 1, 16, 9, 0, tzinfo=dt.UTC)


async def deal(store: SqlStore, clock: SetClock) -> None:
    """A quote that waits and a payment of another correlation id that belongs to it."""
    reason = FailureRecord(word="unavailable", code="away", detail="not reachable")
    for process, key, correlation_id, fields in (
        ("quote_approval", "Q-1.v1", "q2c-1", {"status": "waiting", "waiting_for": "QuoteDecided:Q-1.v1:approval", "due_at": DUE}),
        ("cash_application", "pi_1", "q2c-2", {"status": "running", "due_at": DUE, "reason": reason}),
    ):
        clock.move(1)
        row = Instance(
            tenant="acme",
            process=process,
            key=key,
            correlation_id=correlation_id,
            started_by="Begin",
            created_at=clock.now(),
            updated_at=clock.now(),
            **fields,  # type: ignore[arg-type]
        )
        line = JournalLine(
            tenant="acme",
            process=process,
            key=key,
            seq=0,
            step="find",
            kind="ask",
            asked="erp.Find",
            answered="Found",
            connection="erp",
            duration_ms=7,
            correlation_id=correlation_id,
            at=clock.now(),
        )
        await store.commit([StartInstance(row), AddLine(line), Chain("acme", "q2c-1", process, key)])


async def test_a_transaction_shows_all_that_belongs_to_it(house: House, store: SqlStore, clock: SetClock) -> None:
    """Every process of the chain in the order in which they began, with its steps, its reason and what it waits for."""
    await deal(store, clock)
    row = Transaction(tenant="acme", correlation_id="q2c-1", quote_id="Q-1", stage="awaiting_approval", updated_at=clock.now())
    await store.commit([PutTransaction(row)])
    found = await transactions.view(house, "acme", "q2c-1")
    assert found is not None
    assert (found.stage, found.quote_id) == ("awaiting_approval", "Q-1")
    approval, cash = found.processes
    assert (approval.process, approval.waiting_for, approval.due_at) == (
        "quote_approval",
        "QuoteDecided:Q-1.v1:approval",
        "2026-01-16T09:00:00+00:00",
    )
    assert cash.reason is not None
    assert (cash.key, cash.reason.code) == ("pi_1", "away")
    assert [(step.step, step.kind, step.asked, step.answered, step.connection, step.duration_ms) for step in cash.steps] == [
        ("find", "ask", "erp.Find", "Found", "erp", 7)
    ]
    assert found.story.count("started by Begin") == 2
    assert "now     waiting for QuoteDecided:Q-1.v1:approval" in found.story


async def test_a_transaction_without_a_row_yet_is_received(house: House, store: SqlStore, clock: SetClock) -> None:
    """Before the first event is folded, the transaction shows what runs."""
    await deal(store, clock)
    found = await transactions.view(house, "acme", "q2c-2")
    assert found is not None
    assert (found.stage, [process.key for process in found.processes]) == ("received", ["pi_1"])


async def test_an_unknown_transaction_is_none(house: House, store: SqlStore, clock: SetClock) -> None:
    """Neither an unknown id nor another tenant's is found."""
    await deal(store, clock)
    assert await transactions.view(house, "acme", "q2c-404") is None
    assert await transactions.view(house, "globex", "q2c-1") is None


class Away:
    """No port answers."""

    async def ask(self, *_: object, **__: object) -> Answer:
        raise Unavailable("unreachable")


async def test_a_validation_over_the_bus_is_answered_whatever_is_away(clock: SetClock) -> None:
    """With every back end away the answer still comes, and says that it is not complete."""
    answer = _answering(QUOTE_VALIDATION, Away(), clock)
    context = Context(tenant="acme", correlation_id="q2c-1")
    asked = envelope(ValidateQuote(quote=quote(), as_of=quote().issued_on), context, now=clock.now())
    reply = await answer(asked)
    validated = reply.open()
    assert isinstance(validated, QuoteValidated)
    assert (validated.valid, validated.complete, reply.causation_id) == (True, False, asked.id)
    assert {finding.check for finding in validated.findings} == {"prices", "items", "customer", "credit", "tax"}


async def test_a_stray_question_is_refused(clock: SetClock) -> None:
    """What is no question is answered with a failure, not with silence."""
    reply = await _answering(QUOTE_VALIDATION, Away(), clock)(
        envelope(Accepted(process="x", key="y"), Context(tenant="acme", correlation_id="q2c-1"), now=clock.now())
    )
    with pytest.raises(Broken, match="misaddressed"):
        reply.open()


def test_every_queue_has_one_name() -> None:
    """The queues of the process layer do not share names."""
    names = [queue.name for queue in all_queues(TABLES, [QUOTE_VALIDATION])]
    assert len(set(names)) == len(names)
