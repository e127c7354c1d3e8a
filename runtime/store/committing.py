"""Group commit: units that come while a commit is under way wait for it, and then share the next one.

One task per store writes. It takes all units that wait, writes them in one transaction and commits once. Where one is refused the
transaction is taken back and the units are tried in halves, each half under a savepoint, until only the refused ones are left out.

What a lost connection leaves is found out, never guessed: every transaction on PostgreSQL first writes its number into the row of its
writer, and holds that row until it ends. After an error in the commit itself the row is read under a lock: if it bears the number, the
transaction was committed; if not, it will never be, and is tried again. Only where the database does not come back within
`FIND_OUT_WITHIN_S` do the units get `OutcomeUnknown`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import structlog
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from canonical.failures import Broken, Failure, OutcomeUnknown, Unavailable
from runtime import metrics
from runtime.clock import Clock
from runtime.store.auditing import Head, chain, locked_heads
from runtime.store.contract import Duplicate, Fenced
from runtime.store.database import Database, let_go
from runtime.store.faults import ERRORS, VALUES, failure_of, is_trouble
from runtime.store.one_statement import OneStatement, Usual
from runtime.store.rows import micros
from runtime.store.statistics import FIRST_LOOK, analyse_grown
from runtime.store.tables import WRITERS
from runtime.store.writing import Prepared, put

log = structlog.get_logger("q2c.store")

TOGETHER_MAX = 200
WAITING_MAX = 20_000
# Before each try of a transaction that certainly was not committed: together longer than PostgreSQL takes to restart.
WAITS_S = (0.0, 0.05, 0.3, 1.0)
FIND_OUT_WITHIN_S = 20.0
FIND_OUT_EVERY_S = 0.25

REFUSALS: tuple[type[Exception], ...] = (Duplicate, Fenced, Failure)
SOMEBODYS_FAULT = (*REFUSALS, *ERRORS, *VALUES)
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, *VALUES, OSError)

NUMBERED = update(WRITERS).values(batch=bindparam("number"), at=bindparam("now")).where(WRITERS.c.id == bindparam("writer"))
LAST_NUMBER = select(WRITERS.c.batch).where(WRITERS.c.id == bindparam("writer")).with_for_update()

Job = Callable[[Connection], Any]


class Entry:
    """A unit, or a job that answers, on its way through the writer."""

    def __init__(self, unit: Prepared, job: Job | None) -> None:
        self.unit = unit
        self.job = job
        self.answer: Any = None
        self.refusal: Exception | None = None
        self.told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(self, trouble: Exception | None = None) -> None:
        """Let the caller know."""
        if self.told.done():  # the caller has gone
            return
        error = trouble or self.refusal
        if error is None:
            self.told.set_result(self.answer)
        else:
            self.told.set_exception(error)


class Group:
    """Entries that share a transaction."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.number = 0
        self.committing = False


