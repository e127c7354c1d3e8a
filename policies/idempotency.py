"""Idempotency-Key: the same key with the same request gets the stored answer; nothing happens twice.

The answer is stored in the same commit as what the request sends (see `runtime.house.collecting`): either both are there or neither.
Refusals (4xx) and failures (5xx) are not stored, so that a corrected or repeated request is free to succeed.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Sequence

import msgspec

from policies.problems import Problem
from runtime.house import House
from runtime.store.contract import Duplicate, IdempotencyRecord, PutIdempotency, Write

KEY = re.compile(r"^[\x21-\x7e]{1,255}$")
KEPT_FOR = dt.timedelta(days=30)
KEPT_HEADERS = {"content-type", "location"}


class Request(msgspec.Struct, frozen=True):
    """What makes two requests the same: who, what, with which body."""

    tenant: str
    scope: str
    key: str
    fingerprint: str


def read_key(header: str | None, *, required: bool) -> str:
    """The caller's key, with or without quotes; empty where none is needed. Raises `Problem` 400."""
    if not header:
        if required:
            raise Problem(400, "idempotency_key_missing", "this operation moves money: send an Idempotency-Key header")
        return ""
    key = header[1:-1] if len(header) >= 2 and header[0] == header[-1] == '"' else header
    if not KEY.match(key):
        raise Problem(400, "idempotency_key_invalid", "an Idempotency-Key is 1 to 255 visible ASCII characters")
    return key


def fingerprint(method: str, path: str, tenant: str, body: bytes) -> str:
    """SHA-256 over method, path, tenant and the body, where JSON that differs only in layout counts as the same."""
    try:
        canonical = msgspec.json.encode(msgspec.json.decode(body), order="deterministic") if body else b""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        canonical = body
    return hashlib.sha256(b"\x00".join([method.encode(), path.encode(), tenant.encode(), canonical])).hexdigest()


async def replayed(house: House, request: Request) -> IdempotencyRecord | None:
    """The stored answer; None where the request is new. Raises `Problem` 422 for another request under the same key."""
    known = await house.store.idempotency(request.tenant, request.scope, request.key, house.clock.now())
    if known is not None and known.fingerprint != request.fingerprint:
        raise Problem(422, "idempotency_key_reused", "this Idempotency-Key was used for another request; its effect is untouched")
    return known


async def keep(
    house: House, request: Request, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, writes: Sequence[Write]
) -> IdempotencyRecord | None:
    """Commit the answer with what the request sends. Where a twin was faster, nothing is written and its answer is returned."""
    now = house.clock.now()
    kept = {n.decode(): v.decode() for n, v in headers if n.decode().lower() in KEPT_HEADERS}
    record = IdempotencyRecord(
        tenant=request.tenant,
        scope=request.scope,
        key=request.key,
        fingerprint=request.fingerprint,
        status=status,
        headers=kept,
        body=body,
        created_at=now,
        expires_at=now + KEPT_FOR,
    )
    try:
        await house.commit([PutIdempotency(record), *writes])
    except Duplicate as known:
        if known.what != "idempotency":
            raise
        twin = await replayed(house, request)
        if twin is None:  # not the caller's key but a business key was taken in the same moment by another request
            raise Problem(
                409, "conflict", "another request for the same thing was faster; ask again", headers={"Retry-After": "1"}
            ) from known
        return twin
    return None
