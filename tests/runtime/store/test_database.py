"""The two databases' own ways: addresses, locks, full disks, refusals."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from canonical.failures import Misconfigured, Unavailable
from deploy.services.postgres import Postgres
from runtime.clock import SetClock
from runtime.store import committing, database
from runtime.store.contract import Keep, Received, Seen
from runtime.store.database import parse, writing_engine
from runtime.store.engine import open_store
from tests.contracts.stores import NOW, OpenStore


@pytest.fixture
def store_kind() -> str:
    return "sqlite"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///data/q2c.db", "sqlite+aiosqlite:///data/q2c.db"),
        ("sqlite+aiosqlite:////var/q2c.db", "sqlite+aiosqlite:////var/q2c.db"),
        ("postgresql://u:p%40ss@db:5433/q2c", "postgresql+asyncpg://u:p%40ss@db:5433/q2c"),
        ("postgres://u@db/q2c?sslmode=require", "postgresql+asyncpg://u@db/q2c?ssl=require"),
    ],
)
def test_addresses_are_the_usual_ones(given: str, used: str) -> None:
    """The addresses that everybody knows are understood; the driver is ours to choose."""
    assert parse(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize("wrong", ["mysql://db/q2c", "q2c.db", "", "sqlite://", "sqlite:///:memory:", "http://example.com"])
def test_other_addresses_are_refused(wrong: str) -> None:
    """An address that is no PostgreSQL and no file of SQLite is a matter of settings, and nothing is connected."""
    with pytest.raises(Misconfigured) as refused:
        open_store(wrong, SetClock(NOW))
    assert refused.value.code == "store_url"


async def test_two_workers_on_one_file_take_turns(opened: OpenStore) -> None:
    """Two stores that write to one file of SQLite at the same time both get everything written (D9)."""
    workers = [await opened(), await opened()]
    await asyncio.gather(*(worker.commit([Seen(str(w), str(n))]) for n in range(100) for w, worker in enumerate(workers)))
    assert all([await workers[0].seen(str(w), str(n)) for n in range(100) for w in (0, 1)])


async def test_a_file_that_stays_locked_is_busy(opened: OpenStore, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody else holds the file for too long a unit gets `Unavailable`, and is written by none; later units get through (D7)."""
    settings = [line.replace("busy_timeout=5000", "busy_timeout=1") for line in database.SQLITE_SETTINGS]
    monkeypatch.setattr(database, "SQLITE_SETTINGS", settings)
    monkeypatch.setattr(committing, "WAITS_S", (0.0, 0.001))
    store = await opened()
    engine = writing_engine(parse(store_url))
    async with engine.begin() as other:
        await other.execute(text("SELECT 1"))
        with pytest.raises(Unavailable) as busy:
            await store.commit([Seen("worker", "m-1")])
        assert busy.value.code == "store_busy"
        assert not await store.seen("worker", "m-1")
    await engine.dispose()
    await store.commit([Seen("worker", "m-1")])


async def test_a_full_disk_refuses_and_recovers(opened: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot grow a unit gets `Unavailable` and leaves no trace; small units go on (D4)."""
    monkeypatch.setattr(database, "SQLITE_SETTINGS", [*database.SQLITE_SETTINGS, "PRAGMA max_page_count=120"])
    monkeypatch.setattr(committing, "WAITS_S", (0.0,))
    store = await opened()
    big = Received(tenant="acme", connection="stripe", event_id="big", body=b"x" * 2_000_000, headers={}, received_at=NOW)
    with pytest.raises(Unavailable) as full:
        await store.commit([Keep(big), Seen("worker", "beside it")])
    assert full.value.code == "store_down"
    assert not await store.seen("worker", "beside it")
    await store.commit([Seen("worker", "small")])
    assert await store.seen("worker", "small")


async def test_a_file_that_is_no_database_is_called_so(tmp_path: Path) -> None:
    """A file with something else in it is reported, not overwritten."""
    path = tmp_path / "letter.db"
    path.write_text("Dear customer, " * 100)
    with pytest.raises(Exception, match="store_corrupt"):
        await open_store(f"sqlite:///{path}", SetClock(NOW)).start()
    assert path.read_text().startswith("Dear customer")


@pytest.mark.postgres
async def test_a_server_that_refuses_us_is_a_matter_of_settings(postgres: Postgres) -> None:
    """A wrong password, and a database that is not there, are `Misconfigured`; the password is in no message."""
    address = make_url(postgres.url)
    for wrong in (address.set(password="not-the-word"), address.set(database="nowhere")):
        store = open_store(wrong.render_as_string(hide_password=False), SetClock(NOW))
        with pytest.raises(Misconfigured) as refused:
            await store.start()
        await store.stop()
        assert refused.value.code == "store_refuses_us"
        assert "not-the-word" not in str(refused.value)
