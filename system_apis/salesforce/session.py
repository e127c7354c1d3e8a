"""How the gateway logs in to Salesforce: a token is had once, kept, and renewed once when the org says that the session is over.

Neither flow gives a refresh token or an expiry: a token lives as long as the org's session policy says (2 hours by default), so the only
sign of its end is 401 INVALID_SESSION_ID.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path

import jwt
import msgspec

from canonical.failures import Misconfigured
from runtime.clock import Clock
from runtime.http.client import HttpClient
from system_apis.salesforce.failures import TOKEN_FAILURES
from system_apis.salesforce.settings import SalesforceSettings

ASSERTION_LIVES = dt.timedelta(minutes=3)  # the longest that Salesforce takes
TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path, not a secret
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenAnswer(msgspec.Struct):
    """What the token endpoint gives; the rest of it (instance_url, id, scope) is not needed here."""

    access_token: str


def assertion(settings: SalesforceSettings, private_key: str, now: dt.datetime) -> str:
    """The signed statement that the connected app may act for the user: RS256, valid for three minutes. Raises `Misconfigured`."""
    claims = {
        "iss": settings.client_id,
        "sub": settings.username,
        "aud": settings.audience or settings.login_url,
        "exp": int((now + ASSERTION_LIVES).timestamp()),
    }
    try:
        return jwt.encode(claims, private_key, algorithm="RS256")
    except (jwt.InvalidKeyError, ValueError, TypeError) as error:
        raise Misconfigured("private_key_unreadable", "private_key is no RSA private key in PEM form") from error


class Session:
    """The `Auth` of the connection: one token for all requests; many requests that are refused at once renew it once."""

    def __init__(self, settings: SalesforceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._http = HttpClient(settings.login_url, failures=TOKEN_FAILURES, deadline_s=settings.deadline_s)
        self._token = ""
        self._used: ContextVar[str] = ContextVar("salesforce_token", default="")  # the token that the running request was sent with
        self._turn = asyncio.Lock()

    async def headers(self, _method: str, _url: str) -> Mapping[str, str]:
        """The bearer token; the first request logs in."""
        token = self._token or await self._renewed("")
        self._used.set(token)
        return {"Authorization": f"Bearer {token}"}

    async def renew(self) -> bool:
        """After a 401: a new token, unless another request has had one meanwhile."""
        await self._renewed(self._used.get())
        return True

    async def _renewed(self, refused: str) -> str:
        async with self._turn:
            if self._token == refused:
                self._token = ""
                self._token = await self._log_in()
            return self._token

    async def _log_in(self) -> str:
        answer = await self._http.send("POST", TOKEN_PATH, form=self._grant(), writes=False)
        token: str = answer.decode(TokenAnswer).access_token
        return token

    def _grant(self) -> dict[str, str]:
        settings = self._settings
        if settings.flow == "client_credentials":
            return {"grant_type": "client_credentials", "client_id": settings.client_id, "client_secret": settings.client_secret}
        return {"grant_type": JWT_BEARER, "assertion": assertion(settings, _pem(settings.private_key), self._clock.now())}

    async def aclose(self) -> None:
        """Close the way to the login host."""
        await self._http.aclose()


def _pem(key: str) -> str:
    if "-----BEGIN" in key:
        return key
    try:
        return Path(key).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Misconfigured("private_key_unreadable", f"the private key file cannot be read: {type(error).__name__}") from error
