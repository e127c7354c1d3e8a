"""The promises of the store, each on SQLite and on PostgreSQL. The numbers are those of `runtime.store.contract`."""

import asyncio

import msgspec
import pytest

from canonical.failures import FailureRecord, Unavailable
from runtime.store.contract import (
    AddLine,
    Chain,
    Duplicate,
    Fenced,
    Keep,
    PutCase,
    PutEffect,
    PutIdempotency,
    PutLink,
    PutTransaction,
    SaveInstance,
    Seen,
    Send,
    SetCursor,
    StartInstance,
    Unit,
    Write,
)
from runtime.store.engine import SqlStore
from tests.contracts.stores import (
    ACME,
    NOW,
    ORDER,
    QUEUE,
    OpenStore,
    case,
    effect,
    instance,
    later,
    letter,
    line,
    link,
    received,
    record,
    transaction,
)

# 1 commit


ONE_OF_EACH: tuple[Write, ...] = (
    StartInstance(instance()),
    AddLine(line()),
    Chain(ACME, "q2c-quote", "order_booking", "ORD-1"),
    Send(QUEUE, letter()),
    Seen("process.order_booking", "m-0"),
    PutEffect(effect()),
    PutLink(link()),
    PutIdempotency(record()),
    PutCase(case()),
    PutTransaction(transaction()),
    Keep(received()),
    SetCursor("stripe.events", "evt_0"),
)


async def everything(store: SqlStore) -> list[object]:
    """What `ONE_OF_EACH` wrote, each empty or None where it is not there."""
    return [
        await store.instance(*ORDER),
        await store.journal(*ORDER),
        await store.instances(ACME, correlation_id="q2c-quote"),
        await store.unsent(older_than=later(1)),
        await store.seen("process.order_booking", "m-0"),
        await store.effect(ACME, effect().key),
        await store.links(ACME, kind="customer", our_id="CUST-7"),
        await store.idempotency(ACME, "cpq:place_order", "k-1", NOW),
        await store.case(ACME, "c-1"),
        await store.transaction(ACME, "q2c-1"),
        await store.received(),
        await store.cursor("stripe.events"),
    ]


async def test_a_unit_is_written_wholly(store: SqlStore) -> None:
    """1: All writes of a unit are there when `commit` returns."""
    await store.commit(ONE_OF_EACH)
    assert all(await everything(store))


async def test_a_refused_unit_is_not_written_at_all(store: SqlStore) -> None:
    """1: Of a unit with one write that is refused nothing is there."""
    await store.commit([Seen("worker", "m-9")])
    with pytest.raises(Duplicate, match="message"):
        await store.commit([*ONE_OF_EACH, Seen("worker", "m-9")])
    assert not any(await everything(store))


async def test_what_was_committed_outlives_the_store(opened: OpenStore) -> None:
    """1: A store that is closed and opened again still has everything."""
    first = await opened()
    await first.commit(ONE_OF_EACH)
    before = msgspec.json.encode(await everything(first))
    await first.stop()
    assert msgspec.json.encode(await everything(await opened())) == before


async def test_concurrent_units_are_all_written(store: SqlStore) -> None:
    """1: Fifty units of concurrent tasks are all there, and shared database commits."""
    keys = [f"ORD-{n}" for n in range(50)]
    before = store._writer._number
    await asyncio.gather(*(store.commit([StartInstance(instance(key)), AddLine(line(key)), Send(QUEUE, letter(key))]) for key in keys))
    assert {row.key for row in await store.instances(ACME)} == set(keys)
    assert {row.letter.id for row in await store.unsent(older_than=later(1))} == set(keys)
    assert store._writer._number - before < 50


async def test_more_units_than_one_commit_takes(store: SqlStore) -> None:
    """1: Six hundred units at once, more than share one commit, are all written."""
    await asyncio.gather(*(store.commit([Seen("worker", str(n))]) for n in range(600)))
    assert all([await store.seen("worker", str(n)) for n in (0, 199, 200, 599)])


