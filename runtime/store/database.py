"""The connections to PostgreSQL or SQLite, and everything that the two need set differently."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from canonical.failures import Misconfigured, Unavailable
from runtime.store.faults import ERRORS, failure_of

log = structlog.get_logger("q2c.store")

P = ParamSpec("P")
R = TypeVar("R")

DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}

# No statement and no lock is waited for without a limit, and a process that stops within a transaction loses it.
POSTGRESQL_SETTINGS = {
    "application_name": "q2c",
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",  # compiling costs more than any statement here
}
# What is written is found by its key, always. A plan that was made while a table was all but empty would read the whole of it at each
# commit until the next ANALYZE: measured, a commit of a hundred units then takes ten times as long.
WRITER_SETTINGS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
CONNECT_WITHIN_S = 5.0
# A read that waits longer for its turn would only keep those behind it waiting, too.
TURN_WITHIN_S = 5.0
# Longer than the server's own limit: it ends what the server cannot end because it hangs.
COMMAND_WITHIN_S = 15.0

SQLITE_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_size_limit=67108864",
)


def parse(url: str) -> URL:
    """A connection address with its driver. Raises `Misconfigured` for anything but PostgreSQL and SQLite files."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise Misconfigured("store_url", "the store's address is not a URL: sqlite:///path or postgresql://user@host/name") from error
    driver = DRIVERS.get(address.drivername)
    if driver is None:
        raise Misconfigured("store_url", f"{address.drivername}: the store runs on PostgreSQL and SQLite only")
    if driver.startswith("sqlite") and address.database in {None, "", ":memory:"}:
        raise Misconfigured("store_url", "a store in memory would lose what it promised to keep: name a file, as in sqlite:///q2c.db")
    if "sslmode" in address.query:  # libpq's word; asyncpg's is ssl
        address = address.update_query_dict({"ssl": address.query["sslmode"]}).difference_update_query(["sslmode"])
    return address.set(drivername=driver)


def is_missing(address: URL) -> bool:
    """Whether the address names a file that is not there: asking SQLite would make one."""
    return address.get_backend_name() == "sqlite" and not Path(str(address.database)).exists()


def _engine(address: URL, *, size: int, settings: Mapping[str, str] = POSTGRESQL_SETTINGS, **options: Any) -> AsyncEngine:
    common: dict[str, Any] = {
        "pool_size": size,
        "max_overflow": 0,
        "pool_timeout": CONNECT_WITHIN_S,
        "hide_parameters": True,  # what is stored does not belong into error texts
        **options,
    }
    if address.get_backend_name() == "postgresql":
        arguments = {"server_settings": dict(settings), "timeout": CONNECT_WITHIN_S, "command_timeout": COMMAND_WITHIN_S}
        return create_async_engine(address, connect_args=arguments, pool_use_lifo=True, **common)
    engine = create_async_engine(address, **common)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, deferred ones, and those fail at once where they meet another writer.
    connection.isolation_level = None
    cursor = connection.cursor()
    for setting in SQLITE_SETTINGS:
        cursor.execute(setting)
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def writing_engine(address: URL, *, size: int = 1) -> AsyncEngine:
    """Connections that write: within transactions that on SQLite take the write lock when they begin."""
    engine = _engine(address, size=size, settings=POSTGRESQL_SETTINGS | WRITER_SETTINGS)
    if address.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


class Database:
    """One writing connection and a few that read."""

    def __init__(self, url: str, *, readers: int) -> None:
        self.address = parse(url)
        self.kind = self.address.get_backend_name()
        self.writing = writing_engine(self.address)
        # Each read stands by itself: no transaction that a cancelled task could leave open.
        self._reading = _engine(
            self.address, size=readers, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, skip_autocommit_rollback=True
        )
        # Connections at rest. Giving them back to the engine's pool after each read would cost as much as the read.
        self._rested: list[AsyncConnection] = []
        self._places = asyncio.Semaphore(readers)
        self._closed = False

    async def read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **options: P.kwargs) -> R:
        """What a query answers; asked again on a new connection where the old one turned out to be lost. Raises `Unavailable`."""
        await self._turn()
        try:
            return await self._answer(query, *args, **options)
        finally:
            self._places.release()

    async def _turn(self) -> None:
        """Take one of the places for reading. Raises `Unavailable` where none becomes free: then the database is slow, or locked."""
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                await self._places.acquire()
        except TimeoutError as error:
            raise Unavailable("store_busy", "too many reads wait for the store", retry_after_s=1.0) from error

    async def _answer(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **options: P.kwargs) -> R:
        if self._closed:
            raise Unavailable("store_stopped", "the store is not running")
        while self._rested:
            try:
                return await self._on(self._rested.pop(), query, *args, **options)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise failure_of(error) from error
            except ERRORS as error:
                raise failure_of(error) from error
        try:
            return await self._on(await self._reading.connect(), query, *args, **options)
        except ERRORS as error:
            raise failure_of(error) from error

    async def _on(
        self, connection: AsyncConnection, query: Callable[Concatenate[Connection, P], R], *args: P.args, **options: P.kwargs
    ) -> R:
        answered = False
        try:
            answer = await connection.run_sync(query, *args, **options)
            answered = True
        finally:
            if answered and not self._closed:
                self._rested.append(connection)
            else:  # after an error, or where the caller was cancelled in mid-read, nobody knows the state of the connection
                await asyncio.shield(let_go(connection))
        return answer

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        rested, self._rested = self._rested, []
        for connection in rested:
            await connection.close()
        await self._reading.dispose()
        await self.writing.dispose()


async def let_go(connection: AsyncConnection) -> None:
    """Close a connection for good, whatever state it is in."""
    try:
        await connection.invalidate()
        await connection.close()
    except ERRORS as error:
        log.info("store_connection_lost", detail=failure_of(error).detail)
