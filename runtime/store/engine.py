"""The store on PostgreSQL and SQLite: the contract's methods, each a question to `reading` or an entry for the one writer."""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from sqlalchemy import Connection, delete, insert

from canonical.failures import Misconfigured
from runtime.clock import Clock
from runtime.store import auditing, leases, queues, reading
from runtime.store import contract as c
from runtime.store.committing import Writer
from runtime.store.database import Database, is_missing
from runtime.store.faults import ERRORS, failure_of
from runtime.store.migrations import version_at, wanted_version
from runtime.store.rows import clean, micros
from runtime.store.tables import WRITERS
from runtime.store.writing import NOTHING, Dequeue, Enqueue, MarkSent, prepare

P = ParamSpec("P")
R = TypeVar("R")

READERS = 5
Place = tuple[dt.datetime, str, str]  # when an instance began, its process and key
BEGINNING: Place = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), "", "")
FORGET_WRITERS_AFTER = dt.timedelta(days=7)


def open_store(url: str, clock: Clock, *, readers: int = READERS) -> "SqlStore":
    """The store at an address: ``sqlite:///path`` or ``postgresql://user:password@host/name``. Nothing is connected before `start`.

    Raises `Misconfigured` for an address that is neither.
    """
    return SqlStore(Database(url, readers=readers), clock)


