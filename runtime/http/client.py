"""Outgoing HTTP: one total deadline, a byte cap, an auth hook, trace headers and the failure table; no retry.

httpx is the interface and aiohttp its transport (see `transport` and docs/decisions). One client per connection, kept open. Nothing outside
`runtime.http` knows which library does the work.
"""

import asyncio
import datetime as dt
import email.utils
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
import msgspec

from canonical.failures import Broken, Failure, OutcomeUnknown, Unavailable
from runtime import telemetry
from runtime.context import current
from runtime.http.failure_table import RETRY_AFTER_S_MAX, FailureTable
from runtime.http.transport import HEADERS, Transport, parsed

DEADLINE_S = 30.0
RESPONSE_BYTES_MAX = 8 * 1024 * 1024


class Auth(Protocol):
    """How a connection proves who it is."""

    async def headers(self, method: str, url: str) -> Mapping[str, str]:
        """Headers for this request; `url` is complete, with its query."""
        ...

    async def renew(self) -> bool:
        """After a 401: get new credentials; False where there are no others to be had."""
        ...


class StaticHeaders:
    """Credentials that do not change: an API key, Basic, a long-lived bearer token."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    async def headers(self, _method: str, _url: str) -> Mapping[str, str]:
        return self._headers

    async def renew(self) -> bool:
        return False


class Response(msgspec.Struct, frozen=True):
    """An answer with a status below 300; ``wrote``: to a request that may have changed something."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    wrote: bool = False

    def decode(self, shape: type[Any]) -> Any:
        """The body as a struct.

        Raises `Broken`, with the raw payload, where it is another document than the vendor promises. What is no document at all (a web page
        of something on the way, half an answer) says nothing of the request: `OutcomeUnknown` where it may have changed something, else
        `Unavailable`.
        """
        try:
            return msgspec.json.decode(self.body, type=shape)
        except msgspec.ValidationError as error:
            raise Broken("unreadable_answer", _not_a(shape, error), raw=self.text) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            word = OutcomeUnknown if self.wrote else Unavailable
            raise word("unreadable_answer", _not_a(shape, error), raw=self.text) from error

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class HttpClient:
    """One connection's way out. Raises only `Failure`s (and `CancelledError`)."""

    def __init__(
        self,
        base_url: str,
        *,
        failures: FailureTable,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = DEADLINE_S,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._failures = failures
        self._auth = auth
        self._headers = {"User-Agent": "q2c-gateway", "Accept": "application/json", "Accept-Encoding": "gzip, deflate", **(headers or {})}
        self._deadline_s = deadline_s
        self._bytes_max = response_bytes_max
        self._transport = Transport()

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        writes: bool | None = None,
        deadline_s: float | None = None,
    ) -> Response:
        """Send one request and read the whole answer.

        ``writes`` says whether the request may change something at the vendor (by default every method but GET and HEAD): only then is
        a time-out an unknown outcome. ``path`` is appended to the base URL, or stands alone when it begins with http.
        """
        changes = method not in {"GET", "HEAD"} if writes is None else writes
        address = parsed(path if path.startswith("http") else self._base_url + path)
        url = str(address.copy_merge_params(dict(params)) if params else address)
        body, body_type = _body(json, form, content)
        sent = {**self._headers, **({"Content-Type": body_type} if body_type else {}), **(headers or {})}
        answer = await self._once(method, url, body, sent, changes, deadline_s)
        if answer.status == 401 and self._auth is not None and await self._auth.renew():
            answer = await self._once(method, url, body, sent, changes, deadline_s)
        if answer.status >= 300:
            wait_s = retry_after_s(answer.headers)
            raise self._failures.failure(answer.status, answer.headers, answer.body, writes=changes, retry_after_s=wait_s)
        return answer

    async def _once(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], changes: bool, deadline_s: float | None
    ) -> Response:
        signed = {**headers, **(await self._auth.headers(method, url))} if self._auth else dict(headers)
        with telemetry.call_span(method, url):
            answer = await self._exchange(method, url, body, {**_trace_headers(), **signed}, changes, deadline_s)
            telemetry.note({"http.response.status_code": answer.status}, failed=answer.status >= 400 and answer.status != 404)
            return answer

    async def _exchange(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        changes: bool,
        deadline_s: float | None,
    ) -> Response:
        seconds = deadline_s or self._deadline_s
        try:
            async with asyncio.timeout(seconds):
                request = httpx.Request(method, parsed(url), content=body, extensions={HEADERS: headers})
                answer = await self._transport.handle_async_request(request)
                try:
                    return Response(answer.status_code, _headers(answer), await self._read(answer, changes), wrote=changes)
                finally:
                    await answer.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unavailable("unreachable", "no connection could be made", raw=f"{self._base_url}: {error}") from error
        except TimeoutError as error:
            raise _interrupted(changes, f"no complete answer within {seconds:g} s") from error
        except httpx.HTTPError as error:
            raise _interrupted(changes, f"the connection broke: {type(error).__name__}") from error

    async def _read(self, answer: httpx.Response, changes: bool) -> bytes:
        chunks, size = [], 0
        if "," in answer.headers.get("content-encoding", ""):
            # A few hundred bytes packed twice unpack to gigabytes, and each layer is unpacked as a whole before its size can be seen.
            raise _unusable(changes, "answer_packed_twice", "the answer is compressed more than once")
        plain = isinstance(answer.stream, httpx.AsyncByteStream) and "content-encoding" not in answer.headers
        async for chunk in answer.stream if plain else answer.aiter_bytes():  # type: ignore[union-attr]
            size += len(chunk)
            if size > self._bytes_max:
                raise _unusable(changes, "answer_too_large", f"the answer is larger than {self._bytes_max} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._transport.aclose()


def _unusable(changes: bool, code: str, detail: str) -> Failure:
    """An answer that is not taken: after a write nobody knows what was done, a read is simply wrong."""
    return OutcomeUnknown(code, detail) if changes else Broken(code, detail)


def _not_a(shape: type[Any], error: Exception) -> str:
    return f"the answer is not the {getattr(shape, '__name__', shape)} that the vendor documents: {error}"


def _headers(answer: httpx.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers.raw}


def _interrupted(changes: bool, detail: str) -> Failure:
    return OutcomeUnknown("no_answer", detail) if changes else Unavailable("no_answer", detail)


def _body(json: Any, form: Mapping[str, str] | None, content: bytes | None) -> tuple[bytes | None, str]:
    if json is not None:
        return msgspec.json.encode(json), "application/json"
    if form is not None:
        return str(httpx.QueryParams(dict(form))).encode(), "application/x-www-form-urlencoded"
    return content, ""


def _trace_headers() -> dict[str, str]:
    context = current()
    named = {"traceparent": context.traceparent, "X-Correlation-Id": context.correlation_id}
    return {name: value for name, value in named.items() if value}


def retry_after_s(headers: Mapping[str, str], now: dt.datetime | None = None) -> float | None:
    """Seconds to wait as Retry-After says, as a number or an HTTP date; capped at a day, None where absent or unreadable."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.replace(".", "", 1).isdigit() and value.isascii():
        return min(float(value), RETRY_AFTER_S_MAX)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return min(max((aware - (now or dt.datetime.now(dt.UTC))).total_seconds(), 0.0), RETRY_AFTER_S_MAX)
