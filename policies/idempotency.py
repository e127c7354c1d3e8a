"""Idempotency-Key: the same key with the same request gets the stored answer; nothing happens twice.

The answer is stored in the same commit as what the request sends (see `runtime.house.collecting`): either both are there or neither.
Refusals (4xx) and failures (5xx) are not stored, so that a corrected or repeated request is free to succeed.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from policies.problems import Problem
from runtime.house import House
from runtime.store.contract import Duplicate, IdempotencyRecord, PutIdempotency, Write

KEY = re.compile(r"[\x21-\x7e]{1,255}")
KEPT_FOR = dt.timedelta(days=30)
KEPT_HEADERS = {b"content-type", b"location"}
AGAIN = {"Retry-After": "1"}


class Request(msgspec.Struct, frozen=True):
    """What makes two requests the same: who asked for which operation (``scope``), under which key, and for what (``fingerprint``)."""

    tenant: str
    scope: str
    key: str
    fingerprint: str


def read_key(header: str | None, *, required: bool) -> str:
    """The caller's key, with or without quotes; empty where there is none and none is needed. Raises `Problem` 400."""
    if header is None:
        if required:
            raise Problem(400, "idempotency_key_missing", "what this does shall happen once: send an Idempotency-Key header")
        return ""
    key = header[1:-1] if len(header) >= 2 and header[0] == header[-1] == '"' else header
    if not KEY.fullmatch(key):
        raise Problem(400, "idempotency_key_invalid", "an Idempotency-Key is 1 to 255 visible ASCII characters, one key per request")
    return key


def fingerprint(*parts: str, body: bytes, tree: Any = None) -> str:
    """SHA-256 over what identifies the request and its body; a body in JSON counts by its content (``tree``), whatever its layout."""
    try:
        content = body if tree is None else msgspec.json.encode(tree, order="deterministic")
    except (msgspec.EncodeError, OverflowError, RecursionError):  # a number beyond 64 bits, or very deep: then the layout counts, too
        content = body
    return hashlib.sha256("\0".join((*parts, "")).encode("utf-8", "surrogatepass") + content).hexdigest()


async def replayed(house: House, request: Request) -> IdempotencyRecord | None:
    """The stored answer; None where the request is new. Raises `Problem` 422 for another request under the same key."""
    known = await house.store.idempotency(request.tenant, request.scope, request.key, house.clock.now())
    if known is not None and known.fingerprint != request.fingerprint:
        raise Problem(422, "idempotency_key_reused", "this Idempotency-Key was used for another request; its effect is untouched")
    return known


def in_flight() -> Problem:
    """The answer to whoever repeats a request that is still at work."""
    return Problem(409, "idempotency_key_in_flight", "the first request with this key is still at work", headers=AGAIN)


async def keep(
    house: House, request: Request, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, writes: Sequence[Write]
) -> IdempotencyRecord | None:
    """Commit the answer with what the request sends. Where a twin was faster, nothing is written and its answer is returned."""
    now = house.clock.now()
    record = IdempotencyRecord(
        tenant=request.tenant,
        scope=request.scope,
        key=request.key,
        fingerprint=request.fingerprint,
        status=status,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.lower() in KEPT_HEADERS},
        body=body,
        created_at=now,
        expires_at=now + KEPT_FOR,
    )
    try:
        await house.commit([PutIdempotency(record), *writes])
    except Duplicate as known:
        twin = await replayed(house, request)
        if twin is None:  # not the caller's key but a business key (order, payment, …) was taken in the same moment by another request
            raise Problem(409, "conflict", "another request for the same thing was faster; ask again", headers=AGAIN) from known
        return twin
    return None
