"""Who is asking: JSON Web Tokens, verified once and remembered until they expire.

Only asymmetric algorithms; the algorithm family is fixed by the issuer's settings, never by the token. What PyJWT leaves open is closed
here: a token must have exp, iat, iss, aud and sub, exp must be a number, typ must say access token, and headers that point elsewhere
(jku, x5u, jwk, crit) are refused.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt
import msgspec

from policies.problems import Problem

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
TOKEN_BYTES_MAX = 8 * 1024
REMEMBERED_MAX = 10_000
LEEWAY_S = 10
REFETCH_S_MIN = 30.0
FORBIDDEN_HEADERS = {"jku", "x5u", "jwk", "x5c", "crit"}

FetchKeys = Callable[[], Awaitable[bytes]]


class Caller(msgspec.Struct, frozen=True):
    """Who a token speaks for."""

    subject: str
    client: str
    tenant: str
    scopes: frozenset[str]
    expires_at: float


class Verifier:
    """Verifies the tokens of one issuer. ``fetch_keys`` gives the issuer's JWKS document."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        fetch_keys: FetchKeys,
        *,
        algorithms: tuple[str, ...] = ALGORITHMS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._fetch_keys = fetch_keys
        self._algorithms = algorithms
        self._now = now
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._remembered: OrderedDict[bytes, Caller] = OrderedDict()

    async def verify(self, authorization: str) -> Caller:
        """The caller behind an Authorization header. Raises `Problem` 401."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _refused("send an access token: Authorization: Bearer …")
        if len(token) > TOKEN_BYTES_MAX or not token.isascii():
            raise _refused("the token is not a JSON Web Token")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is None:
            known = self._caller(await self._claims(token))
            self._remembered[digest] = known
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        if known.expires_at + LEEWAY_S <= self._now():
            self._remembered.pop(digest, None)
            raise _refused("the token has expired")
        return known

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise _refused("the token is not a JSON Web Token") from error
        if FORBIDDEN_HEADERS & set(header) or header.get("alg") not in self._algorithms:
            raise _refused("the token's header is not accepted")
        if str(header.get("typ", "")).lower() not in {"at+jwt", "application/at+jwt"}:
            raise _refused("the token is not an access token (typ at+jwt)")
        key = await self._key(str(header.get("kid", "")))
        if key.algorithm_name != header["alg"]:
            raise _refused("the token's algorithm is not that of its key")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"], "verify_exp": False},
            )
        except jwt.PyJWTError as error:
            raise _refused(f"the token is not valid: {error}") from error
        if isinstance(claims["exp"], bool) or not isinstance(claims["exp"], int | float):
            raise _refused("the token's exp is not a number")
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys and self._now() - self._fetched_at >= REFETCH_S_MIN:
            self._fetched_at = self._now()
            self._keys = _keys(await self._fetch_keys())
        try:
            return self._keys[kid]
        except KeyError:
            raise _refused("the token was signed with an unknown key") from None

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        scope = claims.get("scope", "")
        if not isinstance(scope, str) or not isinstance(claims["sub"], str):
            raise _refused("the token's claims are not of the right kind")
        return Caller(
            subject=claims["sub"],
            client=str(claims.get("client_id", claims["sub"])),
            tenant=str(claims.get("tenant", "default")),
            scopes=frozenset(scope.split()),
            expires_at=float(claims["exp"]),
        )


def require_scope(caller: Caller, scope: str) -> None:
    """Raises `Problem` 403 where the token lacks the scope of the route."""
    if scope and scope not in caller.scopes:
        raise Problem(403, "scope_missing", f"this needs the scope {scope}")


def _keys(document: bytes) -> dict[str, jwt.PyJWK]:
    """The usable keys of a JWKS document, by kid; symmetric keys are not usable."""
    try:
        found = msgspec.json.decode(document)["keys"]
        return {
            str(key["kid"]): jwt.PyJWK(key)
            for key in found
            if isinstance(key, dict) and "kid" in key and key.get("kty") != "oct" and key.get("use", "sig") == "sig"
        }
    except (jwt.PyJWTError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise Problem(503, "issuer_unreadable", "the token issuer's keys cannot be read") from error


def _refused(detail: str) -> Problem:
    return Problem(401, "not_authenticated", detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
