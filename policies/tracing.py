"""W3C trace context and the correlation id: taken from the caller where they are well-formed, else begun here."""

import re
import secrets

from runtime.keys import CORRELATION, new_correlation_id

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")


def traceparent(received: str) -> str:
    """A traceparent for this hop: the caller's trace with a span of ours, or a new trace. Never an error."""
    found = _TRACEPARENT.match(received.strip().lower())
    span = secrets.token_hex(8)
    if found and set(found.group(1)) != {"0"} and set(found.group(2)) != {"0"}:
        return f"00-{found.group(1)}-{span}-{found.group(3)}"
    return f"00-{secrets.token_hex(16)}-{span}-00"


def correlation_id(received: str) -> str:
    """The caller's correlation id where it is one, else a new one."""
    return received if CORRELATION.match(received) else new_correlation_id()
