"""What travels beside every piece of work: tenant, entity, correlation id, trace. Set once at the door, read everywhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of a message or a call. ``actor`` is the subject of the token that caused it; ``key`` the step key;
    ``connection`` the vendor account that is being asked; ``first``: nobody can have asked under this key before.
    """

    tenant: str = "default"
    entity: str = ""
    correlation_id: str = ""
    traceparent: str = ""
    actor: str = ""
    key: str = ""
    connection: str = ""
    first: bool = False


_NOWHERE = Context()
_CURRENT: ContextVar[Context] = ContextVar("q2c_context", default=_NOWHERE)


def current() -> Context:
    """The context of the running task."""
    return _CURRENT.get()


@contextmanager
def working_in(context: Context) -> Iterator[Context]:
    """Run a block in a context; log lines, spans and outgoing calls within it carry its ids."""
    token = _CURRENT.set(context)
    try:
        yield context
    finally:
        _CURRENT.reset(token)
