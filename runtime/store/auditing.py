"""The audit trail: one row for each unit that changes a state, chained by hashes, per tenant.

Nobody writes into it by name: the rows follow from what a unit writes, in the same transaction, so that no change can go without one and
none can stand for a change that was not made. ``hash`` is SHA-256 over the hash before it and the row; each change is named with its table,
its key, a word, and the SHA-256 of what was written, so that a journal line that is edited later no longer agrees with its audit row.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from runtime.context import current
from runtime.store import contract as c
from runtime.store.bulk import inserting, updating
from runtime.store.rows import Row
from runtime.store.tables import AUDIT, AUDIT_HEADS, JOURNAL

GENESIS = "0" * 64
NAMES = ("tenant", "seq", "at", "actor", "subject", "correlation_id", "changes", "hash")

Named = tuple[str, str, str]  # the table, the key in it, and a word for what happened


class Draft(msgspec.Struct, frozen=True):
    """An audit row before it has its place in the chain: what a unit changes for one tenant."""

    tenant: str
    at: int
    actor: str
    subject: str
    correlation_id: str
    changes: str


def _line(line: c.JournalLine) -> Named:
    return "journal", f"{line.process}/{line.key}#{line.seq}", f"{line.kind} {line.step}".strip()


# What counts as a change of state, and how it is called. Read models, cursors, links and messages follow from these and are not named.
CHANGES: Mapping[type, Callable[[Any], tuple[str, Named]]] = {
    c.AddLine: lambda w: (
        w.line.tenant,
        ("journal", f"{w.line.process}/{w.line.key}#{w.line.seq}", f"{w.line.kind} {w.line.step}".strip()),
    ),
    c.PutEffect: lambda w: (w.effect.tenant, ("effect", w.effect.key, w.effect.state)),
    c.PutCase: lambda w: (w.case.tenant, ("case", w.case.id, w.case.status)),
    c.PutIdempotency: lambda w: (w.record.tenant, ("request", f"{w.record.scope} {w.record.key}", "accepted")),
    c.Keep: lambda w: (w.received.tenant, ("received", f"{w.received.connection}/{w.received.event_id}", "kept")),
    c.MarkReceived: lambda w: (w.tenant, ("received", f"{w.connection}/{w.event_id}", w.state)),
}


def digest(row: Sequence[Any]) -> str:
    """SHA-256 of the cells of a row as the store keeps them."""
    return hashlib.sha256(msgspec.json.encode(row)).hexdigest()


def drafts_of(unit: Iterable[Any], rows: Iterable[Row], at: int) -> tuple[Draft, ...]:
    """The audit rows of a unit; ``rows`` are what it writes, one by one, ``at`` is in microseconds since 1970."""
    changes: dict[str, list[tuple[str, str, str, str]]] = {}
    subject = correlation_id = ""
    for write, row in zip(unit, rows, strict=True):
        if isinstance(write, c.SaveInstance | c.StartInstance):
            subject, correlation_id = f"{write.instance.process}/{write.instance.key}", write.instance.correlation_id
        name = CHANGES.get(type(write))
        if name is not None:
            tenant, named = name(write)
            changes.setdefault(tenant, []).append((*named, digest(row)))
    if not changes:
        return ()
    here = current()
    return tuple(
        Draft(
            tenant=tenant,
            at=at,
            actor=here.actor,
            subject=subject or named[0][1],
            correlation_id=correlation_id or here.correlation_id,
            changes=msgspec.json.encode(named).decode(),
        )
        for tenant, named in changes.items()
    )


def link(before: str, cells: Row) -> str:
    """The hash of a row that follows another; ``cells`` are those of the row without its hash, in the order of the table."""
    return hashlib.sha256(before.encode() + msgspec.json.encode(cells)).hexdigest()


Head = tuple[int, str]  # sequence number and hash

INSERT_ROWS = inserting(AUDIT, NAMES, lambda statement: statement)
MOVE_HEADS = updating(AUDIT_HEADS, ("tenant", "seq", "hash"), sets=("seq", "hash"), where=("tenant",))
_FIRST: dict[str, Any] = {"postgresql": postgresql.insert(AUDIT_HEADS), "sqlite": sqlite.insert(AUDIT_HEADS)}
_BEGIN = {kind: insert.on_conflict_do_nothing() for kind, insert in _FIRST.items()}
_HEAD = select(AUDIT_HEADS.c.seq, AUDIT_HEADS.c.hash).where(AUDIT_HEADS.c.tenant == bindparam("of")).with_for_update()


def chained(drafts: Iterable[Draft], heads: Mapping[str, Head]) -> tuple[list[Row], dict[str, Head]]:
    """The rows with their places in their tenants' chains, and where the chains then end."""
    ends, rows = dict(heads), []
    for draft in drafts:
        seq, before = ends[draft.tenant]
        cells = (draft.tenant, seq + 1, draft.at, draft.actor, draft.subject, draft.correlation_id, draft.changes)
        ends[draft.tenant] = (seq + 1, link(before, cells))
        rows.append((*cells, ends[draft.tenant][1]))
    return rows, ends


