"""The schema: from nothing to the present one, on both databases."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from canonical.failures import Misconfigured, Unavailable
from deploy.services.software import REPOSITORY
from runtime.clock import SetClock
from runtime.store import migrations
from runtime.store.database import parse, writing_engine
from runtime.store.engine import open_store
from runtime.store.migrations import migrate, schema_version, wanted_version
from runtime.store.tables import METADATA
from tests.contracts.stores import NOW

R = TypeVar("R")


@pytest.fixture
def fresh(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of a database that holds nothing."""
    if store_kind == "sqlite":
        return f"sqlite:///{tmp_path}/new folder/q2c.db"
    url: str = request.getfixturevalue("postgres").fresh_database()
    return url


async def on(url: str, question: Callable[[Connection], R]) -> R:
    engine = writing_engine(parse(url))
    async with engine.begin() as connection:
        answer = await connection.run_sync(question)
    await engine.dispose()
    return answer


def catalogue(connection: Connection) -> list[str]:
    """Everything that the database itself knows of the schema, as text; without Alembic's own table."""
    if connection.dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger' AND name NOT LIKE 'sqlite_%'"
    else:
        query = """
            SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL SELECT concat_ws(' ', table_name, ordinal_position, column_name, data_type, is_nullable, column_default)
                FROM information_schema.columns WHERE table_schema = 'public'
            UNION ALL SELECT concat_ws(' ', relname, reloptions) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        """
    rows = [" ".join(row[0].split()) for row in connection.execute(text(query))]
    return sorted(row for row in rows if "alembic_version" not in row)


async def test_from_nothing_to_the_present_schema(fresh: str) -> None:
    """A database that holds nothing has no version; after migrating it has the present one, and a store starts on it."""
    assert await schema_version(fresh) == ""
    assert await migrate(fresh) == wanted_version()
    assert await schema_version(fresh) == wanted_version()
    store = open_store(fresh, SetClock(NOW))
    await store.start()
    await store.stop()


async def test_migrating_again_changes_nothing(fresh: str) -> None:
    """A second migration leaves the schema and the data as they are."""
    await migrate(fresh)
    insert = text("INSERT INTO cursors (name, value) VALUES ('poll', '7')")
    await on(fresh, lambda connection: connection.execute(insert).rowcount)
    before = await on(fresh, catalogue)
    await migrate(fresh)
    assert await on(fresh, catalogue) == before
    assert await on(fresh, lambda connection: connection.execute(text("SELECT value FROM cursors")).scalar()) == "7"


async def test_the_migrations_make_what_the_tables_say(fresh: str) -> None:
    """Alembic finds no difference between the migrated schema and the tables that the code works with."""

    def difference(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    await migrate(fresh)
    assert await on(fresh, difference) == []


async def test_the_databases_catalogue_says_the_same(fresh: str, store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Migrated and made directly, the schemas are the same in the database's own words, conditions of partial indexes included."""
    direct = f"sqlite:///{tmp_path}/direct.db" if store_kind == "sqlite" else request.getfixturevalue("postgres").fresh_database()
    await migrate(fresh)
    await on(direct, METADATA.create_all)
    assert await on(fresh, catalogue) == await on(direct, catalogue)


async def test_a_store_refuses_a_schema_that_is_not_its_own(fresh: str) -> None:
    """On a database with another version, or none, the store does not start and says what to do."""
    with pytest.raises(Misconfigured, match="run q2c migrate"):
        await open_store(fresh, SetClock(NOW)).start()
    await migrate(fresh)
    future = text("UPDATE alembic_version SET version_num = '9999'")
    await on(fresh, lambda connection: connection.execute(future).rowcount)
    with pytest.raises(Misconfigured, match="run q2c migrate") as refused:
        await open_store(fresh, SetClock(NOW)).start()
    assert refused.value.code == "schema_outdated"


async def test_two_migrations_at_the_same_time(fresh: str) -> None:
    """Of two workers that migrate at the same moment one waits for the other, and both find the present schema."""
    assert set(await asyncio.gather(migrate(fresh), migrate(fresh))) == {wanted_version()}


async def test_a_migration_that_breaks_off_has_changed_nothing(fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails after its last statement leaves the database as it was, and can be run again (D12)."""
    carry_out = migrations._upgrade

    def break_off(connection: Connection) -> None:
        carry_out(connection)
        raise ConnectionError("the power went out")

    with monkeypatch.context() as patched:
        patched.setattr(migrations, "_upgrade", break_off)
        with pytest.raises(Unavailable):
            await migrate(fresh)
    assert await on(fresh, catalogue) == []
    assert await schema_version(fresh) == ""
    await migrate(fresh)


KILLED = """
import asyncio, os, signal, sys
from runtime.store import migrations
carry_out = migrations._upgrade
def die(connection):
    carry_out(connection)
    os.kill(os.getpid(), signal.SIGKILL)
migrations._upgrade = die
asyncio.run(migrations.migrate(sys.argv[1]))
"""


async def test_a_killed_migrator_has_changed_nothing(fresh: str) -> None:
    """A process that is killed when its migration is all but committed leaves nothing, no lock either: the next one migrates (D12)."""
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, fresh, cwd=REPOSITORY)
    assert await killed.wait() == -signal.SIGKILL
    assert await schema_version(fresh) == ""
    assert await migrate(fresh) == wanted_version()
    assert await schema_version(fresh) == wanted_version()
