"""What the policies need to know of a request, read once: a few headers, the correlation id, the trace; and what every answer carries."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.types import Message, Scope

from policies import tracing

_KEY = "q2c_incoming"
_READ = {
    name.encode(): name
    for name in ("authorization", "content-type", "content-length", "idempotency-key", "x-correlation-id", "traceparent")
}
_NOSNIFF = (b"x-content-type-options", b"nosniff")


class Incoming(msgspec.Struct, frozen=True):
    """The headers that policies look at (lower case; a repeated one is a list with commas, as HTTP has it), and the ids of the request."""

    headers: Mapping[str, str]
    correlation_id: str
    traceparent: str

    @property
    def has_trace(self) -> bool:
        """Whether the trace is the caller's, and not begun here."""
        return self.headers.get("traceparent", "").strip().lower() == self.traceparent


def incoming(scope: Scope) -> Incoming:
    """The same value for the same request, however often it is asked for; also for a request that no route serves."""
    state: dict[str, Any] = scope["state"]
    known: Incoming | None = state.get(_KEY)
    if known is None:
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = _READ.get(raw.lower())
            if name is not None:
                text = value.decode("latin-1")
                headers[name] = f"{headers[name]}, {text}" if name in headers else text
        known = state[_KEY] = Incoming(
            headers, tracing.correlation_id(headers.get("x-correlation-id", "")), tracing.traceparent(headers.get("traceparent", ""))
        )
    return known


def within(scope: Scope, traceparent: str) -> None:
    """From now on the request is worked on in a span of ours."""
    scope["state"][_KEY] = msgspec.structs.replace(incoming(scope), traceparent=traceparent)


async def sign(message: Message, scope: Scope) -> None:
    """Litestar's hook for every answer, whoever gives it: the correlation id, and that nobody shall guess at types."""
    if message["type"] == "http.response.start":
        message["headers"] = [
            *message["headers"],
            (b"x-correlation-id", incoming(scope).correlation_id.encode("ascii")),
            _NOSNIFF,
        ]
