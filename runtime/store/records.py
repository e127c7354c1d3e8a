"""What the store keeps, row by row, and what a unit may write."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from canonical.failures import FailureRecord
from runtime.bus.contract import Address
from runtime.bus.wire import Envelope

Status = Literal["running", "waiting", "parked", "undoing", "done", "undone", "cancelled"]
ENDED: tuple[Status, ...] = ("done", "undone", "cancelled")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One running table. ``memory`` is the JSON of the process's memory struct; ``waiting_for`` is ``<event>:<correlating key>``;
    ``letter_id`` the id of the message that started it.
    """

    tenant: str
    process: str
    key: str
    version: int = 1
    position: int = 0
    status: Status = "running"
    memory: bytes = b"{}"
    entity: str = ""
    correlation_id: str
    traceparent: str = ""
    actor: str = ""
    started_by: str = ""
    waiting_for: str = ""
    due_at: dt.datetime | None = None
    attempts: int = 0
    first_failed_at: dt.datetime | None = None
    reason: FailureRecord | None = None
    fence: int = 0
    created_at: dt.datetime
    updated_at: dt.datetime
    letter_id: str = ""


LineKind = Literal[
    "started", "ask", "tell", "wait", "decide", "undo", "pivot", "failed", "parked", "edited", "resumed", "cancelled", "done", "undone"
]


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to an instance. ``undo`` is the envelope body of the command that would take the step back,
    made from the values known when the step was done; ``undo_type`` its wire name.
    """

    tenant: str
    process: str
    key: str
    seq: int
    step: str
    kind: LineKind
    asked: str = ""
    answered: str = ""
    connection: str = ""
    detail: str = ""
    duration_ms: int = 0
    undo_type: str = ""
    undo: bytes = b""
    correlation_id: str
    at: dt.datetime


EffectState = Literal["planned", "sent", "uncertain", "confirmed", "refused", "compensated"]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A write to a vendor, by its step key. ``reply`` is the JSON of the confirmed answer; ``sent_at`` the last time it was sent."""

    tenant: str
    key: str
    connection: str
    command: str
    state: EffectState
    correlation_id: str
    reply: bytes = b""
    failure: FailureRecord | None = None
    attempts: int = 0
    sent_at: dt.datetime | None = None
    updated_at: dt.datetime


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Our id ⇄ a vendor's id."""

    tenant: str
    kind: str
    our_id: str
    connection: str
    external_id: str
    external_number: str = ""
    correlation_id: str = ""


class IdempotencyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The stored answer to a caller's key. ``scope`` is client and operation; ``fingerprint`` SHA-256 of the request."""

    tenant: str
    scope: str
    key: str
    fingerprint: str
    status: int
    headers: dict[str, str]
    body: bytes
    created_at: dt.datetime
    expires_at: dt.datetime


CaseStatus = Literal["open", "resolved"]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits for a person. ``kind``: approval, allocation, parked, rejected; ``document`` is JSON for its reader."""

    tenant: str
    id: str
    kind: str
    process: str
    key: str
    status: CaseStatus = "open"
    title: str
    amount: str = ""
    currency: str = ""
    owner: str = ""
    correlation_id: str
    document: bytes = b"{}"
    resolution: str = ""
    opened_at: dt.datetime
    due_at: dt.datetime | None = None
    closed_at: dt.datetime | None = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """The read model of a commercial transaction: one row per correlation id."""

    tenant: str
    correlation_id: str
    quote_id: str = ""
    order_id: str = ""
    entity: str = ""
    customer: str = ""
    amount: str = ""
    currency: str = ""
    stage: str
    document: bytes = b"{}"
    updated_at: dt.datetime


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """An outside event as it came in: kept raw, answered, translated later. Unique by (tenant, connection, event id)."""

    tenant: str
    connection: str
    event_id: str
    body: bytes
    headers: dict[str, str]
    received_at: dt.datetime
    state: Literal["new", "translated", "failed"] = "new"
    reason: str = ""


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the trail; ``changes`` is JSON: lists of table, key, word and digest. ``at`` in microseconds since 1970, UTC."""

    tenant: str
    seq: int
    at: int
    actor: str
    subject: str
    correlation_id: str
    changes: str
    hash: str

    @property
    def cells(self) -> tuple[Any, ...]:
        """What the hash is over, beside the hash before."""
        return self.tenant, self.seq, self.at, self.actor, self.subject, self.correlation_id, self.changes

    @property
    def named(self) -> list[tuple[str, str, str, str]]:
        """The changes: table, key, word, digest. Raises `msgspec.DecodeError` where somebody has spoilt them."""
        return msgspec.json.decode(self.changes, type=list[tuple[str, str, str, str]])


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a tenant's chain."""

    tenant: str
    seq: int
    hash: str


# What a unit may write. Each is one line of `writing.WRITES`.


class StartInstance(msgspec.Struct, frozen=True):
    """Begin an instance; a second one with its key is refused."""

    instance: Instance


class SaveInstance(msgspec.Struct, frozen=True):
    """Store the instance; ``instance.fence`` must be the fence that is stored."""

    instance: Instance


class AddLine(msgspec.Struct, frozen=True):
    """Add a line to the journal."""

    line: JournalLine


class Chain(msgspec.Struct, frozen=True):
    """This instance belongs to the transaction with this correlation id (also)."""

    tenant: str
    correlation_id: str
    process: str
    key: str


class Send(msgspec.Struct, frozen=True):
    """Put a message into the outbox; the same message id again changes nothing."""

    address: Address
    letter: Envelope


class Seen(msgspec.Struct, frozen=True):
    """Remember that a consumer has handled a message."""

    consumer: str
    message_id: str


class PutEffect(msgspec.Struct, frozen=True):
    """Move an effect along, or record a new one. Raises `Fenced` where it is settled, or where an earlier attempt
    than the recorded one has failed.
    """

    effect: Effect


class PutLink(msgspec.Struct, frozen=True):
    """Insert or update, by (tenant, kind, our id, connection)."""

    link: Link


class PutIdempotency(msgspec.Struct, frozen=True):
    """Record the answer to a caller's key."""

    record: IdempotencyRecord


class PutCase(msgspec.Struct, frozen=True):
    """Insert or replace the case with this id."""

    case: Case


class PutTransaction(msgspec.Struct, frozen=True):
    """Insert or replace the read model of a correlation id."""

    transaction: Transaction


class Keep(msgspec.Struct, frozen=True):
    """Keep an outside event; one that is known raises `Duplicate("received")`."""

    received: Received


class MarkReceived(msgspec.Struct, frozen=True):
    """Say what became of an outside event."""

    tenant: str
    connection: str
    event_id: str
    state: Literal["translated", "failed"]
    reason: str = ""


class SetCursor(msgspec.Struct, frozen=True):
    """How far a poll has read."""

    name: str
    value: str


Write = (
    StartInstance
    | SaveInstance
    | AddLine
    | Chain
    | Send
    | Seen
    | PutEffect
    | PutLink
    | PutIdempotency
    | PutCase
    | PutTransaction
    | Keep
    | MarkReceived
    | SetCursor
)
Unit = Sequence[Write]


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was committed and not yet marked as sent."""

    address: Address
    letter: Envelope


class QueuedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the embedded bus."""

    seq: int
    queue: str
    data: bytes
    attempts: int


class VersionInUse(msgspec.Struct, frozen=True, kw_only=True):
    """How many instances, of all tenants, have begun and not ended on one version of a table."""

    process: str
    version: int
    instances: int
