"""httpx's interface over aiohttp, with nothing on the way that a vendor call does not need.

The client of httpx parses the address three times, merges headers, cookies and time-outs, and the public transport asks aiohttp for all
that it can do. A call to a vendor knows its address, its headers and its deadline already. Measured: half the CPU of a call.
"""

from collections.abc import AsyncIterator
from functools import lru_cache

import aiohttp
import httpx
import yarl

# An extension of a request: its headers as they are to be sent, so that they need not be parsed and written out again on the way.
HEADERS = "q2c.headers"
CHUNK_BYTES = 16 * 1024  # what this may become when it is decompressed has to be bearable, too
CONNECTIONS_MAX = 200
KEPT_FOR_S = 30.0
# The deadline of the whole call stands around it; aiohttp has none of its own.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


@lru_cache(maxsize=4096)
def parsed(url: str) -> httpx.URL:
    """The address as httpx knows it. Raises `httpx.InvalidURL`."""
    return httpx.URL(url)


@lru_cache(maxsize=4096)
def _target(url: str) -> yarl.URL:
    return yarl.URL(url, encoded=True)


class _InTheirWords:
    """What aiohttp throws, in httpx's words. Only where no connection came about it is certain that nothing was done: a connection that the
    other side closes in mid-call is a kind of connection error to aiohttp, too, and the call may well have had its effect.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            raise httpx.ConnectError(str(error)) from error
        if isinstance(error, aiohttp.InvalidURL):
            raise httpx.UnsupportedProtocol(str(error)) from error
        if isinstance(error, aiohttp.ClientError):
            raise httpx.ReadError(f"{type(error).__name__}: {error}") from error


_IN_THEIR_WORDS = _InTheirWords()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes in."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _IN_THEIR_WORDS:
            async for chunk in self._answer.content.iter_chunked(CHUNK_BYTES):
                yield chunk

    async def aclose(self) -> None:
        if self._answer.content.at_eof():
            self._answer.release()
        else:  # the rest of the body would be taken for the next answer
            self._answer.close()


class Transport(httpx.AsyncBaseTransport):
    """Connections that are kept, without cookies, redirects, proxies or decompression: the caller decides about all of them."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEPT_FOR_S)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=_NO_TIMEOUT,
            requote_redirect_url=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send; the answer's body is still to be read. Raises httpx's errors."""
        if self._session is None:
            self._session = self._open()
        headers = request.extensions.get(HEADERS)
        if headers is None:
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        with _IN_THEIR_WORDS:
            answer = await self._session.request(
                request.method, _target(str(request.url)), data=request.content or None, headers=headers, allow_redirects=False
            )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer), request=request)

    async def aclose(self) -> None:
        """Close the kept connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
