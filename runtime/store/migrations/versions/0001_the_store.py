"""The store as it begins.

The schema is written out here and not taken from `runtime.store.tables`, which goes on changing; a test compares the two.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def moments_or_none(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=True) for name in names]


def documents(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]


def table(name: str, *columns: list[sa.Column[Any]], key: tuple[str, ...], **options: Any) -> None:
    flat = [column for group in columns for column in group]
    op.create_table(name, *flat, sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"), **options)


def index(name: str, of: str, *columns: str, where: str = "") -> None:
    condition: dict[str, Any] = {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)} if where else {}
    op.create_index(name, of, list(columns), **condition)


def upgrade() -> None:
    instances()
    effects()
    messages()
    outside()
    people()
    machinery()


def instances() -> None:
    table(
        "instances",
        texts("tenant", "process", "key"),
        numbers("version", "position"),
        texts("status"),
        documents("memory"),
        texts("entity", "correlation_id", "traceparent", "actor", "started_by", "waiting_for"),
        moments_or_none("due_at"),
        numbers("attempts"),
        moments_or_none("first_failed_at"),
        [sa.Column("reason", sa.Text(), nullable=True)],
        numbers("fence", "created_at", "updated_at"),
        key=("tenant", "process", "key"),
        postgresql_with={"fillfactor": "70"},
    )
    index("ix_instances_newest", "instances", "tenant", "created_at")
    index("ix_instances_correlation", "instances", "tenant", "correlation_id")
    index("ix_instances_open", "instances", "tenant", "created_at", where="status NOT IN ('done', 'undone', 'cancelled')")
    index("ix_instances_due", "instances", "due_at", where="due_at IS NOT NULL")
    index("ix_instances_waiting", "instances", "tenant", "waiting_for", "created_at", where="waiting_for <> ''")
    index("ix_instances_active", "instances", "status", where="status IN ('running', 'undoing')")
    table(
        "journal",
        texts("tenant", "process", "key"),
        numbers("seq"),
        texts("step", "kind", "asked", "answered", "connection", "detail"),
        numbers("duration_ms"),
        texts("undo_type"),
        documents("undo"),
        texts("correlation_id"),
        numbers("at"),
        key=("tenant", "process", "key", "seq"),
    )
    table("chain", texts("tenant", "correlation_id", "process", "key"), key=("tenant", "correlation_id", "process", "key"))


def effects() -> None:
    table(
        "effects",
        texts("tenant", "key", "connection", "command", "state", "correlation_id"),
        documents("reply"),
        [sa.Column("failure", sa.Text(), nullable=True)],
        numbers("attempts"),
        moments_or_none("sent_at"),
        numbers("updated_at"),
        key=("tenant", "key"),
    )
    index("ix_effects_correlation", "effects", "tenant", "correlation_id")
    index("ix_effects_unsettled", "effects", "tenant", "state", where="state IN ('planned', 'sent', 'uncertain')")
    table(
        "links",
        texts("tenant", "kind", "our_id", "connection", "external_id", "external_number", "correlation_id"),
        key=("tenant", "kind", "our_id", "connection"),
    )
    index("ix_links_external", "links", "tenant", "connection", "kind", "external_id", "our_id")


def messages() -> None:
    table(
        "outbox",
        texts("message_id", "queue"),
        documents("data"),
        numbers("created_at", "place"),
        moments_or_none("sent_at"),
        key=("message_id",),
    )
    index("ix_outbox_unsent", "outbox", "created_at", "place", where="sent_at IS NULL")
    table("inbox", texts("consumer", "message_id"), numbers("at"), key=("consumer", "message_id"))
    counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    table(
        "queue_messages",
        [sa.Column("seq", counter, autoincrement=True, nullable=False)],
        texts("queue", "message_id"),
        documents("data"),
        numbers("attempts", "enqueued_at"),
        key=("seq",),
        sqlite_autoincrement=True,
    )
    index("ix_queue_messages_queue", "queue_messages", "queue", "seq")
    table(
        "dead_letters",
        [sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False)],
        texts("queue", "message_id"),
        documents("data"),
        numbers("attempts", "buried_at"),
        texts("reason"),
        key=("seq",),
    )
    index("ix_dead_letters_queue", "dead_letters", "queue", "seq")


def outside() -> None:
    table(
        "idempotency",
        texts("tenant", "scope", "key", "fingerprint"),
        numbers("status"),
        texts("headers"),
        documents("body"),
        numbers("created_at", "expires_at"),
        key=("tenant", "scope", "key"),
    )
    table(
        "received",
        texts("tenant", "connection", "event_id"),
        documents("body"),
        texts("headers"),
        numbers("received_at"),
        texts("state", "reason"),
        key=("tenant", "connection", "event_id"),
    )
    index("ix_received_untranslated", "received", "state", "received_at", where="state IN ('new', 'failed')")
    table("cursors", texts("name", "value"), key=("name",))


def people() -> None:
    table(
        "cases",
        texts("tenant", "id", "kind", "process", "key", "status", "title", "amount", "currency", "owner", "correlation_id"),
        documents("document"),
        texts("resolution"),
        numbers("opened_at"),
        moments_or_none("due_at", "closed_at"),
        key=("tenant", "id"),
    )
    index("ix_cases_oldest", "cases", "tenant", "opened_at")
    index("ix_cases_open", "cases", "tenant", "opened_at", where="status = 'open'")
    table(
        "transactions",
        texts("tenant", "correlation_id", "quote_id", "order_id", "entity", "customer", "amount", "currency", "stage"),
        documents("document"),
        numbers("updated_at"),
        key=("tenant", "correlation_id"),
    )
    index("ix_transactions_newest", "transactions", "tenant", "updated_at")


def machinery() -> None:
    table("leases", texts("name", "holder"), numbers("until"), key=("name", "holder"))
    table("writers", texts("id"), numbers("batch", "at"), key=("id",))
