"""What can be read from the store. Each function is one question, asked on a connection that sees what is committed."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, select, text, tuple_, union
from sqlalchemy.sql import ColumnElement

from runtime.bus.contract import Address
from runtime.bus.wire import Envelope, decode
from runtime.store import tables as t
from runtime.store.contract import (
    ENDED,
    Case,
    CaseStatus,
    Effect,
    EffectState,
    IdempotencyRecord,
    Instance,
    JournalLine,
    Link,
    OutboxRow,
    Received,
    Status,
    Transaction,
    VersionInUse,
)
from runtime.store.rows import micros
from runtime.store.writing import CASE, EFFECT, IDEMPOTENCY, INSTANCE, LINE, LINK, RECEIVED, TRANSACTION

_UNSETTLED: tuple[EffectState, ...] = ("planned", "sent", "uncertain")


def _where(table: Any, *names: str) -> ColumnElement[bool]:
    return and_(*(table.c[name] == bindparam(name) for name in names))


_INSTANCE = select(t.INSTANCES).where(_where(t.INSTANCES, "tenant", "process", "key"))
_CORRELATION = select(t.INSTANCES.c.correlation_id).where(_where(t.INSTANCES, "tenant", "process", "key"))
_JOURNAL = select(t.JOURNAL).where(_where(t.JOURNAL, "tenant", "process", "key")).order_by(t.JOURNAL.c.seq)
# A condition that repeats a partial index's own is what lets the database use it.
_WAITING = (
    select(t.INSTANCES)
    .where(_where(t.INSTANCES, "tenant", "waiting_for"), text(t.WAITS), text(t.NOT_ENDED))
    .order_by(t.INSTANCES.c.created_at)
)
_DUE = (
    select(t.INSTANCES)
    .where(t.INSTANCES.c.due_at <= bindparam("now"), text(t.NOT_ENDED))
    .order_by(t.INSTANCES.c.due_at)
    .limit(bindparam("limit"))
)
_STUCK = (
    select(t.INSTANCES)
    .where(text(t.ACTIVE), t.INSTANCES.c.due_at.is_(None), t.INSTANCES.c.updated_at < bindparam("before"))
    .order_by(t.INSTANCES.c.updated_at)
    .limit(bindparam("limit"))
)
_VERSIONS = (
    select(t.INSTANCES.c.process, t.INSTANCES.c.version, func.count())
    .where(text(t.NOT_ENDED))
    .group_by(t.INSTANCES.c.process, t.INSTANCES.c.version)
    .order_by(t.INSTANCES.c.process, t.INSTANCES.c.version)
)
_EFFECT = select(t.EFFECTS).where(_where(t.EFFECTS, "tenant", "key"))
_LINKS = select(t.LINKS).where(_where(t.LINKS, "tenant", "kind", "our_id")).order_by(t.LINKS.c.connection)
_LINK_FROM = select(t.LINKS).where(_where(t.LINKS, "tenant", "connection", "kind", "external_id")).order_by(t.LINKS.c.our_id).limit(1)
_IDEMPOTENCY = select(t.IDEMPOTENCY).where(_where(t.IDEMPOTENCY, "tenant", "scope", "key"), t.IDEMPOTENCY.c.expires_at > bindparam("now"))
_SEEN = select(t.INBOX.c.at).where(_where(t.INBOX, "consumer", "message_id"))
_CASE = select(t.CASES).where(_where(t.CASES, "tenant", "id"))
_TRANSACTION = select(t.TRANSACTIONS).where(_where(t.TRANSACTIONS, "tenant", "correlation_id"))
_TRANSACTIONS = (
    select(t.TRANSACTIONS).where(_where(t.TRANSACTIONS, "tenant")).order_by(t.TRANSACTIONS.c.updated_at.desc()).limit(bindparam("limit"))
)
_RECEIVED = select(t.RECEIVED).where(_where(t.RECEIVED, "state")).order_by(t.RECEIVED.c.received_at).limit(bindparam("limit"))
_RECEIVED_ONE = select(t.RECEIVED).where(_where(t.RECEIVED, "tenant", "connection", "event_id"))
_CURSOR = select(t.CURSORS.c.value).where(_where(t.CURSORS, "name"))
_UNSENT = (
    select(t.OUTBOX.c.queue, t.OUTBOX.c.data)
    .where(text(t.IS_UNSENT), t.OUTBOX.c.created_at < bindparam("before"))
    .order_by(t.OUTBOX.c.created_at, t.OUTBOX.c.place)
    .limit(bindparam("limit"))
)


def instance(connection: Connection, tenant: str, process: str, key: str) -> Instance | None:
    """One instance."""
    row = connection.execute(_INSTANCE, {"tenant": tenant, "process": process, "key": key}).first()
    return None if row is None else INSTANCE.from_row(row)


def instances(
    connection: Connection, tenant: str, process: str, status: Sequence[Status], correlation_id: str, limit: int
) -> tuple[Instance, ...]:
    """Instances of a tenant, newest first; those of a transaction oldest first."""
    i = t.INSTANCES.c
    query: Select[Any] = select(t.INSTANCES).where(i.tenant == tenant).limit(limit)
    if process:
        query = query.where(i.process == process)
    if status:
        query = query.where(i.status.in_(status))
        if not set(status) & set(ENDED):
            query = query.where(text(t.NOT_ENDED))
    if correlation_id:
        query = _of_chain(query, tenant, correlation_id).order_by(i.created_at, i.process, i.key)
    else:
        query = query.order_by(i.created_at.desc(), i.process, i.key)
    return tuple(map(INSTANCE.from_row, connection.execute(query)))


def instances_between(
    connection: Connection, tenant: str, since: int, until: int, process: str, after: tuple[int, str, str], limit: int
) -> tuple[Instance, ...]:
    """Instances that began in a span of time (microseconds since 1970), oldest first, after a place in that order."""
    i = t.INSTANCES.c
    place = tuple_(i.created_at, i.process, i.key)
    query = select(t.INSTANCES).where(i.tenant == tenant, i.created_at >= since, i.created_at < until, place > tuple_(*after))
    if process:
        query = query.where(i.process == process)
    return tuple(map(INSTANCE.from_row, connection.execute(query.order_by(i.created_at, i.process, i.key).limit(limit))))


def outbox_since(connection: Connection, since: int, after: str, limit: int) -> tuple[OutboxRow, ...]:
    """What was sent from a moment on (microseconds since 1970), in the order of the message ids, after one of them."""
    o = t.OUTBOX.c
    query = select(o.queue, o.data).where(o.message_id > after, o.created_at >= since).order_by(o.message_id).limit(limit)
    return tuple(OutboxRow(address=Address(queue), letter=_letter(data)) for queue, data in connection.execute(query))


def outbox_row(connection: Connection, message_id: str) -> OutboxRow | None:
    """A message that was once sent; None where it is not kept."""
    o = t.OUTBOX.c
    row = connection.execute(select(o.queue, o.data).where(o.message_id == message_id)).first()
    return None if row is None else OutboxRow(address=Address(row[0]), letter=_letter(row[1]))


def _of_chain(query: Select[Any], tenant: str, correlation_id: str) -> Select[Any]:
    """Only the instances that bear the correlation id or were chained to it. A union, because OR would look at every instance."""
    i, c = t.INSTANCES.c, t.CHAIN.c
    own = select(i.process, i.key).where(i.tenant == tenant, i.correlation_id == correlation_id)
    chained = select(c.process, c.key).where(c.tenant == tenant, c.correlation_id == correlation_id)
    names = union(own, chained).subquery()
    return query.join(names, and_(i.process == names.c.process, i.key == names.c.key))


def waiting_for(connection: Connection, tenant: str, event_key: str) -> tuple[Instance, ...]:
    """Who waits for an event, longest first."""
    return tuple(map(INSTANCE.from_row, connection.execute(_WAITING, {"tenant": tenant, "waiting_for": event_key})))


def due(connection: Connection, now: dt.datetime, stuck_before: dt.datetime, limit: int) -> tuple[Instance, ...]:
    """Whose time has come, then who was left lying; longest first."""
    rows = list(connection.execute(_DUE, {"now": micros(now), "limit": limit}))
    if len(rows) < limit:
        rows += connection.execute(_STUCK, {"before": micros(stuck_before), "limit": limit - len(rows)})
    return tuple(map(INSTANCE.from_row, rows))


def correlation_of(connection: Connection, tenant: str, process: str, key: str) -> str:
    """The correlation id of an instance; empty where there is none."""
    return connection.execute(_CORRELATION, {"tenant": tenant, "process": process, "key": key}).scalar() or ""


def versions_in_use(connection: Connection) -> tuple[VersionInUse, ...]:
    """The versions of tables on which something runs or waits, or is parked."""
    return tuple(VersionInUse(process=p, version=v, instances=count) for p, v, count in connection.execute(_VERSIONS))


def journal(connection: Connection, tenant: str, process: str, key: str) -> tuple[JournalLine, ...]:
    """The journal of an instance, in its order."""
    return tuple(map(LINE.from_row, connection.execute(_JOURNAL, {"tenant": tenant, "process": process, "key": key})))


def effect(connection: Connection, tenant: str, key: str) -> Effect | None:
    """One effect."""
    row = connection.execute(_EFFECT, {"tenant": tenant, "key": key}).first()
    return None if row is None else EFFECT.from_row(row)


def effects(connection: Connection, tenant: str, state: Sequence[EffectState], correlation_id: str, limit: int) -> tuple[Effect, ...]:
    """Effects of a tenant, the longest untouched first."""
    e = t.EFFECTS.c
    query: Select[Any] = select(t.EFFECTS).where(e.tenant == tenant).order_by(e.updated_at, e.key).limit(limit)
    if state:
        query = query.where(e.state.in_(state))
        if not set(state) - set(_UNSETTLED):
            query = query.where(text(t.UNSETTLED))
    if correlation_id:
        query = query.where(e.correlation_id == correlation_id)
    return tuple(map(EFFECT.from_row, connection.execute(query)))


def links(connection: Connection, tenant: str, kind: str, our_id: str) -> tuple[Link, ...]:
    """What the vendors call a thing of ours."""
    return tuple(map(LINK.from_row, connection.execute(_LINKS, {"tenant": tenant, "kind": kind, "our_id": our_id})))


def link_from(connection: Connection, tenant: str, external: str, kind: str, external_id: str) -> Link | None:
    """What we call a thing of a vendor's; ``external`` names the connection to the vendor."""
    row = connection.execute(_LINK_FROM, {"tenant": tenant, "connection": external, "kind": kind, "external_id": external_id}).first()
    return None if row is None else LINK.from_row(row)


