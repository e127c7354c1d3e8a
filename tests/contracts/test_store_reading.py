"""The promises of the store about what is read and sent: 7 and 8, claims (13), and the lists."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.bus.contract import EVERYONE
from runtime.bus.wire import encode
from runtime.clock import SetClock
from runtime.store.contract import (
    Chain,
    Duplicate,
    Keep,
    MarkReceived,
    PutCase,
    PutLink,
    PutTransaction,
    SaveInstance,
    Send,
    SetCursor,
    StartInstance,
)
from runtime.store.database import parse, writing_engine
from runtime.store.engine import SqlStore
from runtime.store.rows import micros
from runtime.store.tables import OUTBOX
from tests.contracts.stores import (
    ACME,
    NOW,
    ORDER,
    QUEUE,
    OpenStore,
    case,
    instance,
    later,
    letter,
    link,
    received,
    transaction,
)


@asynccontextmanager
async def open_transaction(url: str) -> AsyncIterator[AsyncConnection]:
    """Another worker's transaction; it is committed where the block ends."""
    engine = writing_engine(parse(url))
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


# 7 the outbox


async def test_a_message_that_is_committed_late_is_not_skipped(store: SqlStore, store_url: str) -> None:
    """7: A row older than those already sent, whose transaction commits after them, is found by the next look (D11)."""
    row = {"message_id": "late", "queue": "q", "data": encode(letter("late")), "created_at": micros(NOW), "place": 0}
    if parse(store_url).get_backend_name() == "sqlite":  # with one writer the late one is simply the one with the earlier moment
        await store.commit([Send(QUEUE, letter("early"))])
        await store.mark_sent(["early"])
    async with open_transaction(store_url) as other:
        await other.execute(insert(OUTBOX), row)
        if parse(store_url).get_backend_name() == "postgresql":
            await store.commit([Send(QUEUE, letter("early"))])
            await store.mark_sent(["early"])
        assert await store.unsent(older_than=later(1)) == ()
    assert [found.letter.id for found in await store.unsent(older_than=later(1))] == ["late"]


async def test_unsent_messages_come_in_the_order_of_their_units(store: SqlStore, clock: SetClock) -> None:
    """7: Messages come back with address and content, in the order in which they were handed in, and not before their time."""
    await store.commit([Send(QUEUE, letter("z")), Send(EVERYONE, letter("a", kind="OrderBooked"))])
    clock.move(10)
    await store.commit([Send(QUEUE, letter("b"))])
    rows = await store.unsent(older_than=later(5))
    assert [(row.address, encode(row.letter)) for row in rows] == [(QUEUE, encode(letter("z"))), (EVERYONE, encode(letter("a")))]
    assert [row.letter.id for row in await store.unsent(older_than=later(11))] == ["z", "a", "b"]
    assert [row.letter.id for row in await store.unsent(older_than=later(11), limit=1)] == ["z"]


async def test_a_message_is_sent_once_under_its_id(store: SqlStore) -> None:
    """7: The same message id again changes nothing, also when the message was already sent."""
    await store.commit([Send(QUEUE, letter("m-1"))])
    await store.mark_sent(["m-1", "unknown"])
    await store.commit([Send(QUEUE, letter("m-1"))])
    assert await store.unsent(older_than=later(1)) == ()


# 8 reading


async def test_what_is_not_committed_cannot_be_read(store: SqlStore, store_url: str) -> None:
    """8: A row of a transaction that is still open is not seen."""
    row = {"message_id": "open", "queue": "q", "data": encode(letter("open")), "created_at": micros(NOW), "place": 0}
    async with open_transaction(store_url) as other:
        await other.execute(insert(OUTBOX), row)
        assert await store.unsent(older_than=later(1)) == ()
        await other.rollback()
    assert await store.unsent(older_than=later(1)) == ()


async def test_what_is_committed_is_read_by_all(opened: OpenStore) -> None:
    """8: As soon as `commit` has returned, every worker reads the unit."""
    writer, reader = await opened(), await opened()
    for n in range(20):
        await writer.commit([SetCursor("poll", str(n))])
        assert (await reader.cursor("poll"), await writer.cursor("poll")) == (str(n), str(n))


async def test_readers_who_go_away_harm_nobody(store: SqlStore) -> None:
    """8: Reads that are cancelled half-way leave connections that others can use."""
    await store.commit([SetCursor("poll", "7")])
    for pause in range(8):
        tasks = [asyncio.create_task(store.cursor("poll")) for _ in range(10)]
        for _ in range(pause):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await asyncio.gather(*(store.cursor("poll") for _ in range(20))) == ["7"] * 20
    await store.commit([SetCursor("poll", "8")])


# 13 claims