async def test_an_empty_unit_is_nothing(store: SqlStore) -> None:
    """1: An empty unit needs no commit."""
    before = store._writer._number
    await store.commit([])
    assert store._writer._number == before


async def test_a_caller_who_goes_away_harms_nobody(store: SqlStore) -> None:
    """1: When a task is cancelled while its unit waits, the units of others are written."""
    tasks = [asyncio.create_task(store.commit([Seen("worker", str(n))])) for n in range(20)]
    await asyncio.sleep(0)
    for gone in tasks[::2]:
        gone.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all([await store.seen("worker", str(n)) for n in range(1, 20, 2)])


async def test_a_closed_store_says_so(opened: OpenStore) -> None:
    """1: A unit for a store that was stopped raises `Unavailable`."""
    store = await opened()
    await store.stop()
    with pytest.raises(Unavailable) as refused:
        await store.commit([Seen("worker", "m")])
    assert refused.value.code == "store_stopped"


async def test_units_that_wait_when_the_store_stops_are_written(opened: OpenStore) -> None:
    """1: `stop` first writes what was handed in."""
    store = await opened()
    tasks = [asyncio.create_task(store.commit([Seen("worker", str(n))])) for n in range(30)]
    await asyncio.sleep(0)
    await store.stop()
    await asyncio.gather(*tasks)
    again = await opened()
    assert all([await again.seen("worker", str(n)) for n in range(30)])


# 2 to 5 what is unique


async def test_an_instance_starts_once(store: SqlStore) -> None:
    """2: A second start with the same tenant, process and key is refused; the first one stays."""
    await store.commit([StartInstance(instance(actor="anna"))])
    with pytest.raises(Duplicate, match="instance"):
        await store.commit([StartInstance(instance(actor="bert"))])
    assert (await store.instance(*ORDER) or instance()).actor == "anna"
    await store.commit([StartInstance(instance(tenant="other"))])


async def test_of_two_starts_at_the_same_time_one_wins(opened: OpenStore) -> None:
    """2: Of two workers that start the same instance at the same moment one is refused."""
    stores = [await opened(), await opened()]
    outcomes = await asyncio.gather(
        *(store.commit([StartInstance(instance(actor=str(n)))]) for n, store in enumerate(stores)), return_exceptions=True
    )
    assert sorted(str(outcome) for outcome in outcomes) == ["None", "instance"]


async def test_the_fence_keeps_the_former_worker_out(store: SqlStore) -> None:
    """3: After a claim only who holds the new fence can save."""
    await store.commit([StartInstance(instance(fence=1))])
    taken = await store.claim(*ORDER)
    assert taken is not None
    assert taken.fence == 2
    with pytest.raises(Fenced):
        await store.commit([SaveInstance(instance(fence=1, position=7))])
    await store.commit([SaveInstance(instance(fence=2, position=3))])
    assert (await store.instance(*ORDER) or taken).position == 3


async def test_what_is_not_there_cannot_be_saved(store: SqlStore) -> None:
    """3: Saving an instance that was never started is refused."""
    with pytest.raises(Fenced):
        await store.commit([SaveInstance(instance())])


async def test_a_save_keeps_when_it_was_started(store: SqlStore) -> None:
    """3: A save sets everything but the fence and the moment of the start."""
    await store.commit([StartInstance(instance())])
    reason = FailureRecord(word="throttled", code="slow_down", detail="später", retry_after_s=1.5, raw="a\x00b")
    saved = instance(
        position=2, status="waiting", memory=b'{"n": 1}', waiting_for="Paid:1", due_at=later(60), attempts=3,
        first_failed_at=later(1), reason=reason, updated_at=later(5), created_at=later(5), version=2, entity="DE",
    )  # fmt: skip
    await store.commit([SaveInstance(saved)])
    there = await store.instance(*ORDER)
    assert there is not None
    assert (there.created_at, there.reason, there.due_at, there.first_failed_at) == (NOW, reason, later(60), later(1))
    assert (there.position, there.status, there.memory, there.version, there.entity) == (2, "waiting", b'{"n": 1}', 2, "DE")


