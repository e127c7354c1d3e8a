"""Events as Stripe sends them: one envelope, whatever is inside."""

import datetime as dt
from typing import TypeVar

import msgspec

from canonical.failures import Broken

Shape = TypeVar("Shape", bound=msgspec.Struct)


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """The record that the event is about, as it was at that moment."""

    object: msgspec.Raw = msgspec.Raw(b"{}")


class StripeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope. ``created`` is when it happened, in seconds since 1970."""

    id: str
    type: str
    created: int
    data: EventData = EventData()

    @property
    def happened_on(self) -> dt.date:
        return dt.datetime.fromtimestamp(self.created, dt.UTC).date()


def decoded(raw: bytes | msgspec.Raw, shape: type[Shape]) -> Shape:
    """A pushed record as a struct. Raises `Broken` with the raw payload where it is not what Stripe documents."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = bytes(raw).decode("utf-8", "replace")
        raise Broken("unreadable_event", f"the event is not {shape.__name__}: {error}", raw=text) from error
