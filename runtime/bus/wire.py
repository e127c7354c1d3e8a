"""The envelope: what every message carries beside its body, and how it becomes bytes and back."""

import datetime as dt
from typing import Any

import msgspec

from canonical.failures import Broken, Failure, FailureRecord
from canonical.messages import Message, message_type
from canonical.upcasts import lifted
from runtime.context import Context
from runtime.keys import new_message_id

FAILURE_TYPE = "Failure"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way.

    ``id`` is the same on every retry, so that an inbox can tell; ``type`` the wire name; ``causation_id`` the id of the message that led
    to this one; ``sent_at`` UTC, ISO 8601. New fields may appear: an older reader ignores them.
    """

    id: str
    type: str
    wire_version: int = 1
    body: msgspec.Raw
    tenant: str = "default"
    entity: str = ""
    correlation_id: str
    causation_id: str = ""
    traceparent: str = ""
    actor: str = ""
    key: str = ""
    sent_at: str = ""

    @property
    def context(self) -> Context:
        """The circumstances under which the receiver works."""
        return Context(
            tenant=self.tenant,
            entity=self.entity,
            correlation_id=self.correlation_id,
            traceparent=self.traceparent,
            actor=self.actor,
            key=self.key,
        )

    def open(self) -> Message:
        """The message inside. Raises `Broken` for an unknown type or a body that does not fit; a carried failure is raised as itself."""
        if self.type == FAILURE_TYPE:
            raise decode(bytes(self.body), FailureRecord).to_failure()
        try:
            shape = message_type(self.type)
        except KeyError:
            raise Broken(
                "unknown_message_type", f"no noun page declares {self.type!r}", raw=bytes(self.body)[:4000].decode("utf-8", "replace")
            ) from None
        opened: Message = decode(_present(self, shape), shape)
        return opened


def envelope(
    message: Message, context: Context, *, now: dt.datetime, message_id: str = "", causation_id: str = "", key: str = ""
) -> Envelope:
    """Put a message into an envelope, with the ids of its context."""
    return Envelope(
        id=message_id or new_message_id(),
        type=message.wire_name(),
        wire_version=message.wire_version,
        body=msgspec.Raw(msgspec.json.encode(message)),
        tenant=context.tenant,
        entity=context.entity,
        correlation_id=context.correlation_id,
        causation_id=causation_id,
        traceparent=context.traceparent,
        actor=context.actor,
        key=key or context.key,
        sent_at=now.isoformat(),
    )


def _present(letter: Envelope, shape: type[Message]) -> bytes:
    """The body in the present wire version of its class."""
    body = bytes(letter.body)
    if letter.wire_version == shape.wire_version:
        return body
    try:
        return msgspec.json.encode(lifted(letter.type, letter.wire_version, shape.wire_version, decode(body, dict)))
    except KeyError as error:
        raise Broken("unknown_wire_version", str(error), raw=body[:4000].decode("utf-8", "replace")) from error


def failure_envelope(failure: Failure, asked: Envelope, *, now: dt.datetime) -> Envelope:
    """The answer that says why there is none."""
    return Envelope(
        id=new_message_id(),
        type=FAILURE_TYPE,
        body=msgspec.Raw(msgspec.json.encode(FailureRecord.of(failure))),
        tenant=asked.tenant,
        entity=asked.entity,
        correlation_id=asked.correlation_id,
        causation_id=asked.id,
        traceparent=asked.traceparent,
        sent_at=now.isoformat(),
    )


def encode(letter: Envelope) -> bytes:
    """Bytes for the broker or the store."""
    return msgspec.json.encode(letter)


def decode(data: bytes, shape: type[Any] = Envelope) -> Any:
    """The struct in the bytes. Raises `Broken`, with the bytes, where they are not one."""
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Broken("unreadable_message", str(error), raw=data[:4000].decode("utf-8", "replace")) from error