async def test_a_claim_of_nothing_is_nothing(store: SqlStore) -> None:
    """3: A claim of an instance that is not there returns None."""
    assert await store.claim(*ORDER) is None


async def test_a_message_is_seen_once_by_each_consumer(store: SqlStore) -> None:
    """4: A second `Seen` of the same consumer and message is refused; another consumer's is not."""
    await store.commit([Seen("one", "m-1")])
    await store.commit([Seen("two", "m-1")])
    with pytest.raises(Duplicate, match="message"):
        await store.commit([Seen("one", "m-1")])
    assert [await store.seen(consumer, "m-1") for consumer in ("one", "two", "three")] == [True, True, False]


async def test_the_first_answer_to_a_key_stays(store: SqlStore) -> None:
    """5: A second record for the same scope and key is refused, and the first one stays."""
    await store.commit([PutIdempotency(record())])
    with pytest.raises(Duplicate, match="idempotency"):
        await store.commit([PutIdempotency(record(b"second", created_at=later(60)))])
    assert await store.idempotency(ACME, "cpq:place_order", "k-1", later(60)) == record()


async def test_an_expired_answer_is_gone(store: SqlStore) -> None:
    """5: A record that has expired is not given any more, and a new one takes its place."""
    await store.commit([PutIdempotency(record())])
    assert await store.idempotency(ACME, "cpq:place_order", "k-1", later(3600)) is None
    renewed = record(b"second", created_at=later(3600), expires_at=later(7200))
    await store.commit([PutIdempotency(renewed)])
    assert await store.idempotency(ACME, "cpq:place_order", "k-1", later(3601)) == renewed


# 6 neighbours


async def test_refused_units_leave_the_others_untouched(store: SqlStore) -> None:
    """6: Of units that are committed together only those fail that are refused, each for its own reason."""
    await store.commit([StartInstance(instance("known", fence=4)), Seen("worker", "m-known"), AddLine(line("known", 0))])
    bad: dict[int, tuple[Write, str]] = {
        3: (StartInstance(instance("known")), "Duplicate('instance')"),
        17: (Seen("worker", "m-known"), "Duplicate('message')"),
        18: (SaveInstance(instance("known", fence=3)), "Fenced()"),
        31: (AddLine(line("known", 0)), "Duplicate('journal')"),
        49: (Seen("worker", "m-known"), "Duplicate('message')"),
    }
    units = [[StartInstance(instance(f"ORD-{n}")), *([bad[n][0]] if n in bad else [])] for n in range(50)]
    outcomes = await asyncio.gather(*map(store.commit, units), return_exceptions=True)
    assert {n: repr(outcome) for n, outcome in enumerate(outcomes) if outcome is not None} == {n: why for n, (_, why) in bad.items()}
    written = {row.key for row in await store.instances(ACME)}
    assert written == {"known"} | {f"ORD-{n}" for n in range(50) if n not in bad}


async def test_of_equal_units_in_one_commit_the_first_wins(store: SqlStore) -> None:
    """6: Of five equal units that are committed together one is written and four are refused."""
    outcomes = await asyncio.gather(*(store.commit([Seen("worker", "m-1")]) for _ in range(5)), return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is None] == [None]
    assert sum(isinstance(outcome, Duplicate) for outcome in outcomes) == 4


async def test_values_that_no_database_takes_fail_their_unit_alone(store: SqlStore) -> None:
    """6: A number beyond all bounds fails its own unit and not its neighbours."""
    units: list[Unit] = [[StartInstance(instance("fine"))], [StartInstance(instance("huge", position=2**70))], [Seen("worker", "m-1")]]
    outcomes = await asyncio.gather(*map(store.commit, units), return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "Broken", "NoneType"]