def idempotency(connection: Connection, tenant: str, scope: str, key: str, now: dt.datetime) -> IdempotencyRecord | None:
    """The stored answer, unless it has expired."""
    row = connection.execute(_IDEMPOTENCY, {"tenant": tenant, "scope": scope, "key": key, "now": micros(now)}).first()
    return None if row is None else IDEMPOTENCY.from_row(row)


def seen(connection: Connection, consumer: str, message_id: str) -> bool:
    """Whether a consumer has handled a message."""
    return connection.execute(_SEEN, {"consumer": consumer, "message_id": message_id}).first() is not None


def case(connection: Connection, tenant: str, case_id: str) -> Case | None:
    """One case."""
    row = connection.execute(_CASE, {"tenant": tenant, "id": case_id}).first()
    return None if row is None else CASE.from_row(row)


def cases(connection: Connection, tenant: str, kind: str, status: CaseStatus | None, limit: int) -> tuple[Case, ...]:
    """Cases of a tenant, oldest first."""
    c = t.CASES.c
    query: Select[Any] = select(t.CASES).where(c.tenant == tenant).order_by(c.opened_at, c.id).limit(limit)
    if kind:
        query = query.where(c.kind == kind)
    if status == "open":
        query = query.where(text(t.IS_OPEN))
    elif status is not None:
        query = query.where(c.status == status)
    return tuple(map(CASE.from_row, connection.execute(query)))


