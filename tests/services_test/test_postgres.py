"""A private PostgreSQL server keeps what it committed."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.services import postgres as service
from deploy.services.postgres import Postgres


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_committed_row_survives_a_kill() -> None:
    """What was committed is still there after SIGKILL and a restart on the same address."""
    server = service.start()
    try:
        url, pid = server.url, server.pid
        await execute(url, "CREATE TABLE orders (id text)", "INSERT INTO orders VALUES ('ORD-1')")
        server.kill()
        server.restart()
        assert server.pid != pid
        assert server.url == url
        assert await value(url, "SELECT id FROM orders") == "ORD-1"
    finally:
        server.stop()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the server's own account can reach; pytest's own is closed to it."""
    with tempfile.TemporaryDirectory(prefix="q2c-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


async def test_a_named_folder_is_kept(open_folder: Path) -> None:
    """A server started again on a folder that the caller named finds its data there, with the same password."""
    first = service.start(open_folder / "kept")
    try:
        await execute(first.url, "CREATE TABLE orders (id text)", "INSERT INTO orders VALUES ('ORD-1')")
    finally:
        first.stop()
    second = service.start(open_folder / "kept")
    try:
        assert second.password == first.password
        assert await value(second.url, "SELECT id FROM orders") == "ORD-1"
    finally:
        second.stop()


async def test_it_does_not_risk_data_for_speed(postgres: Postgres) -> None:
    """The settings that make a commit durable are those of a real server."""
    settings = [await value(postgres.url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
    assert settings == ["on", "on", "on"]


async def test_a_fresh_database_is_empty(postgres: Postgres) -> None:
    """Two databases of one server share nothing."""
    here, there = postgres.fresh_database(), postgres.fresh_database()
    await execute(here, "CREATE TABLE orders (id text)")
    count = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'orders'"
    assert [await value(here, count), await value(there, count)] == [1, 0]
