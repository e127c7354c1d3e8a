"""What travels beside every piece of work: tenant, entity, correlation id, trace. Set once at the door, read everywhere."""

from contextvars import ContextVar, Token

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


class working_in:  # noqa: N801 - read as a word: with working_in(context)
    """Run a block in a context; log lines, spans and outgoing calls within it carry its ids."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> Context:
        self._token: Token[Context] = _CURRENT.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)
