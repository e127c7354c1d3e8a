"""What becomes of units when the database fails in the middle of it. On a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from canonical.failures import Broken, OutcomeUnknown, Unavailable
from deploy.services import postgres as postgres_service
from runtime.clock import SetClock
from runtime.store import committing
from runtime.store.contract import Duplicate, Seen, SetCursor, StartInstance
from runtime.store.database import parse, writing_engine
from runtime.store.engine import SqlStore, open_store
from runtime.store.migrations import migrate
from tests.contracts.stores import NOW, OpenStore, emptied, instance
from tests.runtime.store.cutting import Cut, Road

pytestmark = pytest.mark.postgres


@pytest.fixture
async def road(migrated_database: str) -> AsyncIterator[Road]:
    """A road to an empty store."""
    await emptied(migrated_database)
    async with Road(migrated_database) as one:
        yield one


@pytest.fixture
async def far(road: Road) -> AsyncIterator[SqlStore]:
    """A store at the end of the road."""
    store = open_store(road.url, SetClock(NOW))
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def store_kind() -> str:
    return "postgres"


async def sql(url: str, statement: str) -> list[Any]:
    engine = writing_engine(parse(url))
    async with engine.begin() as connection:
        rows = (await connection.execute(text(statement))).all()
    await engine.dispose()
    return [row[0] for row in rows]


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_commit_that_was_cut_off_is_found_out(far: SqlStore, road: Road, how: Cut) -> None:
    """When the connection breaks at COMMIT, before or after the server had it, the caller gets a clean yes and the unit is there once.

    Shown here (D2).
    """
    road.cut(b"COMMIT", how)
    await far.commit([StartInstance(instance()), Seen("worker", "m-1")])
    assert road.cuts == 1
    assert await far.seen("worker", "m-1")
    with pytest.raises(Duplicate):
        await far.commit([Seen("worker", "m-1")])


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_claim_that_was_cut_off_raises_the_fence_once(far: SqlStore, road: Road, how: Cut) -> None:
    """A claim whose COMMIT is cut off raises the fence by one all the same, and its answer agrees with what is stored."""
    await far.commit([StartInstance(instance(fence=5))])
    road.cut(b"COMMIT", how)
    claimed = await far.claim("acme", "order_booking", "ORD-1")
    assert road.cuts == 1
    assert claimed is not None
    assert claimed.fence == 6
    assert await far.instance("acme", "order_booking", "ORD-1") == claimed


async def test_a_connection_lost_in_mid_transaction_is_replaced(far: SqlStore, road: Road) -> None:
    """When the connection breaks before the commit, the units are written again over a new one."""
    road.cut(b"INTO inbox", "before")
    await asyncio.gather(*(far.commit([Seen("worker", str(n))]) for n in range(30)))
    assert road.cuts == 1
    assert all([await far.seen("worker", str(n)) for n in range(30)])


async def test_a_reader_that_lost_its_connection_asks_again(far: SqlStore, migrated_database: str) -> None:
    """Reads go on when the server has ended their connections (D1)."""
    await far.commit([SetCursor("poll", "7")])
    assert await asyncio.gather(*(far.cursor("poll") for _ in range(5))) == ["7"] * 5
    await sql(
        migrated_database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user"
    )
    assert await asyncio.gather(*(far.cursor("poll") for _ in range(5))) == ["7"] * 5
    await far.commit([SetCursor("poll", "8")])


async def test_an_outcome_that_cannot_be_found_out_is_called_unknown(far: SqlStore, road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the commit is cut off and the database stays away, the caller is told that nobody knows; the next unit, that it is away."""
    monkeypatch.setattr(committing, "FIND_OUT_WITHIN_S", 0.05)
    monkeypatch.setattr(committing, "FIND_OUT_EVERY_S", 0.01)
    monkeypatch.setattr(committing, "WAITS_S", (0.0, 0.01))
    road.cut(b"COMMIT", "after")
    road.open = False
    with pytest.raises(OutcomeUnknown) as unknown:
        await far.commit([Seen("worker", "m-1")])
    assert unknown.value.code == "commit_in_doubt"
    with pytest.raises(Unavailable) as down:
        await far.commit([Seen("worker", "m-2")])
    assert down.value.code == "store_down"
    road.open = True
    assert await far.seen("worker", "m-1")