async def test_of_two_claims_of_one_instance_one_wins(opened: OpenStore) -> None:
    """13: Two workers claim the same due instance at the same moment: each gets a fence of its own, and only one can save."""
    workers = [await opened(), await opened()]
    await workers[0].commit([StartInstance(instance(due_at=NOW))])
    assert [row.key for row in await workers[1].due(NOW, stuck_before=NOW)] == ["ORD-1"]
    claims = await asyncio.gather(*(worker.claim(*ORDER) for worker in workers))
    assert sorted(row.fence for row in claims if row) == [1, 2]
    saves = [worker.commit([SaveInstance(row)]) for worker, row in zip(workers, claims, strict=True) if row]
    assert sorted(str(outcome) for outcome in await asyncio.gather(*saves, return_exceptions=True)) == ["", "None"]


async def test_many_claims_in_one_commit(store: SqlStore) -> None:
    """13: Ten claims that share a commit raise the fence ten times."""
    await store.commit([StartInstance(instance())])
    claims = await asyncio.gather(*(store.claim(*ORDER) for _ in range(10)))
    assert sorted(row.fence for row in claims if row) == list(range(1, 11))


async def test_due_instances(store: SqlStore) -> None:
    """13: Due are those whose time has come and those that were left lying; a claim touches an instance, so that it is not left lying."""
    rows = [
        instance("due", due_at=later(10), status="waiting"),
        instance("due-longer", due_at=later(5)),
        instance("not-yet", due_at=later(100), updated_at=later(-900)),
        instance("ended", due_at=later(5), status="done"),
        instance("left-lying", updated_at=later(-600), status="undoing"),
        instance("in-work", updated_at=later(5)),
        instance("rests", status="waiting", updated_at=later(-600)),
        instance("parked", status="parked", updated_at=later(-600)),
    ]
    await store.commit([StartInstance(row) for row in rows])
    found = await store.due(later(10), stuck_before=later(-300))
    assert [row.key for row in found] == ["due-longer", "due", "left-lying"]
    assert [row.key for row in await store.due(later(10), stuck_before=later(-300), limit=1)] == ["due-longer"]
    await store.claim(ACME, "order_booking", "left-lying")
    assert [row.key for row in await store.due(later(10), stuck_before=later(-300))] == ["due-longer", "due"]


async def test_who_waits_for_an_event(store: SqlStore) -> None:
    """13: An event finds those who wait for exactly it, in their tenant, longest first."""
    await store.commit(
        [
            StartInstance(instance("second", waiting_for="Paid:INV-1", created_at=later(2), status="waiting")),
            StartInstance(instance("first", waiting_for="Paid:INV-1", created_at=later(1), status="waiting")),
            StartInstance(instance("other", waiting_for="Paid:INV-2", status="waiting")),
            StartInstance(instance("ended", waiting_for="Paid:INV-1", status="cancelled")),
            StartInstance(instance("foreign", waiting_for="Paid:INV-1", tenant="foreign")),
        ]
    )
    assert [row.key for row in await store.waiting_for(ACME, "Paid:INV-1")] == ["first", "second"]


# lists


async def test_versions_in_use_are_counted(store: SqlStore) -> None:
    """Of all tenants, by process and version: what has begun and not ended, whatever it is at (P15)."""
    rows = [
        instance("runs", status="running"),
        instance("waits", status="waiting", tenant="other"),
        instance("parked", status="parked", version=2),
        instance("undoes", status="undoing", process="invoicing"),
        instance("done", status="done", version=3),
        instance("undone", status="undone", version=3),
        instance("cancelled", status="cancelled", version=3),
    ]
    await store.commit([StartInstance(row) for row in rows])
    found = [(used.process, used.version, used.instances) for used in await store.versions_in_use()]
    assert found == [("invoicing", 1, 1), ("order_booking", 1, 2), ("order_booking", 2, 1)]


async def test_instances_are_listed(store: SqlStore) -> None:
    """Instances are listed newest first, by process and status; those of a transaction oldest first, chained ones included."""
    await store.commit(
        [
            StartInstance(instance("one", created_at=later(1), correlation_id="q2c-x")),
            StartInstance(instance("two", created_at=later(2), status="parked", correlation_id="q2c-y")),
            StartInstance(instance("three", created_at=later(3), status="done", process="invoicing", correlation_id="q2c-x")),
            StartInstance(instance("four", created_at=later(4), tenant="other", correlation_id="q2c-x")),
            Chain(ACME, "q2c-x", "order_booking", "two"),
            Chain(ACME, "q2c-x", "order_booking", "two"),
            Chain(ACME, "q2c-x", "order_booking", "one"),
        ]
    )
    assert [row.key for row in await store.instances(ACME)] == ["three", "two", "one"]
    assert [row.key for row in await store.instances(ACME, limit=1)] == ["three"]
    assert [row.key for row in await store.instances(ACME, process="order_booking")] == ["two", "one"]
    assert [row.key for row in await store.instances(ACME, status=("parked", "running"))] == ["two", "one"]
    assert [row.key for row in await store.instances(ACME, status=("done", "running"))] == ["three", "one"]
    assert [row.key for row in await store.instances(ACME, correlation_id="q2c-x")] == ["one", "two", "three"]
    assert await store.correlation_of(ACME, "order_booking", "two") == "q2c-y"
    assert await store.correlation_of(ACME, "order_booking", "nobody") == ""


