"""The shape of a card: what a connector can do, how a write is made single, what it loses, how it pushes."""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from canonical.messages import Command, Event
from runtime.http.failure_table import FailureTable


class Once(StrEnum):
    """The handle that a vendor gives to make a write single."""

    READ = "read"  # nothing is written
    NATIVE_KEY = "native_key"  # the vendor replays its answer to the same key
    EXTERNAL_ID_UPSERT = "external_id_upsert"  # the same external id is the same record
    UNIQUE_FIELD = "unique_field"  # a second record with the field is refused: refused means done, `find` reads it
    LOCK_AND_PROBE = "lock_and_probe"  # no handle at all: intent is committed before sending, and `find` runs before any second try


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """All that an operation is given: the vendor's client, its settings, and the keys under which the work is known.

    ``key`` is the step key (``order_booking/ORD-1001/book_in_erp``), the idempotency key sent to the vendor; ``connection`` the name
    under which the vendor account is bound; ``now`` the present moment in UTC.
    """

    client: Any
    settings: Any
    connection: str
    key: str
    correlation_id: str
    entity: str
    now: dt.datetime


Run = Callable[[Call, Any], Awaitable[Event]]
Find = Callable[[Call, Any], Awaitable[Event | None]]


class Operation(msgspec.Struct, frozen=True):
    """One command's implementation.

    ``find`` answers "did it happen?" after an unknown outcome: the reply as if it had just been made, or None. ``settles_in`` is how long
    the vendor may take until `find` can be trusted to say no.
    """

    run: Run
    once: Once = Once.READ
    find: Find | None = None
    settles_in: dt.timedelta = dt.timedelta(seconds=0)

    def __post_init__(self) -> None:
        if self.once in {Once.UNIQUE_FIELD, Once.LOCK_AND_PROBE} and self.find is None:
            raise TypeError(f"{self.once} needs a find")


class Limit(msgspec.Struct, frozen=True):
    """The budget of one vendor account, shared by all workers."""

    in_flight_max: int = 10
    per_minute_max: int = 600


class Resource(msgspec.Struct, frozen=True):
    """A unified resource of the system API: which command GET asks (its fields are the query parameters) and which one POST asks."""

    get: type[Command[Any]] | None = None
    post: type[Command[Any]] | None = None


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """An event found in a webhook or a poll. ``id`` is stable: the same fact again has the same id. ``order_id`` ties it to its deal."""

    id: str
    event: Event
    order_id: str = ""


class Webhooks(msgspec.Struct, frozen=True, kw_only=True):
    """How a vendor pushes: verify on raw bytes, identify, keep, answer; translate later.

    ``verify(settings, headers, body, now)`` raises `Rejected("signature_invalid")`; header names are lower case. ``identify(body)`` gives
    the vendor's event id. ``translate(call, body)`` gives what it means (nothing, for events that do not concern us).
    """

    verify: Callable[[Any, Mapping[str, str], bytes, dt.datetime], None]
    identify: Callable[[bytes], str]
    translate: Callable[[Call, bytes], Awaitable[tuple[Translated, ...]]]


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual webhook: ask again and again what is new since the cursor.

    ``command(cursor)`` builds the question, ``translate(reply)`` gives the events and the new cursor.
    """

    name: str
    every_s: float
    command: Callable[[str], Command[Any]]
    translate: Callable[[Any], tuple[tuple[Translated, ...], str]]


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """How files are taken in: ``translate(settings, data)`` gives the events in them and what to say about the file.

    Raises `Rejected` for a file that cannot be read; nothing of it is then taken in.
    """

    translate: Callable[[Any, bytes], tuple[tuple[Translated, ...], "FileReport"]]


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a file: how many lines, how many of them concern us, and remarks for the reader."""

    lines: int
    taken: int
    remarks: tuple[str, ...] = ()


class Sunset(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the vendor's API that ends on a date."""

    what: str
    on: dt.date
    commands: tuple[type[Command[Any]], ...]
    note: str = ""


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """The card. ``client(settings)`` builds the vendor client, which has ``async aclose()``; ``loses`` names the canonical fields, as
    dotted paths into the command, that the vendor silently drops.
    """

    name: str
    title: str
    settings: type[msgspec.Struct]
    client: Callable[[Any], Any]
    failures: FailureTable
    does: Mapping[type[Command[Any]], Operation]
    limit: Limit = Limit()
    loses: Mapping[type[Command[Any]], tuple[str, ...]] = {}
    resources: Mapping[str, Resource] = {}
    webhooks: Webhooks | None = None
    files: Files | None = None
    polls: tuple[Poll, ...] = ()
    sunsets: tuple[Sunset, ...] = ()