class Writer:
    """The one task that writes."""

    def __init__(self, database: Database, clock: Clock, name: str) -> None:
        self._looking: asyncio.Task[None] | None = None
        self._database = database
        self._clock = clock
        self._name = name
        self._one_statement = OneStatement(name)
        self._waiting: deque[Entry] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection: AsyncConnection | None = None
        self._number = self._units = 0
        self._look_after = FIRST_LOOK
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="store-writer")

    async def stop(self) -> None:
        """Writes what waits, then ends."""
        task, self._task = self._task, None
        if task is None:
            return
        await self._idle.wait()
        task.cancel()
        await asyncio.wait({task} if self._looking is None else {task, self._looking})
        await self._let_go()

    async def write(self, unit: Prepared, job: Job | None = None) -> Any:
        """Returns when the unit is committed, with the answer of the job; raises its refusal, or what became of the commit."""
        if self._task is None:
            raise Unavailable("store_stopped", "the store is not running")
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("store_busy", "too many units wait to be committed", retry_after_s=1.0)
        entry = Entry(unit, job)
        self._waiting.append(entry)
        self._idle.clear()
        self._wake.set()
        return await entry.told

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(TOGETHER_MAX, len(self._waiting)))]
                await self._survive([entry for entry in group if not entry.told.done()])
            self._idle.set()

    async def _survive(self, entries: Sequence[Entry]) -> None:
        """A task of its own for each group: whatever it throws is told to its units, and the writer lives on."""
        work = asyncio.create_task(self._carry_out(entries))
        await asyncio.wait({work})
        bug = OutcomeUnknown("commit_interrupted", "the commit was interrupted") if work.cancelled() else work.exception()
        if bug is not None:
            log.error("store_writer", error=f"{type(bug).__name__}: {bug}")
            await self._let_go()
            for entry in entries:
                entry.tell(bug if isinstance(bug, Failure) else Broken("store_bug", f"{type(bug).__name__}: {bug}"))

    async def _carry_out(self, entries: Sequence[Entry]) -> None:
        trouble: Failure | None = None
        for wait_s in WAITS_S:
            if wait_s:
                await asyncio.sleep(wait_s)
            trouble = await self._try(Group(entries))
            if not isinstance(trouble, Unavailable):
                break
            log.warning("store_trouble", code=trouble.code, detail=trouble.detail, units=len(entries))
        metrics.COMMIT_UNITS.observe(len(entries))
        for entry in entries:
            entry.tell(trouble)
        self._units += len(entries)
        if trouble is None and self._database.kind == "postgresql" and self._units >= self._look_after:
            self._look_after = 2 * self._units
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            await self._database.read(analyse_grown)
        except Failure as failure:
            log.info("store_not_analysed", detail=failure.detail)  # another worker is at it, or PostgreSQL's own housekeeping

    async def _try(self, group: Group) -> Failure | None:
        """None when it is committed; `Unavailable` when it certainly is not and may be tried again; else what it is."""
        self._number += 1
        group.number = self._number
        try:
            if self._connection is None:
                self._connection = await self._database.writing.connect()
            if self._database.kind == "sqlite" or not await self._at_once(self._connection, group):
                await self._connection.run_sync(self._in_transaction, group)
        except ERRORS as error:
            await self._let_go()
            trouble = failure_of(error)
            return await self._find_out(group, trouble) if group.committing else trouble
        return None

    async def _at_once(self, connection: AsyncConnection, group: Group) -> bool:
        """Commit the group in one statement; False where it is not of the usual kind, and nothing was written."""
        usual = None if any(entry.job for entry in group.entries) else Usual.of(entry.unit for entry in group.entries)
        if usual is None:
            return False
        driver: Any = (await connection.get_raw_connection()).driver_connection
        try:
            await driver.execute("BEGIN")
            if not await self._one_statement.write(driver, usual, number=group.number, now=micros(self._clock.now())):
                await driver.execute("ROLLBACK")
                return False
            group.committing = True
            await driver.execute("COMMIT")
        except DRIVER_ERRORS as error:
            if not group.committing and await _taken_back(driver):
                return False  # kind by kind it shows whose fault that was
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        return True

    def _in_transaction(self, connection: Connection, group: Group) -> None:
        tenants = {draft.tenant for entry in group.entries for draft in entry.unit.drafts}
        try:
            heads = self._begun(connection, group, tenants)
            _carry(connection, group.entries)
        except SOMEBODYS_FAULT as error:
            connection.rollback()
            if _blameless(error):
                raise
            heads = self._begun(connection, group, tenants)
            _sort_out(connection, group.entries)
        chain(connection, [draft for entry in group.entries if entry.refusal is None for draft in entry.unit.drafts], heads)
        group.committing = True
        connection.commit()

    def _begun(self, connection: Connection, group: Group, tenants: Iterable[str]) -> Mapping[str, Head]:
        """Sign the transaction, and lock the ends of the audit trails before anything else."""
        if connection.dialect.name == "postgresql":
            connection.execute(NUMBERED, {"number": group.number, "now": micros(self._clock.now()), "writer": self._name})
        return locked_heads(connection, tenants)

    async def _find_out(self, group: Group, trouble: Failure) -> Failure | None:
        """What became of a commit that was cut off."""
        if self._database.kind == "sqlite":
            # The file is on this machine: an error of COMMIT other than a failing disk leaves the transaction open, and we took it back.
            return OutcomeUnknown("commit_in_doubt", trouble.detail) if "I/O" in trouble.detail else trouble
        loop = asyncio.get_running_loop()
        until = loop.time() + FIND_OUT_WITHIN_S
        while loop.time() < until:
            try:
                async with self._database.writing.connect() as connection:
                    last = (await connection.execute(LAST_NUMBER, {"writer": self._name})).scalar()
                return None if last == group.number else Unavailable("store_down", "the connection was lost before the commit")
            except ERRORS as error:
                log.warning("commit_in_doubt", detail=failure_of(error).detail)
                await asyncio.sleep(FIND_OUT_EVERY_S)
        return OutcomeUnknown("commit_in_doubt", f"the store did not come back to say: {trouble.detail}")

    async def _let_go(self) -> None:
        """Drop the connection: after an error nobody knows its state."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await let_go(connection)


async def _taken_back(driver: Any) -> bool:
    """Whether the transaction could be taken back, and the connection can be used again."""
    try:
        await driver.execute("ROLLBACK")
    except DRIVER_ERRORS:
        return False
    return True


def _carry(connection: Connection, entries: Sequence[Entry]) -> None:
    put(connection, (entry.unit for entry in entries))
    for entry in entries:
        entry.refusal = None
        if entry.job is not None:
            entry.answer = entry.job(connection)


def _sort_out(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write what can be written; an entry that is refused by itself is told why."""
    savepoint = connection.begin_nested()
    try:
        _carry(connection, entries)
    except SOMEBODYS_FAULT as error:
        if _blameless(error):
            raise
        savepoint.rollback()
        if len(entries) == 1:
            entries[0].refusal = error if isinstance(error, REFUSALS) else failure_of(error)
        else:
            half = len(entries) // 2
            _sort_out(connection, entries[:half])
            _sort_out(connection, entries[half:])
    else:
        savepoint.commit()


def _blameless(error: Exception) -> bool:
    """Whether it is the database that failed, and no unit."""
    return not isinstance(error, REFUSALS) and is_trouble(error)
