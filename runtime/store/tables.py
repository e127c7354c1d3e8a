"""The tables of the store, the same on PostgreSQL and SQLite.

Moments are whole microseconds since 1970, UTC. Amounts are text: SQLite turns NUMERIC into a binary float, and PostgreSQL's takes NaN.
Documents are bytes that the store never looks into. The columns of a table stand in the order of the fields of its struct in
`contract.py`. A partial index holds only what still waits for something, so that finished work does not make looking for it slower.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, Table, Text, text

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

# SQLite counts by itself only where the column is its INTEGER row id.
COUNTER = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _partly(name: str, *columns: str, where: str) -> Index:
    """An index over the rows for which the condition holds."""
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


def _table(name: str, *parts: Any, key: tuple[str, ...], **options: Any) -> Table:
    return Table(name, METADATA, *parts, PrimaryKeyConstraint(*key), **options)


ACTIVE = "status IN ('running', 'undoing')"
NOT_ENDED = "status NOT IN ('done', 'undone', 'cancelled')"
UNSETTLED = "state IN ('planned', 'sent', 'uncertain')"
UNTRANSLATED = "state IN ('new', 'failed')"
IS_DUE_ONCE = "due_at IS NOT NULL"
WAITS = "waiting_for <> ''"
IS_OPEN = "status = 'open'"
IS_UNSENT = "sent_at IS NULL"

INSTANCES = _table(
    "instances",
    *map(_text, ("tenant", "process", "key")),
    *map(_number, ("version", "position")),
    _text("status"),
    _bytes("memory"),
    *map(_text, ("entity", "correlation_id", "traceparent", "actor", "started_by", "waiting_for")),
    _number("due_at", nullable=True),
    _number("attempts"),
    _number("first_failed_at", nullable=True),
    Column("reason", Text, nullable=True),
    *map(_number, ("fence", "created_at", "updated_at")),
    Column("letter_id", Text, nullable=False, server_default=text("''")),
    Index("ix_instances_newest", "tenant", "created_at"),
    Index("ix_instances_correlation", "tenant", "correlation_id"),
    _partly("ix_instances_open", "tenant", "created_at", where=NOT_ENDED),
    _partly("ix_instances_due", "due_at", where=IS_DUE_ONCE),
    _partly("ix_instances_waiting", "tenant", "waiting_for", "created_at", where=WAITS),
    # Not by updated_at: an index over it would have to be written at every save.
    _partly("ix_instances_active", "status", where=ACTIVE),
    key=("tenant", "process", "key"),
    postgresql_with={"fillfactor": "70"},  # a row is saved many times: room for its next version on the same page
)

JOURNAL = _table(
    "journal",
    *map(_text, ("tenant", "process", "key")),
    _number("seq"),
    *map(_text, ("step", "kind", "asked", "answered", "connection", "detail")),
    _number("duration_ms"),
    _text("undo_type"),
    _bytes("undo"),
    _text("correlation_id"),
    _number("at"),
    key=("tenant", "process", "key", "seq"),
)

CHAIN = _table(
    "chain",
    *map(_text, ("tenant", "correlation_id", "process", "key")),
    key=("tenant", "correlation_id", "process", "key"),
)

OUTBOX = _table(
    "outbox",
    *map(_text, ("message_id", "queue")),
    _bytes("data"),
    *map(_number, ("created_at", "place")),
    _number("sent_at", nullable=True),
    _partly("ix_outbox_unsent", "created_at", "place", where=IS_UNSENT),
    key=("message_id",),
)

INBOX = _table("inbox", *map(_text, ("consumer", "message_id")), _number("at"), key=("consumer", "message_id"))

EFFECTS = _table(
    "effects",
    *map(_text, ("tenant", "key", "connection", "command", "state", "correlation_id")),
    _bytes("reply"),
    Column("failure", Text, nullable=True),
    _number("attempts"),
    _number("sent_at", nullable=True),
    _number("updated_at"),
    Index("ix_effects_correlation", "tenant", "correlation_id"),
    _partly("ix_effects_unsettled", "tenant", "state", where=UNSETTLED),
    key=("tenant", "key"),
)

LINKS = _table(
    "links",
    *map(_text, ("tenant", "kind", "our_id", "connection", "external_id", "external_number", "correlation_id")),
    Index("ix_links_external", "tenant", "connection", "kind", "external_id", "our_id"),
    key=("tenant", "kind", "our_id", "connection"),
)

IDEMPOTENCY = _table(
    "idempotency",
    *map(_text, ("tenant", "scope", "key", "fingerprint")),
    _number("status"),
    _text("headers"),
    _bytes("body"),
    *map(_number, ("created_at", "expires_at")),
    key=("tenant", "scope", "key"),
)

CASES = _table(
    "cases",
    *map(_text, ("tenant", "id", "kind", "process", "key", "status", "title", "amount", "currency", "owner", "correlation_id")),
    _bytes("document"),
    _text("resolution"),
    _number("opened_at"),
    _number("due_at", nullable=True),
    _number("closed_at", nullable=True),
    Index("ix_cases_oldest", "tenant", "opened_at"),
    _partly("ix_cases_open", "tenant", "opened_at", where=IS_OPEN),
    key=("tenant", "id"),
)

TRANSACTIONS = _table(
    "transactions",
    *map(_text, ("tenant", "correlation_id", "quote_id", "order_id", "entity", "customer", "amount", "currency", "stage")),
    _bytes("document"),
    _number("updated_at"),
    Index("ix_transactions_newest", "tenant", "updated_at"),
    key=("tenant", "correlation_id"),
)

RECEIVED = _table(
    "received",
    *map(_text, ("tenant", "connection", "event_id")),
    _bytes("body"),
    _text("headers"),
    _number("received_at"),
    *map(_text, ("state", "reason")),
    _partly("ix_received_untranslated", "state", "received_at", where=UNTRANSLATED),
    key=("tenant", "connection", "event_id"),
)

CURSORS = _table("cursors", *map(_text, ("name", "value")), key=("name",))

QUEUE = _table(
    "queue_messages",
    Column("seq", COUNTER, nullable=False, autoincrement=True),
    *map(_text, ("queue", "message_id")),
    _bytes("data"),
    *map(_number, ("attempts", "enqueued_at")),
    Index("ix_queue_messages_queue", "queue", "seq"),
    key=("seq",),
    sqlite_autoincrement=True,  # a number is never given twice, also when the newest message is gone
)

DEAD = _table(
    "dead_letters",
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    *map(_text, ("queue", "message_id")),
    _bytes("data"),
    *map(_number, ("attempts", "buried_at")),
    _text("reason"),
    Index("ix_dead_letters_queue", "queue", "seq"),
    key=("seq",),
)

LEASES = _table("leases", *map(_text, ("name", "holder")), _number("until"), key=("name", "holder"))

# The last transaction of each writer: after a lost connection it tells whether that transaction was committed.
WRITERS = _table("writers", _text("id"), *map(_number, ("batch", "at")), key=("id",))

# Append-only: the database itself refuses to change or remove a row (a trigger), and the chain shows it where somebody went around that.
AUDIT = _table(
    "audit",
    _text("tenant"),
    *map(_number, ("seq", "at")),
    *map(_text, ("actor", "subject", "correlation_id", "changes", "hash")),
    key=("tenant", "seq"),
)

# The end of each chain: a chain that ends earlier was cut off.
AUDIT_HEADS = _table("audit_heads", _text("tenant"), _number("seq"), _text("hash"), key=("tenant",))
