"""A message as it lies in a queue of the broker: its bytes, and what is written on the outside."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Protocol, Self

import msgspec

from canonical.failures import Broken
from runtime.bus.contract import DeadLetter
from runtime.bus.wire import Envelope, decode, encode
from runtime.keys import new_message_id

ATTEMPTS, REASON, BURIED, CORRELATION, TRACE = "q2c-attempts", "q2c-reason", "q2c-buried-at-ms", "q2c-correlation-id", "traceparent"
REASON_LENGTH_MAX = 500
# CloudEvents 1.0 in its AMQP binding: whoever reads the broker's messages without our envelope finds the common attributes outside.
CLOUD_EVENTS = {
    "cloudEvents:specversion": "1.0",
    "cloudEvents:id": "the id of the message: with the source it is unique, and the same pair is the same message",
    "cloudEvents:source": "q2c/<tenant>",
    "cloudEvents:type": "the wire name of the message",
    "cloudEvents:time": "when it was first sent, RFC 3339",
    "cloudEvents:correlationid": "the commercial transaction, from quote to cash",
}


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """The letter's bytes and its outside.

    ``attempts`` counts the handlers that failed on it. A dead letter also has its ``reason``, and the moment of its burial in milliseconds
    since 1970.
    """

    body: bytes
    id: str
    type: str = ""
    correlation_id: str = ""
    traceparent: str = ""
    source: str = ""
    time: str = ""
    attempts: int = 0
    reason: str = ""
    buried_at_ms: int = 0

    @classmethod
    def of(cls, letter: Envelope) -> Self:
        """A letter that nobody has tried yet."""
        return cls(
            body=encode(letter),
            id=letter.id,
            type=letter.type,
            correlation_id=letter.correlation_id,
            traceparent=letter.traceparent,
            source=f"q2c/{letter.tenant}",
            time=letter.sent_at,
        )

    @classmethod
    def found(
        cls, body: bytes, *, message_id: str | None, wire_type: str | None, correlation_id: str | None, headers: Mapping[str, Any]
    ) -> Self:
        """What lies in a queue, whoever put it there: a stranger's message may lack everything, and its headers may be anything."""
        reason, died_at_ms = _death(headers)
        return cls(
            body=body,
            id=message_id or new_message_id(),
            type=wire_type or "",
            correlation_id=_text(headers.get(CORRELATION)) or correlation_id or "",
            traceparent=_text(headers.get(TRACE)),
            source=_text(headers.get("cloudEvents:source")),
            time=_text(headers.get("cloudEvents:time")),
            attempts=_number(headers.get(ATTEMPTS)),
            reason=_text(headers.get(REASON)) or reason,
            buried_at_ms=_number(headers.get(BURIED)) or died_at_ms,
        )

    def headers(self) -> dict[str, Any]:
        """The outside, as the broker carries it."""
        said = {
            ATTEMPTS: self.attempts,
            REASON: self.reason,
            BURIED: self.buried_at_ms,
            CORRELATION: self.correlation_id,
            TRACE: self.traceparent,
        }
        return {**self._attributes(), **{name: value for name, value in said.items() if value}}

    def _attributes(self) -> dict[str, str]:
        """The attributes of CloudEvents; nothing where this is no message of ours."""
        if not self.source:
            return {}
        attributes = {"cloudEvents:specversion": "1.0", "cloudEvents:id": self.id, "cloudEvents:source": self.source}
        return {
            **attributes,
            "cloudEvents:type": self.type,
            "cloudEvents:time": self.time,
            "cloudEvents:correlationid": self.correlation_id,
        }

    def letter(self) -> Envelope:
        """The letter inside. Raises `Broken` where there is none."""
        inside: Envelope = decode(self.body)
        return inside

    def after(self, attempts: int) -> Self:
        """The same message, to be tried again, with this many attempts behind it."""
        return msgspec.structs.replace(self, attempts=attempts, reason="", buried_at_ms=0)

    def buried(self, attempts: int, reason: str, now: dt.datetime) -> Self:
        """The same message as a dead letter."""
        return msgspec.structs.replace(self, attempts=attempts, reason=reason[:REASON_LENGTH_MAX], buried_at_ms=int(now.timestamp() * 1000))

    def dead_letter(self, queue: str) -> DeadLetter:
        """The same message as an operator sees it."""
        try:
            letter, raw = self.letter(), ""
        except Broken as unreadable:
            letter, raw = None, unreadable.raw
        correlation_id = self.correlation_id or (letter.correlation_id if letter else "")
        return DeadLetter(
            id=self.id, queue=queue, reason=self.reason, attempts=self.attempts, correlation_id=correlation_id, letter=letter, raw=raw
        )


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way to the broker.

    ``to`` is a queue, or for an ``event`` its type. One that is ``mandatory`` is refused where nobody is to receive it; one that is not
    ``durable`` need not outlive the broker. ``answer_to`` and ``token`` bring an answer to who asked.
    """

    parcel: Parcel
    to: str
    event: bool = False
    mandatory: bool = True
    durable: bool = True
    expires_s: float | None = None
    answer_to: str = ""
    token: str = ""


class Delivery(Protocol):
    """A message that the broker has handed over and wants to hear about."""

    @property
    def parcel(self) -> Parcel: ...

    @property
    def answer_to(self) -> str: ...

    @property
    def token(self) -> str: ...

    async def done(self) -> None:
        """Acknowledge it."""
        ...

    async def back(self) -> None:
        """Hand it back to its queue."""
        ...


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _death(headers: Mapping[str, Any]) -> tuple[str, int]:
    """Why and when the broker itself last took the message out of a queue; the latest reason stands first."""
    deaths = headers.get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(latest, Mapping):
        return "", 0
    time = latest.get("time")
    return f"broker: {_text(latest.get('reason'))}", int(time.timestamp() * 1000) if isinstance(time, dt.datetime) else 0