async def test_a_deadlock_is_tried_again(opened: OpenStore, store_url: str) -> None:
    """A transaction that the server ends in favour of another one is carried out after it (D6)."""
    store = await opened()
    await store.commit([StartInstance(instance("a", fence=1)), StartInstance(instance("b", fence=1))])
    tries: list[int] = []
    began = asyncio.Event()

    def claim_both(connection: Connection) -> None:
        tries.append(1)
        connection.execute(text("SET LOCAL deadlock_timeout = '10ms'"))  # so that it is the store's wait that is broken up
        connection.execute(text("UPDATE instances SET fence = fence + 10 WHERE key = 'a'"))
        began.set()
        connection.execute(text("UPDATE instances SET fence = fence + 10 WHERE key = 'b'"))

    engine = writing_engine(parse(store_url))
    async with engine.begin() as other:
        await other.execute(text("SET LOCAL deadlock_timeout = '1h'"))
        await other.execute(text("UPDATE instances SET fence = fence + 1 WHERE key = 'b'"))
        crossing = asyncio.create_task(store._do(claim_both))
        await began.wait()
        await other.execute(text("UPDATE instances SET fence = fence + 1 WHERE key = 'a'"))
    await crossing
    await engine.dispose()
    assert len(tries) > 1
    assert [row.fence for row in await store.instances("acme")] == [12, 12]


async def test_a_bug_in_a_job_fails_that_job_alone(opened: OpenStore) -> None:
    """A job that raises something unheard-of gets it told, and the writer lives on."""
    store = await opened()

    def broken(_: Connection) -> None:
        raise LookupError("no such drawer")

    with pytest.raises(Broken, match="no such drawer"):
        await store._do(broken)
    await store.commit([Seen("worker", "m-1")])
    assert await store.seen("worker", "m-1")


async def test_nothing_is_left_open_by_callers_who_go_away(opened: OpenStore, store_url: str) -> None:
    """After cancelled reads and commits no connection stays within a transaction."""
    store = await opened()
    for pause in range(6):
        tasks = [asyncio.create_task(store.commit([Seen("worker", f"{pause}-{n}")])) for n in range(5)]
        tasks += [asyncio.create_task(store.commit([SetCursor("poll", str(n))])) for n in range(5)]
        for _ in range(pause):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await store.commit([Seen("worker", "last")])
    open_ones = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    assert await sql(store_url, open_ones) == []


async def test_each_connection_has_its_limits(opened: OpenStore) -> None:
    """No statement, no lock and no forgotten transaction is waited for without a limit (D8)."""
    store = await opened()

    def limits(connection: Connection) -> list[Any]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return [connection.execute(text(f"SHOW {name}")).scalar() for name in names]

    assert await store._do(limits) == ["10s", "3s", "10s"]
    assert await store._read(limits) == ["10s", "3s", "10s"]


async def test_a_store_outlives_its_server() -> None:
    """While the server is down units get `Unavailable`; when it is up again everything goes on, with nothing lost (D1)."""
    server = postgres_service.start()
    try:
        await migrate(server.url)
        store = open_store(server.url, SetClock(NOW))
        await store.start()
        await store.commit([Seen("worker", "before")])
        server.kill()
        with pytest.raises(Unavailable) as down:
            await store.commit([Seen("worker", "while down")])
        with pytest.raises(Unavailable):
            await store.seen("worker", "before")
        assert down.value.code == "store_down"
        server.start()
        await store.commit([Seen("worker", "after")])
        assert [await store.seen("worker", which) for which in ("before", "while down", "after")] == [True, False, True]
        await store.stop()
    finally:
        server.stop()


async def test_a_start_without_a_server_says_so() -> None:
    """A store whose server cannot be reached does not start, and says why in one of the six words."""
    store = open_store("postgresql://q2c:wrong@127.0.0.1:1/q2c", SetClock(NOW))
    with pytest.raises(Unavailable):
        await store.start()
    await store.stop()
