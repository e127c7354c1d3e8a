"""The questions that are asked all the time are answered from an index, so that finished work does not make them slower."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, Select, event, select, text

from runtime.bus.contract import Address
from runtime.store import committing, queues, reading, tables
from runtime.store.contract import (
    AddLine,
    Case,
    Chain,
    Keep,
    Link,
    PutCase,
    PutLink,
    PutTransaction,
    Received,
    Send,
    SetCursor,
    StartInstance,
    Transaction,
)
from runtime.store.database import parse, writing_engine
from runtime.store.engine import SqlStore
from runtime.store.rows import micros
from runtime.store.statistics import analyse_grown
from runtime.store.writing import Enqueue
from tests.contracts.stores import NOW, instance, later, letter, line

T: dict[str, Any] = {"tenant": "acme"}
QUESTIONS: list[tuple[str, Select[Any], dict[str, Any]]] = [
    ("ix_instances_due", reading._DUE, {"now": micros(NOW), "limit": 100}),
    ("ix_instances_active", reading._STUCK, {"before": micros(NOW), "limit": 100}),
    ("ix_instances_waiting", reading._WAITING, {**T, "waiting_for": "Paid:1"}),
    ("pk_instances", reading._INSTANCE, {**T, "process": "order_booking", "key": "ORD-1"}),
    ("pk_journal", reading._JOURNAL, {**T, "process": "order_booking", "key": "ORD-1"}),
    ("ix_instances_correlation", reading._of_chain(select(tables.INSTANCES), "acme", "q2c-1"), {}),
    ("pk_chain", reading._of_chain(select(tables.INSTANCES), "acme", "q2c-1"), {}),
    ("ix_cases_open", select(tables.CASES).where(tables.CASES.c.tenant == "acme", text(tables.IS_OPEN)), {}),
    ("ix_outbox_unsent", reading._UNSENT, {"before": micros(NOW), "limit": 200}),
    ("ix_received_untranslated", reading._RECEIVED.where(text(tables.UNTRANSLATED)), {"state": "new", "limit": 100}),
    ("ix_links_external", reading._LINK_FROM, {**T, "connection": "stripe", "kind": "customer", "external_id": "cus_1"}),
    ("ix_transactions_newest", reading._TRANSACTIONS, {**T, "limit": 100}),
    ("ix_queue_messages_queue", queues._QUEUED, {"queue": "q", "after": 0, "limit": 100}),
    ("ix_dead_letters_queue", queues._BURIED, {"queue": "q", "limit": 100}),
]


async def test_frequent_questions_use_their_indexes(store: SqlStore) -> None:
    """The database's own plan for each question names the index that was made for it."""
    await finished_work(store)
    plans = {index: await store._read(plan_of, question, values) for index, question, values in QUESTIONS}
    prefix = "sqlite_autoindex_" if store._database.kind == "sqlite" else "pk_"
    assert {index: plan for index, plan in plans.items() if index.replace("pk_", prefix) not in plan} == {}


def plan_of(connection: Connection, question: Select[Any], values: dict[str, Any]) -> str:
    """How the database would answer the question, in its own words."""
    word = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "

    def explained(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return word + statement, parameters

    event.listen(connection, "before_cursor_execute", explained, retval=True)
    try:
        return "\n".join(str(row) for row in connection.execute(question, values).all())
    finally:
        event.remove(connection, "before_cursor_execute", explained)


@pytest.mark.postgres
@pytest.mark.parametrize("store_kind", ["postgres"])
async def test_a_new_store_is_looked_at_often(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL is made to look at grown tables whenever the number of units has doubled, from the first 64 on."""
    looked: list[object] = []
    monkeypatch.setattr(committing, "analyse_grown", looked.append)
    for number in range(300):
        await store.commit([SetCursor("poll", str(number))])
    await store.stop()
    assert len(looked) == 3


@pytest.mark.postgres
@pytest.mark.parametrize("store_kind", ["postgres"])
async def test_grown_tables_are_looked_at_once(store: SqlStore, store_url: str) -> None:
    """A table that has grown since PostgreSQL last looked at it is analysed, a second time not."""
    engine = writing_engine(parse(store_url))
    async with engine.begin() as connection:
        await connection.exec_driver_sql("TRUNCATE received")
        await connection.exec_driver_sql("ANALYZE received")
    await engine.dispose()
    assert "received" not in await store._read(analyse_grown)
    many = [Received(tenant="acme", connection="stripe", event_id=str(n), body=b"x" * 800, headers={}, received_at=NOW) for n in range(800)]
    await store.commit([Keep(one) for one in many])
    assert "received" in await store._read(analyse_grown)
    assert "received" not in await store._read(analyse_grown)


async def finished_work(store: SqlStore) -> None:
    """Fills the store with what is finished or waits for something else, and lets PostgreSQL see it."""
    unit: list[Any] = []
    for n in range(800):
        unit += [
            StartInstance(instance(f"ORD-{n}", status="done")),
            StartInstance(instance(f"Q-{n}", status="waiting", waiting_for=f"Approved:Q-{n}", due_at=later(n + 1), created_at=later(n))),
            AddLine(line(f"ORD-{n}")),
            Chain("acme", f"q2c-quote-{n}", "order_booking", f"ORD-{n}"),
            Send(Address("q"), letter(f"m-{n}")),
            PutLink(Link(tenant="acme", kind="customer", our_id=f"C-{n}", connection="stripe", external_id=f"cus_{n}")),
            PutTransaction(Transaction(tenant="acme", correlation_id=f"q2c-{n}", stage="paid", updated_at=later(n))),
            PutCase(_closed(n)),
            Keep(Received(tenant="acme", connection="s", event_id=f"{n}", body=b"", headers={}, received_at=NOW, state="translated")),
            Enqueue(f"q-{n % 50}", f"m-{n}", b"", 0),
        ]
    await store._put(unit)
    await store.mark_sent([f"m-{n}" for n in range(800)])
    messages = [message for n in range(50) for message in (await store.queued(f"q-{n}", after_seq=0))[:8]]
    await asyncio.gather(*(store.bury(message.seq, "unreadable") for message in messages))
    if store._database.kind == "postgresql":
        await store._read(lambda connection: connection.exec_driver_sql("ANALYZE").close())


def _closed(n: int) -> Case:
    return Case(
        tenant="acme",
        id=str(n),
        kind="approval",
        process="p",
        key=str(n),
        title="",
        correlation_id="c",
        status="resolved",
        opened_at=later(n),
    )
