"""The public keys of a token issuer: fetched when they are first needed, again when a token names one that is not known, and from time
to time, so that a key that the issuer has withdrawn ends here, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt
import msgspec
import structlog

from canonical.failures import Failure
from policies.problems import Problem

REFETCH_S_MIN = 30.0  # between two fetches: tokens with made-up key ids must not make us call the issuer
RETRY_S = 2.0  # after a fetch that failed
FRESH_S = 600.0  # then they are fetched again
STALE_S_MAX = 3600.0  # as long they are used when the issuer cannot be reached

FetchKeys = Callable[[], Awaitable[bytes]]
Keys = Mapping[str, jwt.PyJWK]

log = structlog.get_logger("q2c.tokens")


class IssuerKeys:
    """The keys of one issuer. ``fetch`` gives its JWKS document; nothing in a token decides from where."""

    def __init__(self, fetch: FetchKeys, now: Callable[[], float]) -> None:
        self._fetch = fetch
        self._now = now
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._again_at = float("-inf")
        self._failed = False
        self._one_fetch = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id; None where the issuer has none. Raises `Problem` 503 where the issuer could not be asked."""
        if self._wanting(kid):
            async with self._one_fetch:  # whoever comes while the keys are on their way waits for them
                if self._wanting(kid):
                    await self._renew()
        found = self._keys.get(kid) if self._age_s < STALE_S_MAX else None
        if found is None and self._failed:
            raise _unreadable()
        return found

    @property
    def _age_s(self) -> float:
        return self._now() - self._fetched_at

    def _wanting(self, kid: str) -> bool:
        return (kid not in self._keys or self._age_s >= FRESH_S) and self._now() >= self._again_at

    async def _renew(self) -> None:
        try:
            self._keys = usable(await self._fetch())
        except (Failure, OSError, ValueError) as error:
            self._failed = True
            self._again_at = self._now() + RETRY_S
            log.warning("issuer_keys_not_fetched", why=f"{type(error).__name__}: {error}")
            return
        self._failed = False
        self._fetched_at = self._now()
        self._again_at = self._fetched_at + REFETCH_S_MIN


def usable(document: bytes) -> Keys:
    """The keys of a JWKS document that can verify signatures, by id; symmetric and private ones and those that we cannot read are left out.

    Raises `ValueError` for something that is no such document.
    """
    try:
        listed = msgspec.json.decode(document, type=dict[str, Any])["keys"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise ValueError(f"not a key set: {error}") from error
    found: dict[str, jwt.PyJWK] = {}
    for key in listed if isinstance(listed, list) else ():
        if isinstance(key, dict) and isinstance(key.get("kid"), str) and _for_verifying(key):
            try:
                found[key["kid"]] = jwt.PyJWK(key)
            except (jwt.PyJWTError, TypeError, ValueError, KeyError) as error:
                log.warning("issuer_key_left_out", kid=key["kid"], why=type(error).__name__)
    return found


def _for_verifying(key: Mapping[str, Any]) -> bool:
    return key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use", "sig") == "sig" and "d" not in key


def _unreadable() -> Problem:
    wait = {"Retry-After": str(round(RETRY_S))}
    return Problem(503, "issuer_unreadable", "the token issuer's keys cannot be read at the moment", headers=wait)
