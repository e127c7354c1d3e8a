"""What the store promises. One suite in tests/contracts runs each sentence on PostgreSQL and on SQLite.

1.  `commit` makes all writes of a unit visible together, durably, or none; units of concurrent tasks may share one database commit.
2.  (tenant, process, key) of an instance is unique: a second `StartInstance` raises `Duplicate("instance")`.
3.  `SaveInstance` is refused with `Fenced` unless the stored fence equals the one that the writer holds; `claim` raises the fence.
4.  `Seen` with a (consumer, message id) that is known raises `Duplicate("message")`.
5.  `PutIdempotency` with a known scope and key raises `Duplicate("idempotency")`; the first record stays until it has expired.
6.  A unit that is refused leaves the other units of the same commit untouched.
7.  `unsent` gives outbox rows whatever the order in which their transactions committed: a late one is not skipped.
8.  What is read was committed; a read inside no unit sees the units that were committed before it began.
9.  Text with NUL characters is refused with `Rejected`, not with a database error.
10. Amounts come back exactly as they were put in.
11. What is certain stays: a confirmed effect becomes compensated or nothing else (`Fenced`), a compensated one nothing at all. Before that
    an effect moves freely among planned, sent, uncertain and refused, for after a clear no it may be sent again; only a late failure
    of an earlier attempt does not take the place of a later one (`Fenced`).
12. The journal is append-only: (tenant, process, key, seq) is unique and a line never changes.
13. Two claims of one due instance at the same time: one wins.
14. A unit that changes a state leaves one row in its tenant's audit trail, in the same transaction; rows are chained by their hashes, and
    neither changed nor removed.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Literal, Protocol

from runtime.store.records import (
    ENDED,
    AddLine,
    AuditHead,
    AuditRow,
    Case,
    CaseStatus,
    Chain,
    Effect,
    EffectState,
    IdempotencyRecord,
    Instance,
    JournalLine,
    Keep,
    LineKind,
    Link,
    MarkReceived,
    OutboxRow,
    PutCase,
    PutEffect,
    PutIdempotency,
    PutLink,
    PutTransaction,
    QueuedMessage,
    Received,
    SaveInstance,
    Seen,
    Send,
    SetCursor,
    StartInstance,
    Status,
    Transaction,
    Unit,
    VersionInUse,
    Write,
)

__all__ = [
    "ENDED",
    "AddLine",
    "AuditHead",
    "AuditRow",
    "Case",
    "CaseStatus",
    "Chain",
    "Duplicate",
    "Effect",
    "EffectState",
    "Fenced",
    "IdempotencyRecord",
    "Instance",
    "JournalLine",
    "Keep",
    "LineKind",
    "Link",
    "MarkReceived",
    "OutboxRow",
    "PutCase",
    "PutEffect",
    "PutIdempotency",
    "PutLink",
    "PutTransaction",
    "QueuedMessage",
    "Received",
    "SaveInstance",
    "Seen",
    "Send",
    "SetCursor",
    "StartInstance",
    "Status",
    "Store",
    "Transaction",
    "Unit",
    "VersionInUse",
    "Write",
]


class Duplicate(Exception):
    """Something with this unique name is there already; ``what`` is instance, message, idempotency, journal or case."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Fenced(Exception):
    """Another worker has taken the instance over, or has settled the effect."""


