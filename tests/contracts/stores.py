"""A store of each kind for whoever asks, empty and migrated: a file of SQLite, and a database of a real PostgreSQL."""

import asyncio
import datetime as dt
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from runtime.bus.contract import Address
from runtime.bus.wire import Envelope
from runtime.clock import Clock, SetClock
from runtime.store.contract import Case, Effect, EffectState, IdempotencyRecord, Instance, JournalLine, Link, Received, Transaction
from runtime.store.database import parse, writing_engine
from runtime.store.engine import SqlStore, open_store
from runtime.store.migrations import migrate
from runtime.store.tables import METADATA

NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)
KINDS = ("sqlite", "postgres")
ACME = "acme"
ORDER = (ACME, "order_booking", "ORD-1")
QUEUE = Address("process.order_booking")
OpenStore = Callable[..., Awaitable[SqlStore]]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with the present schema, to be copied."""
    path = tmp_path_factory.mktemp("store") / "migrated.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_database(request: pytest.FixtureRequest) -> str:
    """The url of a database of PostgreSQL with the present schema."""
    url: str = request.getfixturevalue("postgres").fresh_database()
    asyncio.run(migrate(url))
    return url


@pytest.fixture(params=[KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.postgres)])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
def store_url(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of an empty store."""
    if store_kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "store.db")
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("migrated_database")
    asyncio.run(emptied(url))
    return url


async def emptied(url: str) -> None:
    """Remove whatever an earlier test left."""
    engine = writing_engine(parse(url))
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))  # past the trigger that keeps the audit trail
        await connection.execute(text("TRUNCATE " + ", ".join(table.name for table in METADATA.sorted_tables) + " RESTART IDENTITY"))
    await engine.dispose()


@pytest.fixture
def clock() -> SetClock:
    """The clock of the stores; it stands at `NOW`."""
    return SetClock(NOW)


@pytest.fixture
async def opened(store_url: str, clock: SetClock) -> AsyncIterator[OpenStore]:
    """Opens stores on one database, as many as there are to be workers."""
    stores: list[SqlStore] = []

    async def open_one(its_clock: Clock = clock) -> SqlStore:
        store = open_store(store_url, its_clock)
        await store.start()
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        await store.stop()


@pytest.fixture
async def store(opened: OpenStore) -> SqlStore:
    """A store."""
    return await opened()


def later(seconds: float) -> dt.datetime:
    """So long after `NOW`."""
    return NOW + dt.timedelta(seconds=seconds)


def instance(key: str = "ORD-1", **fields: object) -> Instance:
    """An instance of a process."""
    given: dict[str, object] = {
        "tenant": "acme",
        "process": "order_booking",
        "key": key,
        "correlation_id": f"q2c-{key}",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Instance(**{**given, **fields})  # type: ignore[arg-type]


def line(key: str = "ORD-1", seq: int = 0, **fields: object) -> JournalLine:
    """A line of its journal."""
    given: dict[str, object] = {
        "tenant": "acme",
        "process": "order_booking",
        "key": key,
        "seq": seq,
        "step": "book_in_erp",
        "kind": "ask",
        "correlation_id": f"q2c-{key}",
        "at": NOW,
    }
    return JournalLine(**{**given, **fields})  # type: ignore[arg-type]


def letter(message_id: str = "m-1", kind: str = "OrderBooked", **fields: object) -> Envelope:
    """A message."""
    given: dict[str, object] = {"id": message_id, "type": kind, "body": msgspec.Raw(b"{}"), "tenant": "acme", "correlation_id": "q2c-ORD-1"}
    return Envelope(**{**given, **fields})  # type: ignore[arg-type]


def effect(state: EffectState = "planned", key: str = "order_booking/ORD-1/book_in_erp", **fields: object) -> Effect:
    """An effect of its booking."""
    given: dict[str, object] = {
        "connection": "netsuite",
        "command": "erp.CreateSalesOrder",
        "correlation_id": "q2c-ORD-1",
        "updated_at": NOW,
    }
    return Effect(tenant=ACME, key=key, state=state, **{**given, **fields})  # type: ignore[arg-type]


def case(case_id: str = "c-1", **fields: object) -> Case:
    """A case before a person."""
    given: dict[str, object] = {
        "kind": "approval",
        "process": "quote_approval",
        "key": "Q-1",
        "title": "Discount of 30 %",
        "opened_at": NOW,
    }
    return Case(tenant=ACME, id=case_id, correlation_id="q2c-Q-1", **{**given, **fields})  # type: ignore[arg-type]


def transaction(correlation_id: str = "q2c-1", **fields: object) -> Transaction:
    """The read model of a transaction."""
    return Transaction(tenant=ACME, correlation_id=correlation_id, **{"stage": "booked", "updated_at": NOW, **fields})  # type: ignore[arg-type]


def link(our_id: str = "CUST-7", connection: str = "netsuite", external_id: str = "4711", **fields: str) -> Link:
    """What a vendor calls a customer of ours."""
    return Link(tenant=ACME, kind="customer", our_id=our_id, connection=connection, external_id=external_id, **fields)


def record(body: bytes = b"first", **fields: object) -> IdempotencyRecord:
    """The stored answer to a caller's key."""
    given: dict[str, object] = {"fingerprint": "f", "status": 202, "created_at": NOW, "expires_at": later(3600)}
    headers = {"location": "/orders/ORD-1"}
    return IdempotencyRecord(tenant=ACME, scope="cpq:place_order", key="k-1", headers=headers, body=body, **{**given, **fields})  # type: ignore[arg-type]


def received(event_id: str = "evt_1", **fields: object) -> Received:
    """An event of a vendor's, as it came in."""
    given: dict[str, object] = {"body": b'{"id": "evt_1"}\x00\xff', "headers": {"stripe-signature": "t=1"}, "received_at": NOW}
    return Received(tenant=ACME, connection="stripe", event_id=event_id, **{**given, **fields})  # type: ignore[arg-type]
