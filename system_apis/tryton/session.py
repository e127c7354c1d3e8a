"""How the gateway logs in to Tryton: a session token, had with the first request and again when Tryton says that it has ended."""

import asyncio
import base64
from collections.abc import Mapping
from contextvars import ContextVar

import msgspec

from canonical.failures import Broken, Misconfigured
from runtime.http.client import HttpClient
from system_apis.tryton.failures import FAILURES
from system_apis.tryton.settings import TrytonSettings


class _LoggedIn(msgspec.Struct):
    result: list[object] | None = None
    error: list[object] | None = None


class Session:
    """The `Auth` of the connection: ``Authorization: Session base64(user:uid:token)``; refused requests side by side log in once."""

    def __init__(self, settings: TrytonSettings) -> None:
        self._settings = settings
        self._http = HttpClient(settings.rpc_url, failures=FAILURES, deadline_s=settings.deadline_s)
        self._token = ""
        self._used: ContextVar[str] = ContextVar("tryton_session", default="")  # the token that the running request was sent with
        self._turn = asyncio.Lock()

    async def headers(self, _method: str, _url: str) -> Mapping[str, str]:
        """The session; the first request logs in."""
        token = self._token or await self._renewed("")
        self._used.set(token)
        return {"Authorization": f"Session {token}"}

    async def renew(self) -> bool:
        """After a refusal: a new session, unless another request has had one meanwhile."""
        await self._renewed(self._used.get())
        return True

    async def _renewed(self, refused: str) -> str:
        async with self._turn:
            if self._token == refused:
                self._token = ""
                self._token = await self._log_in()
            return self._token

    async def _log_in(self) -> str:
        user, password = self._settings.user, self._settings.password
        question = {"id": 0, "method": "common.db.login", "params": [user, {"password": password}, "en"]}
        answer = await self._http.send("POST", "/", json=question, writes=False)
        said = answer.decode(_LoggedIn)
        if said.error:
            raise FAILURES.failure(answer.status, answer.headers, answer.body, writes=False, retry_after_s=None)
        if said.result is None:
            raise Misconfigured("login_refused", f"Tryton does not know {user!r} with this password")
        match said.result:
            case [int() as user_id, str() as token, *_]:
                return base64.b64encode(f"{user}:{user_id}:{token}".encode()).decode()
        raise Broken("unreadable_answer", "the answer to the log-in holds no session")

    async def aclose(self) -> None:
        """Close the way to the log-in."""
        await self._http.aclose()