class Store(Protocol):
    """See the promises above. All moments are UTC and aware; `now` is handed in by the caller."""

    async def start(self) -> None:
        """Connect and check that the schema is the one that this release wants; raises `Misconfigured` with what to do otherwise, and
        `Unavailable` where there is no connection.
        """
        ...

    async def stop(self) -> None: ...

    async def commit(self, unit: Unit) -> None:
        """Returns when the unit is durable. Beside the refusals of the promises it raises `Unavailable` where the unit is certainly not
        written, and `OutcomeUnknown` where the database broke off within the commit and did not come back to say.
        """
        ...

    async def instance(self, tenant: str, process: str, key: str) -> Instance | None: ...

    async def instances(
        self, tenant: str, *, process: str = "", status: Sequence[Status] = (), correlation_id: str = "", limit: int = 100
    ) -> tuple[Instance, ...]:
        """Newest first; by correlation id: every instance of the chain, oldest first."""
        ...

    async def instances_between(
        self,
        tenant: str,
        since: dt.datetime,
        until: dt.datetime,
        *,
        process: str = "",
        after: tuple[dt.datetime, str, str] = ...,
        limit: int = 500,
    ) -> tuple[Instance, ...]:
        """Those that began in a span of time, oldest first; ``after`` is the place of the last one that was read."""
        ...

    async def outbox_since(self, since: dt.datetime, *, after: str = "", limit: int = 500) -> tuple[OutboxRow, ...]:
        """What was handed in for sending from a moment on, by message id, after one of them."""
        ...

    async def outbox_row(self, message_id: str) -> OutboxRow | None:
        """A message that was once sent, or waits to be; None where it is not kept."""
        ...

    async def claim(self, tenant: str, process: str, key: str) -> Instance | None:
        """Take an instance over: raises its fence by one, touches it, and returns it as it then stands; None where there is none."""
        ...

    async def waiting_for(self, tenant: str, event_key: str) -> tuple[Instance, ...]:
        """The instances that wait for this event and correlating key."""
        ...

    async def due(self, now: dt.datetime, *, stuck_before: dt.datetime, limit: int = 100) -> tuple[Instance, ...]:
        """Instances whose due time has come, and running or undoing ones without a due time that are untouched since `stuck_before`."""
        ...

    async def versions_in_use(self) -> tuple[VersionInUse, ...]:
        """The versions of tables on which instances stand that have not ended; answered before `start`, too, and by an older schema."""
        ...

    async def journal(self, tenant: str, process: str, key: str) -> tuple[JournalLine, ...]: ...

    async def effect(self, tenant: str, key: str) -> Effect | None: ...

    async def effects(
        self, tenant: str, *, state: Sequence[EffectState] = (), correlation_id: str = "", limit: int = 100
    ) -> tuple[Effect, ...]: ...

    async def links(self, tenant: str, *, kind: str, our_id: str) -> tuple[Link, ...]: ...

    async def link_from(self, tenant: str, *, connection: str, kind: str, external_id: str) -> Link | None: ...

    async def correlation_of(self, tenant: str, process: str, key: str) -> str:
        """The correlation id of an instance; empty where there is none."""
        ...

    async def idempotency(self, tenant: str, scope: str, key: str, now: dt.datetime) -> IdempotencyRecord | None:
        """The record, unless it has expired."""
        ...

    async def seen(self, consumer: str, message_id: str) -> bool: ...

    async def case(self, tenant: str, case_id: str) -> Case | None: ...

    async def cases(self, tenant: str, *, kind: str = "", status: CaseStatus | None = None, limit: int = 100) -> tuple[Case, ...]:
        """Oldest first."""
        ...

    async def transaction(self, tenant: str, correlation_id: str) -> Transaction | None: ...

    async def transactions(self, tenant: str, *, limit: int = 100) -> tuple[Transaction, ...]:
        """Newest first."""
        ...

    async def received(self, *, state: Literal["new", "translated", "failed"] = "new", limit: int = 100) -> tuple[Received, ...]:
        """Outside events of all tenants, oldest first."""
        ...

    async def received_one(self, tenant: str, connection: str, event_id: str) -> Received | None: ...

    async def cursor(self, name: str) -> str: ...

    async def unsent(self, *, older_than: dt.datetime, limit: int = 200) -> tuple[OutboxRow, ...]: ...

    async def mark_sent(self, message_ids: Sequence[str]) -> None: ...

    # The audit trail: written by `commit` alone, read by whoever examines it.

    async def audit(self, tenant: str, *, after_seq: int = 0, limit: int = 1000) -> tuple[AuditRow, ...]:
        """Rows after a sequence number, oldest first."""
        ...

    async def audit_heads(self) -> tuple[AuditHead, ...]:
        """The ends of all tenants' trails."""
        ...

    async def line_digests(self, tenant: str, names: Sequence[tuple[str, str, int]]) -> dict[str, str]:
        """The digests of journal lines (process, key, seq) as they stand now, by ``process/key#seq``; of those that are there."""
        ...

    async def lines_since(self, tenant: str, since: int) -> int:
        """How many journal lines a tenant has from a moment on (microseconds since 1970)."""
        ...

    # The queues of the embedded bus live here, so that they are as durable as everything else.

    async def enqueue(self, queue: str, message_id: str, data: bytes, *, attempts: int = 0) -> None: ...

    async def queued(self, queue: str, *, after_seq: int, limit: int = 100) -> tuple[QueuedMessage, ...]:
        """Messages of a queue with a sequence number above `after_seq`, oldest first."""
        ...

    async def dequeue(self, seq: int) -> None:
        """The message is done."""
        ...

    async def count_attempt(self, seq: int) -> int:
        """One more attempt; returns how many there were."""
        ...

    async def bury(self, seq: int, reason: str) -> None:
        """Move a message to the dead letters."""
        ...

    async def buried(self, queue: str, *, limit: int = 100) -> tuple[tuple[QueuedMessage, str], ...]:
        """Dead letters of a queue with their reasons, oldest first."""
        ...

    async def exhume(self, seq: int) -> bool:
        """Put a dead letter back into its queue with no attempts counted; False where another has done so."""
        ...

    # Leases hold rate and concurrency limits across workers.

    async def lease(self, name: str, holder: str, *, slots: int, until: dt.datetime, now: dt.datetime) -> bool:
        """Take one of the slots of a budget, or keep the one that the holder has; expired ones are free. False where none is left."""
        ...

    async def release(self, name: str, holder: str) -> None: ...
