"""The writes that a unit may hold, one line each: how it becomes a row, where the row goes, and how a refusal is called."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Table

from canonical.failures import Broken
from runtime.bus.wire import encode
from runtime.store import contract as c
from runtime.store import tables as t
from runtime.store.auditing import Draft, drafts_of
from runtime.store.bulk import Bulk, OnConflict, deleting, inserting, known_stays, replaces, rounds, updating
from runtime.store.rows import Row, Shape, clean, micros

INSTANCE, LINE, EFFECT, LINK = Shape(c.Instance), Shape(c.JournalLine), Shape(c.Effect), Shape(c.Link)
IDEMPOTENCY, CASE, TRANSACTION, RECEIVED = Shape(c.IdempotencyRecord), Shape(c.Case), Shape(c.Transaction), Shape(c.Received)


# What only the store itself writes.


class MarkSent(msgspec.Struct, frozen=True):
    """The bus has the message."""

    message_id: str


class Enqueue(msgspec.Struct, frozen=True):
    """A message for a queue of the embedded bus."""

    queue: str
    message_id: str
    data: bytes
    attempts: int


class Dequeue(msgspec.Struct, frozen=True):
    """A message of the embedded bus is done."""

    seq: int


class Now(msgspec.Struct, frozen=True):
    """When a unit was handed in, and the place of a write in it."""

    moment: int
    place: int


class Way(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How one kind of write is done. ``row`` may refuse; ``key`` are the cells by which rows are ordered and told apart."""

    bulk: Bulk
    row: Callable[[Any, Now], Row]
    key: tuple[int, ...]
    refusal: Callable[[], Exception] | None = None

    @property
    def cells(self) -> Callable[[Row], Row]:
        """The key of a row."""
        return _cells(self.key)

    def put(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write all rows. Raises the refusal when one of them is not taken: the caller then finds out which."""
        for together in rounds(rows, self.cells) if self.key else [list(rows)]:
            if self.bulk.put(connection, together) != len(together) and self.refusal is not None:
                raise self.refusal()


@cache
def _cells(places: tuple[int, ...]) -> Callable[[Row], Row]:
    picked = itemgetter(*places)
    return picked if len(places) > 1 else lambda row: (picked(row),)


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _key_of(names: Sequence[str], table: Table) -> tuple[int, ...]:
    return tuple(names.index(column.name) for column in table.primary_key.columns)


def _duplicate(what: str) -> Callable[[], Exception]:
    return lambda: c.Duplicate(what)


def _inserted(table: Table, row: Callable[[Any, Now], Row], on_conflict: OnConflict, refusal: Callable[[], Exception] | None = None) -> Way:
    names = _names(table)
    return Way(bulk=inserting(table, names, on_conflict), row=row, key=_key_of(names, table), refusal=refusal)


def _new(table: Table, row: Callable[[Any, Now], Row], what: str) -> Way:
    """A row whose key must not be there."""
    return _inserted(table, row, known_stays(table), _duplicate(what))


def _once(table: Table, row: Callable[[Any, Now], Row]) -> Way:
    """A row that changes nothing when it is there."""
    return _inserted(table, row, known_stays(table))


def _put(table: Table, row: Callable[[Any, Now], Row]) -> Way:
    """A row that takes the place of the one that is there."""
    return _inserted(table, row, replaces(table))


def _cases() -> Way:
    # Who closes a case says how it ended; what it was about, and since when, stays as it was told. One that is opened anew tells its own.
    def keeping(old: Table, new: Any) -> dict[str, Any]:
        closes = new.closed_at.is_not(None)
        told = ("kind", "title", "amount", "currency", "owner", "document", "due_at")
        return {**dict.fromkeys(told, closes), "opened_at": closes | old.c.closed_at.is_(None)}

    return _inserted(t.CASES, lambda w, _: CASE.to_row(w.case), replaces(t.CASES, keeping=keeping))


def _saving() -> Way:
    # Only what can change: an instance keeps its origin for good.
    where = ("tenant", "process", "key", "fence")
    sets = (
        "version",
        "entity",
        "position",
        "status",
        "memory",
        "waiting_for",
        "due_at",
        "attempts",
        "first_failed_at",
        "reason",
        "updated_at",
    )
    names = (*where, *sets)
    picked = itemgetter(*(INSTANCE.fields.index(name) for name in names))
    bulk = updating(t.INSTANCES, names, sets=sets, where=where)
    return Way(bulk=bulk, row=lambda w, _: picked(INSTANCE.to_row(w.instance)), key=(0, 1, 2), refusal=c.Fenced)


def _idempotency() -> Way:
    # A record that has expired is not there any more for `idempotency`, so it must not be in the way here.
    kept = replaces(t.IDEMPOTENCY, unless=lambda old, new: old.c.expires_at > new.created_at)
    return _inserted(t.IDEMPOTENCY, lambda w, _: IDEMPOTENCY.to_row(w.record), kept, _duplicate("idempotency"))


def _effects() -> Way:
    def final(old: Table, new: Any) -> Any:
        return (old.c.state == "compensated") | ((old.c.state == "confirmed") & (new.state != "compensated"))

    return _inserted(t.EFFECTS, lambda w, _: EFFECT.to_row(w.effect), replaces(t.EFFECTS, unless=final), c.Fenced)


def _sending() -> Way:
    names = ("message_id", "queue", "data", "created_at", "place")
    bulk = inserting(t.OUTBOX, names, known_stays(t.OUTBOX))
    return Way(
        bulk=bulk, row=lambda w, now: clean((w.letter.id, w.address.queue, encode(w.letter), now.moment, now.place), names), key=(0,)
    )


def _enqueuing() -> Way:
    names = ("queue", "message_id", "data", "attempts", "enqueued_at")
    bulk = inserting(t.QUEUE, names, lambda statement: statement)
    # No key: they keep the order in which they were handed in.
    return Way(bulk=bulk, row=lambda w, now: clean((w.queue, w.message_id, w.data, w.attempts, now.moment), names), key=())


def _marking(table: Table, sets: Sequence[str], row: Callable[[Any, Now], Row]) -> Way:
    """Set columns of a row by its key; nothing happens where there is none."""
    where = [column.name for column in table.primary_key.columns]
    names = [*where, *sets]
    return Way(
        bulk=updating(table, names, sets=sets, where=where), row=lambda w, now: clean(row(w, now), names), key=tuple(range(len(where)))
    )


# In the order in which they are carried out: what refuses most often first, an instance before its other rows.
WRITES: dict[type, Way] = {
    c.Seen: _new(t.INBOX, lambda w, now: clean((w.consumer, w.message_id, now.moment), ("consumer", "message_id", "at")), "message"),
    c.PutIdempotency: _idempotency(),
    c.StartInstance: _new(t.INSTANCES, lambda w, _: INSTANCE.to_row(w.instance), "instance"),
    c.SaveInstance: _saving(),
    c.AddLine: _new(t.JOURNAL, lambda w, _: LINE.to_row(w.line), "journal"),
    c.Keep: _new(t.RECEIVED, lambda w, _: RECEIVED.to_row(w.received), "received"),
    c.MarkReceived: _marking(t.RECEIVED, ("state", "reason"), lambda w, _: (w.tenant, w.connection, w.event_id, w.state, w.reason)),
    c.PutEffect: _effects(),
    c.Chain: _once(t.CHAIN, lambda w, _: clean((w.tenant, w.correlation_id, w.process, w.key), _names(t.CHAIN))),
    c.PutLink: _put(t.LINKS, lambda w, _: LINK.to_row(w.link)),
    c.PutCase: _cases(),
    c.PutTransaction: _put(t.TRANSACTIONS, lambda w, _: TRANSACTION.to_row(w.transaction)),
    c.SetCursor: _put(t.CURSORS, lambda w, _: clean((w.name, w.value), ("name", "value"))),
    c.Send: _sending(),
    MarkSent: _marking(t.OUTBOX, ("sent_at",), lambda w, now: (w.message_id, now.moment)),
    Enqueue: _enqueuing(),
    Dequeue: Way(bulk=deleting(t.QUEUE, "seq"), row=lambda w, _: (w.seq,), key=(0,)),
}
PLACES = {way: place for place, way in enumerate(WRITES.values())}


class Prepared(msgspec.Struct, frozen=True):
    """A unit as rows, and what the audit trail will say of it."""

    rows: tuple[tuple[Way, Row], ...] = ()
    drafts: tuple[Draft, ...] = ()


NOTHING = Prepared()


def prepare(unit: Sequence[Any], now: dt.datetime) -> Prepared:
    """The rows of a unit. Raises `Rejected` for text that cannot be stored: before the database has seen anything of it."""
    moment, rows = micros(now), []
    for place, write in enumerate(unit):
        way = WRITES.get(type(write))
        if way is None:
            raise Broken("unknown_write", f"the store does not know how to write {type(write).__name__}")
        rows.append((way, way.row(write, Now(moment, place))))
    return Prepared(tuple(rows), drafts_of(unit, (row for _, row in rows), moment))


def put(connection: Connection, units: Iterable[Prepared]) -> None:
    """Write units together, kind by kind. Raises the first refusal."""
    kinds: dict[Way, list[Row]] = {}
    for unit in units:
        for way, row in unit.rows:
            kinds.setdefault(way, []).append(row)
    for way in sorted(kinds, key=PLACES.__getitem__):
        way.put(connection, kinds[way])
