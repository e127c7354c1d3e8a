"""One chain of keys: caller's key → business key → step key → vendor's handle. And the ids that stand above it."""

import hashlib
import re
import secrets
import uuid

CORRELATION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{3,63}$")


def new_correlation_id() -> str:
    """A new name for a whole commercial transaction, e.g. ``q2c-7f3a90c2d4e1``: short enough for an ERP memo."""
    return f"q2c-{secrets.token_hex(6)}"


def new_message_id() -> str:
    """A random UUID; a retry carries the same one."""
    return str(uuid.uuid4())


def message_id_for(*parts: str) -> str:
    """The id of a message that follows from others, so that sending it twice is sending the same message."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\x1f".join(parts)))


def instance_key(process: str, key: str) -> str:
    """``order_booking/ORD-1001``."""
    return f"{process}/{key}"


def step_key(process: str, key: str, step: str) -> str:
    """``order_booking/ORD-1001/book_in_erp``: journal key, idempotency key, span name and log field alike."""
    return f"{process}/{key}/{step}"


def vendor_key(step: str, length_max: int) -> str:
    """A step key as a vendor's idempotency handle: itself where it fits, else its head and a hash, always the same."""
    if len(step) <= length_max:
        return step
    digest = hashlib.sha256(step.encode()).hexdigest()[: min(24, length_max)]
    return f"{step[: max(0, length_max - len(digest) - 1)]}~{digest}"[-length_max:]


def vendor_uuid(step: str) -> str:
    """A step key as a UUID, for vendors that accept nothing else."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, step))