async def test_links_lead_both_ways(store: SqlStore) -> None:
    """A link is found from our id and from the vendor's; putting it again replaces the vendor's id."""
    await store.commit([PutLink(link()), PutLink(link(connection="stripe", external_id="cus_1", external_number="C-1"))])
    await store.commit([PutLink(link(external_id="4712")), PutLink(link(external_id="4713"))])
    assert await store.links(ACME, kind="customer", our_id="CUST-7") == (
        link(external_id="4713"),
        link(connection="stripe", external_id="cus_1", external_number="C-1"),
    )
    found = await store.link_from(ACME, connection="stripe", kind="customer", external_id="cus_1")
    assert found is not None
    assert found.our_id == "CUST-7"
    assert await store.link_from(ACME, connection="netsuite", kind="customer", external_id="4711") is None


async def test_cases_are_listed_oldest_first(store: SqlStore) -> None:
    """Cases are listed oldest first, by kind and status; who closes one says how it ended, and what it was about stays."""
    await store.commit([PutCase(case("new", opened_at=later(2))), PutCase(case("old", opened_at=later(1), kind="parked"))])
    told = case("closed", document=b'{"n": "1.10"}', due_at=later(9))
    closed = msgspec.structs.replace(told, status="resolved", resolution="approved", closed_at=later(3))
    await store.commit([PutCase(told)])
    await store.commit(
        [PutCase(msgspec.structs.replace(closed, document=b"null", due_at=None, amount="", title="closed", opened_at=later(3)))]
    )
    assert [c.id for c in await store.cases(ACME)] == ["closed", "old", "new"]
    assert [c.id for c in await store.cases(ACME, status="open")] == ["old", "new"]
    assert await store.cases(ACME, status="resolved") == (closed,)
    assert [c.id for c in await store.cases(ACME, kind="approval", status="open", limit=1)] == ["new"]


async def test_transactions_are_listed_newest_first(store: SqlStore) -> None:
    """The read model of a transaction is replaced as a whole, and the list begins with the one touched last."""
    await store.commit([PutTransaction(transaction("a")), PutTransaction(transaction("b", updated_at=later(1)))])
    renewed = transaction(
        "a", updated_at=later(2), stage="paid", amount="10.00", currency="EUR", document=b"{}", quote_id="Q", order_id="O"
    )
    await store.commit([PutTransaction(renewed)])
    assert [t.correlation_id for t in await store.transactions(ACME)] == ["a", "b"]
    assert [t.correlation_id for t in await store.transactions(ACME, limit=1)] == ["a"]
    assert await store.transaction(ACME, "a") == renewed
    assert await store.transaction("other", "a") is None


async def test_an_outside_event_is_kept_once(store: SqlStore) -> None:
    """An outside event that comes again is refused; what became of it is noted, and new ones come oldest first."""
    await store.commit([Keep(received("evt_2", received_at=later(2)))])
    await store.commit([Keep(received("evt_1"))])
    with pytest.raises(Duplicate, match="received"):
        await store.commit([Keep(received("evt_1"))])
    assert [event.event_id for event in await store.received()] == ["evt_1", "evt_2"]
    await store.commit([MarkReceived(ACME, "stripe", "evt_1", "translated"), MarkReceived(ACME, "stripe", "evt_2", "failed", "why")])
    assert await store.received() == ()
    assert [event.event_id for event in await store.received(state="translated")] == ["evt_1"]
    assert [(event.event_id, event.reason) for event in await store.received(state="failed")] == [("evt_2", "why")]


async def test_moments_come_back_exactly(store: SqlStore) -> None:
    """A moment comes back to the microsecond and in UTC, in whatever zone it was put in."""
    summer = dt.timezone(dt.timedelta(hours=2))
    moment = dt.datetime(2026, 7, 1, 23, 59, 59, 999_999, tzinfo=summer)
    await store.commit([StartInstance(instance(due_at=moment))])
    there = await store.instance(*ORDER)
    assert there is not None
    assert there.due_at == moment
    assert str(there.due_at) == "2026-07-01 21:59:59.999999+00:00"