def transaction(connection: Connection, tenant: str, correlation_id: str) -> Transaction | None:
    """The read model of one transaction."""
    row = connection.execute(_TRANSACTION, {"tenant": tenant, "correlation_id": correlation_id}).first()
    return None if row is None else TRANSACTION.from_row(row)


def transactions(connection: Connection, tenant: str, limit: int) -> tuple[Transaction, ...]:
    """The read models of a tenant, newest first."""
    return tuple(map(TRANSACTION.from_row, connection.execute(_TRANSACTIONS, {"tenant": tenant, "limit": limit})))


def received(connection: Connection, state: str, limit: int) -> tuple[Received, ...]:
    """Outside events, oldest first."""
    query = _RECEIVED if state == "translated" else _RECEIVED.where(text(t.UNTRANSLATED))
    return tuple(map(RECEIVED.from_row, connection.execute(query, {"state": state, "limit": limit})))


def received_one(connection: Connection, tenant: str, connection_name: str, event_id: str) -> Received | None:
    """One outside event."""
    key = {"tenant": tenant, "connection": connection_name, "event_id": event_id}
    row = connection.execute(_RECEIVED_ONE, key).first()
    return None if row is None else RECEIVED.from_row(row)


def cursor(connection: Connection, name: str) -> str:
    """How far a poll has read; empty before its first time."""
    return connection.execute(_CURSOR, {"name": name}).scalar() or ""


def unsent(connection: Connection, older_than: dt.datetime, limit: int) -> tuple[OutboxRow, ...]:
    """What was committed before a moment and is not marked as sent, in the order in which it was handed in."""
    rows = connection.execute(_UNSENT, {"before": micros(older_than), "limit": limit})
    return tuple(OutboxRow(address=Address(queue), letter=_letter(data)) for queue, data in rows)


def _letter(data: bytes) -> Envelope:
    letter: Envelope = decode(data)
    return letter
