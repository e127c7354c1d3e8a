"""Who is asking: JSON Web Tokens, verified once and remembered for a while.

Only asymmetric algorithms, and each key has its own: a token cannot choose. What PyJWT leaves open is closed here: a token must have exp,
iat, iss, aud and sub, moments must be finite numbers, typ must say access token, and headers that point elsewhere (jku, x5u, jwk, crit)
are refused.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import msgspec

from canonical.failures import Misconfigured
from policies.issuer_keys import FetchKeys, IssuerKeys
from policies.problems import Problem

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
TOKEN_BYTES_MAX = 8 * 1024
REMEMBERED_MAX = 10_000
REMEMBERED_S = 300.0  # then the signature is verified again, with the keys that the issuer then has
LEEWAY_S = 10
NAME_CHARS_MAX = 255
FORBIDDEN_HEADERS = {"jku", "x5u", "jwk", "x5c", "crit", "b64"}
TYPES = {"at+jwt", "application/at+jwt"}
# Moments are checked below, against a clock that is handed in.
OPTIONS: Any = {
    "require": ["exp", "iat", "iss", "aud", "sub"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "enforce_minimum_key_length": True,
}
REFUSED: dict[type[jwt.PyJWTError], str] = {
    jwt.InvalidSignatureError: "the token's signature is not valid",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is from another issuer",
    jwt.MissingRequiredClaimError: "the token must have exp, iat, iss, aud and sub",
}


class Caller(msgspec.Struct, frozen=True):
    """Who a token speaks for."""

    subject: str
    client: str
    tenant: str
    scopes: frozenset[str]
    expires_at: float


class Verifier:
    """Verifies the tokens of one issuer. ``fetch_keys`` gives its JWKS document. Raises `Misconfigured` without issuer or audience."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        fetch_keys: FetchKeys,
        *,
        algorithms: tuple[str, ...] = ALGORITHMS,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not issuer or not audience:
            raise Misconfigured("issuer_unnamed", "tokens.issuer and tokens.audience must say whose tokens are accepted, and for whom")
        self._issuer = issuer
        self._audience = audience
        self._keys = IssuerKeys(fetch_keys, now)
        self._algorithms = algorithms
        self._now = now
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def verify(self, authorization: str) -> Caller:
        """The caller behind an Authorization header. Raises `Problem` 401."""
        if not authorization:
            raise _refused("send an access token: Authorization: Bearer …", challenge="Bearer")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_BYTES_MAX or not token.isascii():
            raise _refused("the credentials are not a bearer token")
        digest = hashlib.sha256(token.encode()).digest()
        now = self._now()
        caller, until = self._remembered.get(digest, (None, 0.0))
        if caller is None or until <= now:
            self._remembered.pop(digest, None)
            caller = self._caller(await self._claims(token), now)
            self._remembered[digest] = caller, now + REMEMBERED_S
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        if caller.expires_at + LEEWAY_S <= now:
            self._remembered.pop(digest, None)
            raise _refused("the token has expired")
        return caller

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused("the token is not a JSON Web Token") from None
        if not FORBIDDEN_HEADERS.isdisjoint(header) or header.get("alg") not in self._algorithms:
            raise _refused("the token's header is not accepted")
        if str(header.get("typ", "")).lower() not in TYPES:
            raise _refused("the token is not an access token (typ at+jwt)")
        key = await self._keys.key(str(header.get("kid", "")))
        if key is None or key.algorithm_name != header["alg"]:
            raise _refused("the token was signed with an unknown key")
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=[key.algorithm_name], audience=self._audience, issuer=self._issuer, options=OPTIONS
            )
        except jwt.PyJWTError as error:
            raise _refused(REFUSED.get(type(error), "the token is not valid")) from None
        return claims

    def _caller(self, claims: Mapping[str, Any], now: float) -> Caller:
        if max(_moment(claims, "iat"), _moment(claims, "nbf", missing=0.0)) > now + LEEWAY_S:
            raise _refused("the token is not valid yet")
        scope = claims.get("scope", "")
        if not isinstance(scope, str):
            raise _refused("the token's scope is not a text")
        subject = _name(claims, "sub")
        return Caller(
            subject=subject,
            client=_name(claims, "client_id") if "client_id" in claims else f"sub:{subject}",
            tenant=_name(claims, "tenant") if "tenant" in claims else "default",
            scopes=frozenset(scope.split()),
            expires_at=_moment(claims, "exp"),
        )


def require_scope(caller: Caller, scope: str) -> None:
    """Raises `Problem` 403 where the token lacks the scope of the route."""
    if scope and scope not in caller.scopes:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise Problem(403, "scope_missing", f"this needs the scope {scope}", headers={"WWW-Authenticate": challenge})


def _moment(claims: Mapping[str, Any], claim: str, *, missing: float | None = None) -> float:
    value = claims.get(claim, missing)
    try:
        moment = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:  # a whole number beyond all floats
        moment = math.inf
    if not math.isfinite(moment):
        raise _refused(f"the token's {claim} is not a moment")
    return moment


def _name(claims: Mapping[str, Any], claim: str) -> str:
    """Names go into unique indexes and log lines, so they are short and printable."""
    value = claims[claim]
    if not isinstance(value, str) or not 0 < len(value) <= NAME_CHARS_MAX or not value.isprintable():
        raise _refused(f"the token's {claim} is not a name")
    return value


def _refused(detail: str, challenge: str = 'Bearer error="invalid_token"') -> Problem:
    return Problem(401, "not_authenticated", detail, headers={"WWW-Authenticate": challenge})
