"""How a message is tagged, named and versioned.

A command names its answer (`Command[Reply]`) and its port: the set of commands with ``port = "erp"`` *is* the ERP port.
An event says what has happened. Both are frozen msgspec structs; the wire name of a command is ``port.ClassName``, of an event
``ClassName``. Unknown fields are refused: what the house does not understand it does not accept.
"""

from typing import Any, ClassVar, Generic, TypeVar, get_args

import msgspec

Reply = TypeVar("Reply", bound="Event")

_BY_NAME: dict[str, type["Message"]] = {}


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What travels: a command or an event. ``wire_version`` counts the wire versions of its class; see `canonical.upcasts`."""

    wire_version: ClassVar[int] = 1
    port: ClassVar[str] = ""

    @classmethod
    def wire_name(cls) -> str:
        """The name under which the message travels, e.g. ``erp.CreateSalesOrder`` or ``OrderBooked``."""
        return f"{cls.port}.{cls.__name__}" if cls.port else cls.__name__

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "Command" in globals() and cls.__name__ not in {"Event", "Command"}:
            known = _BY_NAME.setdefault(cls.wire_name(), cls)
            if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"two messages are called {cls.wire_name()}: {known.__module__} and {cls.__module__}")
            _BY_NAME[cls.wire_name()] = cls


class Event(Message, frozen=True, kw_only=True):
    """Something that has happened; also the shape of every reply."""


class Command(Message, Generic[Reply], frozen=True, kw_only=True):
    """Something that is asked for. ``port`` says of whom: erp, crm, psa, billing, tax, payments, or ``process``."""

    @classmethod
    def reply_type(cls) -> type[Event]:
        """The event class that answers this command, read off its declaration."""
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, Event):
                    return argument
        raise TypeError(f"{cls.__name__} names no reply: declare it as Command[Reply]")


class Accepted(Event, frozen=True, kw_only=True):
    """A process has taken the command and will work on it; the outcome is read from the transaction with this correlation id."""

    process: str
    key: str
    correlation_id: str = ""


def message_type(name: str) -> type[Message]:
    """The class behind a wire name. Raises `KeyError` for a name that no noun page declares."""
    return _BY_NAME[name]


def message_types() -> dict[str, type[Message]]:
    """All declared messages by wire name (a copy)."""
    return dict(_BY_NAME)
