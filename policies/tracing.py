"""W3C trace context and the correlation id: taken from the caller where they are well-formed, else begun here."""

import re
import secrets

from runtime.keys import CORRELATION, new_correlation_id

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def traceparent(received: str) -> str:
    """The caller's traceparent, or a new one that nobody records. Never an error. A span of ours comes from `runtime.telemetry`."""
    found = _TRACEPARENT.fullmatch(received.strip().lower()) if received else None
    if found and found[1] != _NO_TRACE and found[2] != _NO_SPAN:
        return found[0]
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def correlation_id(received: str) -> str:
    """The caller's correlation id where it is one, else a new one."""
    return received if received and CORRELATION.fullmatch(received) else new_correlation_id()