class SqlStore:
    """See `runtime.store.contract`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._name = str(uuid.uuid4())
        self._writer = Writer(database, clock, self._name)

    async def start(self) -> None:
        version = "" if is_missing(self._database.address) else await self._read(version_at)
        if version != wanted_version():
            await self._database.close()
            raise Misconfigured("schema_outdated", f"the store's schema is {version or 'empty'}, not {wanted_version()}: run q2c migrate")
        try:
            await self._sign_in()
        except ERRORS as error:
            raise failure_of(error) from error
        self._writer.start()

    async def _sign_in(self) -> None:
        now = self._clock.now()
        async with self._database.writing.begin() as connection:
            await connection.run_sync(leases.sweep, micros(now))
            await connection.execute(delete(WRITERS).where(WRITERS.c.at < micros(now - FORGET_WRITERS_AFTER)))
            await connection.execute(insert(WRITERS).values(id=self._name, batch=0, at=micros(now)))

    async def stop(self) -> None:
        await self._writer.stop()
        await self._database.close()

    async def commit(self, unit: c.Unit) -> None:
        if unit:
            await self._writer.write(prepare(unit, self._clock.now()))

    async def _read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **options: P.kwargs) -> R:
        texts = [value for value in args if type(value) is str]
        clean(texts, ["name"] * len(texts))
        return await self._database.read(query, *args, **options)

    async def _do(self, job: Callable[[Connection], R], *texts: str) -> R:
        clean(texts, ["name"] * len(texts))
        answer: R = await self._writer.write(NOTHING, job)
        return answer

    # instances and their journal

    async def instance(self, tenant: str, process: str, key: str) -> c.Instance | None:
        return await self._read(reading.instance, tenant, process, key)

    async def instances(
        self, tenant: str, *, process: str = "", status: Sequence[c.Status] = (), correlation_id: str = "", limit: int = 100
    ) -> tuple[c.Instance, ...]:
        return await self._read(reading.instances, tenant, process, status, correlation_id, limit)

    async def instances_between(
        self, tenant: str, since: dt.datetime, until: dt.datetime, *, process: str = "", after: Place = BEGINNING, limit: int = 500
    ) -> tuple[c.Instance, ...]:
        span = (micros(since), micros(until))
        place = (micros(after[0]), after[1], after[2])
        return await self._read(reading.instances_between, tenant, *span, process, place, limit)

    async def outbox_since(self, since: dt.datetime, *, after: str = "", limit: int = 500) -> tuple[c.OutboxRow, ...]:
        return await self._read(reading.outbox_since, micros(since), after, limit)

    async def outbox_row(self, message_id: str) -> c.OutboxRow | None:
        return await self._read(reading.outbox_row, message_id)

    async def claim(self, tenant: str, process: str, key: str) -> c.Instance | None:
        return await self._do(partial(leases.claim, tenant=tenant, process=process, key=key, now=self._now()), tenant, process, key)

    async def waiting_for(self, tenant: str, event_key: str) -> tuple[c.Instance, ...]:
        return await self._read(reading.waiting_for, tenant, event_key)

    async def due(self, now: dt.datetime, *, stuck_before: dt.datetime, limit: int = 100) -> tuple[c.Instance, ...]:
        return await self._read(reading.due, now, stuck_before, limit)

    async def versions_in_use(self) -> tuple[c.VersionInUse, ...]:
        return await self._read(reading.versions_in_use)

    async def correlation_of(self, tenant: str, process: str, key: str) -> str:
        return await self._read(reading.correlation_of, tenant, process, key)

    async def journal(self, tenant: str, process: str, key: str) -> tuple[c.JournalLine, ...]:
        return await self._read(reading.journal, tenant, process, key)

    # effects, links, idempotency records, messages that were seen

    async def effect(self, tenant: str, key: str) -> c.Effect | None:
        return await self._read(reading.effect, tenant, key)

    async def effects(
        self, tenant: str, *, state: Sequence[c.EffectState] = (), correlation_id: str = "", limit: int = 100
    ) -> tuple[c.Effect, ...]:
        return await self._read(reading.effects, tenant, state, correlation_id, limit)

    async def links(self, tenant: str, *, kind: str, our_id: str) -> tuple[c.Link, ...]:
        return await self._read(reading.links, tenant, kind, our_id)

    async def link_from(self, tenant: str, *, connection: str, kind: str, external_id: str) -> c.Link | None:
        return await self._read(reading.link_from, tenant, connection, kind, external_id)

    async def idempotency(self, tenant: str, scope: str, key: str, now: dt.datetime) -> c.IdempotencyRecord | None:
        return await self._read(reading.idempotency, tenant, scope, key, now)

    async def seen(self, consumer: str, message_id: str) -> bool:
        return await self._read(reading.seen, consumer, message_id)

    # what people and read models look at

    async def case(self, tenant: str, case_id: str) -> c.Case | None:
        return await self._read(reading.case, tenant, case_id)

    async def cases(self, tenant: str, *, kind: str = "", status: c.CaseStatus | None = None, limit: int = 100) -> tuple[c.Case, ...]:
        return await self._read(reading.cases, tenant, kind, status, limit)

    async def transaction(self, tenant: str, correlation_id: str) -> c.Transaction | None:
        return await self._read(reading.transaction, tenant, correlation_id)

    async def transactions(self, tenant: str, *, limit: int = 100) -> tuple[c.Transaction, ...]:
        return await self._read(reading.transactions, tenant, limit)

    # the outside: events, polls, the outbox

    async def received(self, *, state: Literal["new", "translated", "failed"] = "new", limit: int = 100) -> tuple[c.Received, ...]:
        return await self._read(reading.received, state, limit)

    async def received_one(self, tenant: str, connection: str, event_id: str) -> c.Received | None:
        return await self._read(reading.received_one, tenant, connection, event_id)

    async def cursor(self, name: str) -> str:
        return await self._read(reading.cursor, name)

    async def unsent(self, *, older_than: dt.datetime, limit: int = 200) -> tuple[c.OutboxRow, ...]:
        return await self._read(reading.unsent, older_than, limit)

    async def mark_sent(self, message_ids: Sequence[str]) -> None:
        await self._put([MarkSent(message_id) for message_id in message_ids])

    async def _put(self, writes: Sequence[Any]) -> None:
        if writes:
            await self._writer.write(prepare(writes, self._clock.now()))

    # the queues of the embedded bus

    async def enqueue(self, queue: str, message_id: str, data: bytes, *, attempts: int = 0) -> None:
        await self._put([Enqueue(queue, message_id, data, attempts)])

    async def queued(self, queue: str, *, after_seq: int, limit: int = 100) -> tuple[c.QueuedMessage, ...]:
        return await self._read(queues.queued, queue, after_seq, limit)

    async def dequeue(self, seq: int) -> None:
        await self._put([Dequeue(seq)])

    async def count_attempt(self, seq: int) -> int:
        return await self._do(partial(queues.count_attempt, seq=seq))

    async def bury(self, seq: int, reason: str) -> None:
        # A reason may quote what could not be read, NUL characters and all.
        text = reason.replace("\x00", "�").encode("utf-8", "replace").decode()
        await self._do(partial(queues.bury, seq=seq, reason=text, now=self._now()))

    async def buried(self, queue: str, *, limit: int = 100) -> tuple[tuple[c.QueuedMessage, str], ...]:
        return await self._read(queues.buried, queue, limit)

    async def exhume(self, seq: int) -> bool:
        return await self._do(partial(queues.exhume, seq=seq, now=self._now()))

    # leases

    async def lease(self, name: str, holder: str, *, slots: int, until: dt.datetime, now: dt.datetime) -> bool:
        job = partial(leases.lease, name=name, holder=holder, slots=slots, until=until, now=now)
        return await self._do(job, name, holder)

    async def release(self, name: str, holder: str) -> None:
        await self._do(partial(leases.release, name=name, holder=holder), name, holder)

    # the audit trail

    async def audit(self, tenant: str, *, after_seq: int = 0, limit: int = 1000) -> tuple[c.AuditRow, ...]:
        return await self._read(auditing.page, tenant, after_seq, limit)

    async def audit_heads(self) -> tuple[c.AuditHead, ...]:
        return await self._read(auditing.heads)

    async def line_digests(self, tenant: str, names: Sequence[tuple[str, str, int]]) -> dict[str, str]:
        return await self._read(auditing.line_digests, tenant, names)

    async def lines_since(self, tenant: str, since: int) -> int:
        return await self._read(auditing.lines_since, tenant, since)

    def _now(self) -> int:
        return micros(self._clock.now())
