"""The schema of the store, version by version (Alembic). The versions travel with the package, so that an installed gateway can migrate.

>>> await migrate("postgresql://…")     # or: q2c migrate
"""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from runtime.store.database import is_missing, parse, writing_engine
from runtime.store.faults import ERRORS, failure_of

# Any number will do, as long as nothing else in the database locks it.
_ONE_MIGRATOR = text("SELECT pg_advisory_xact_lock(7203650117)")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


@cache
def wanted_version() -> str:
    """The version of the schema that this release works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def version_at(connection: Connection) -> str:
    """The version of the schema at the other end of a connection; empty where there is none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


async def schema_version(url: str) -> str:
    """The version of the schema in a database; empty where there is none. Raises `Unavailable` where it cannot be reached."""
    address = parse(url)
    if is_missing(address):
        return ""
    engine = writing_engine(address)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(version_at)
    except ERRORS as error:
        raise failure_of(error) from error
    finally:
        await engine.dispose()


async def migrate(url: str) -> str:
    """Bring a database to the version that this release works with; again changes nothing. Returns the version.

    The whole way is one transaction on both databases: a migration that is killed has changed nothing. Of two that run at the same
    time one waits for the other.
    """
    address = parse(url)
    if address.get_backend_name() == "sqlite":
        Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = writing_engine(address)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except ERRORS as error:
        raise failure_of(error) from error
    finally:
        await engine.dispose()
    return wanted_version()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        for setting in ("statement_timeout", "lock_timeout"):
            connection.execute(text(f"SET LOCAL {setting} = 0"))
        connection.execute(_ONE_MIGRATOR)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
