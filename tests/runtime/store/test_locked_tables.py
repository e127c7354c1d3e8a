"""Somebody holds the locks of PostgreSQL, and does not let go: nobody waits without a limit, and nothing is half written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from canonical.failures import Unavailable
from runtime.clock import SetClock
from runtime.store import committing, database
from runtime.store.contract import Seen, StartInstance
from runtime.store.database import parse, writing_engine
from runtime.store.engine import SqlStore, open_store
from tests.contracts.stores import NOW, ORDER, instance

pytestmark = pytest.mark.postgres


@pytest.fixture
def store_kind() -> str:
    return "postgres"


@pytest.fixture
async def narrow(store_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqlStore]:
    """A store that reads on one connection, and does not wait long for its turn."""
    monkeypatch.setattr(database, "TURN_WITHIN_S", 0.01)
    store = open_store(store_url, SetClock(NOW), readers=1)
    await store.start()
    yield store
    await store.stop()


@asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """As long as the block lasts nobody else can even read the table."""
    engine = writing_engine(parse(url))
    async with engine.begin() as connection:
        await connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield
    await engine.dispose()


async def test_used_up_connections_are_said_at_once(narrow: SqlStore, store_url: str) -> None:
    """While every connection hangs at a lock, further reads are told to come again, instead of queueing for ever; what hung is answered
    when the lock is gone, and so is the next (D7, I12).
    """
    await narrow.commit([StartInstance(instance(ORDER[2]))])
    async with locked(store_url, "instances"):
        hanging = asyncio.create_task(narrow.instance(*ORDER))
        await asyncio.sleep(0)
        assert narrow._database._places.locked()
        for _ in range(3):
            with pytest.raises(Unavailable) as busy:
                await narrow.seen("worker", "m-1")
            assert (busy.value.code, busy.value.retry_after_s) == ("store_busy", 1.0)
    row = await hanging
    assert row is not None
    assert not await narrow.seen("worker", "m-1")


async def test_a_lock_that_is_not_let_go_is_not_waited_for(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read and a commit that meet a locked table break off at the server's limit; of the commit nothing is written (D8)."""
    monkeypatch.setitem(database.POSTGRESQL_SETTINGS, "lock_timeout", "20ms")
    monkeypatch.setattr(committing, "WAITS_S", (0.0,))
    store = open_store(store_url, SetClock(NOW))
    await store.start()
    async with locked(store_url, "instances"):
        with pytest.raises(Unavailable) as reading:
            await store.instance(*ORDER)
        with pytest.raises(Unavailable) as writing:
            await store.commit([Seen("worker", "m-1"), StartInstance(instance(ORDER[2]))])
    assert [reading.value.code, writing.value.code] == ["store_busy", "store_busy"]
    assert not await store.seen("worker", "m-1")
    await store.commit([Seen("worker", "m-1"), StartInstance(instance(ORDER[2]))])
    await store.stop()