def locked_heads(connection: Connection, tenants: Iterable[str]) -> dict[str, Head]:
    """The ends of chains, locked until the transaction ends. To be taken before any other row, and in this order: so no two writers ever
    wait for each other.
    """
    return {tenant: _head(connection, tenant) for tenant in sorted(set(tenants))}


def chain(connection: Connection, drafts: Sequence[Draft], heads: Mapping[str, Head]) -> None:
    """Append the rows to their tenants' chains, whose heads are locked."""
    if drafts:
        rows, ends = chained(drafts, heads)
        INSERT_ROWS.put(connection, rows)
        MOVE_HEADS.put(connection, [(tenant, *end) for tenant, end in ends.items()])


def _head(connection: Connection, tenant: str) -> Head:
    found = connection.execute(_HEAD, {"of": tenant}).first()
    if found is None:
        connection.execute(_BEGIN[connection.dialect.name], {"tenant": tenant, "seq": 0, "hash": GENESIS})
        found = connection.execute(_HEAD, {"of": tenant}).one()
    return found.seq, found.hash


# reading

_PAGE = select(*(AUDIT.c[name] for name in NAMES)).where(AUDIT.c.tenant == bindparam("of"), AUDIT.c.seq > bindparam("after"))
_PAGE = _PAGE.order_by(AUDIT.c.seq).limit(bindparam("limit"))
_HEADS = select(AUDIT_HEADS.c.tenant, AUDIT_HEADS.c.seq, AUDIT_HEADS.c.hash).order_by(AUDIT_HEADS.c.tenant)


def page(connection: Connection, tenant: str, after_seq: int, limit: int) -> tuple[c.AuditRow, ...]:
    """Rows of a tenant after a sequence number, oldest first."""
    rows = connection.execute(_PAGE, {"of": tenant, "after": after_seq, "limit": limit})
    return tuple(c.AuditRow(**dict(zip(NAMES, row, strict=True))) for row in rows)


def heads(connection: Connection) -> tuple[c.AuditHead, ...]:
    """The ends of all chains."""
    return tuple(c.AuditHead(tenant=row.tenant, seq=row.seq, hash=row.hash) for row in connection.execute(_HEADS))


_LINE_NAME = tuple_(JOURNAL.c.process, JOURNAL.c.key, JOURNAL.c.seq)
_LINES = select(JOURNAL).where(JOURNAL.c.tenant == bindparam("of"), _LINE_NAME.in_(bindparam("names", expanding=True)))
_SINCE = select(func.count()).select_from(JOURNAL).where(JOURNAL.c.tenant == bindparam("of"), JOURNAL.c.at >= bindparam("since"))


def line_digests(connection: Connection, tenant: str, names: Sequence[tuple[str, str, int]]) -> dict[str, str]:
    """The digests of journal lines as they stand now, by ``process/key#seq``; a line that is not there is not among them."""
    rows = connection.execute(_LINES, {"of": tenant, "names": list(names)}) if names else ()
    return {f"{row.process}/{row.key}#{row.seq}": digest(tuple(row)) for row in rows}


def lines_since(connection: Connection, tenant: str, since: int) -> int:
    """How many journal lines a tenant has from a moment on (microseconds since 1970)."""
    return connection.execute(_SINCE, {"of": tenant, "since": since}).scalar_one()
