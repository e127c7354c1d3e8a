"""However a path is written, the decision is that of the canonical path."""

import asyncio
import contextlib
from typing import Any
from urllib.parse import unquote

import pytest
from litestar.types import Scope

from tests.policies.shop import Shop
from tests.system_apis.harness import served

SAME = ("/purchases", "//purchases", "/purchases/", "/purchases//", "/%70urchases", "///purchases///", "/%2fpurchases", "/purchases%2f")
SAME_WITH_ID = ("/purchases/1", "//purchases/1", "/purchases//1/", "/purchases%2f1", "/purchases/%31", "/purchases%2F%2F1")
ELSEWHERE = (
    "/x/open",
    "/open/x",
    "/open;x",
    "/open%00",
    "/open%20",
    "/open%0a",
    "/Open",
    "/./open",
    "/x/../open",
    "/open/../purchases",
    "/open/..%2fpurchases",
    "/purchases/1/../../open",
    "/purchases;x=/open",
    "/%252e%252e/open",
    "/purchases%252f1",
    "/docs/../purchases",
    "/health/live/x",
    "/x/health/live",
    "/\\purchases",
    "/purchases%5c1",
)
NAMES = (
    "/purchases/open",
    "/purchases/health",
    "/purchases/%00",
    "/purchases/..",
    "/purchases/;x",
    "/purchases/%e2%80%ae",
    "/purchases/%ff",
)


async def statuses(shop: Shop, path: str, *tokens: str) -> list[int]:
    """What the path answers to a GET, without a token and with some; with the path as a server decodes it."""
    found = []
    for token in ("", *tokens):
        messages: list[Any] = []

        async def send(message: Any, into: list[Any] = messages) -> None:
            into.append(message)

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "method": "GET",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"authorization", f"Bearer {token}".encode())] if token else [],
            "scheme": "http",
            "server": ("shop", 80),
            "client": ("test", 1),
            "http_version": "1.1",
            "asgi": {"version": "3.0"},
        }
        asked: Scope = scope  # type: ignore[assignment]
        await shop.app(asked, receive, send)  # type: ignore[arg-type]
        found.append(messages[0]["status"])
    return found


@pytest.mark.parametrize("path", [*SAME, *SAME_WITH_ID])
async def test_the_same_place(shop: Shop, path: str) -> None:
    """Doubled, trailing and encoded slashes and letters lead to the same route, with the same token and scope wanted."""
    assert await statuses(shop, path, shop.token(scopes="shop:write"), shop.token()) == [401, 403, 200]


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_another_place(shop: Shop, path: str) -> None:
    """A path that only looks like that of an open route, or that tries to climb, leads nowhere: 404, or 401 without a token."""
    without, with_token = await statuses(shop, path, shop.token())
    assert (without, with_token) in {(404, 404), (401, 404)}


@pytest.mark.parametrize("path", NAMES)
async def test_odd_names(shop: Shop, path: str) -> None:
    """A name in a path is a name, whatever it looks like: the token and scope of its route are wanted."""
    assert await statuses(shop, path, shop.token(scopes="shop:write"), shop.token()) == [401, 403, 200]


async def exchange(port: int, request: bytes) -> bytes:
    """Bytes as they are, to a real server, and its whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "target",
    [
        "http://shop/purchases",
        "http://evil.example/purchases",
        "http://shop/open/../purchases",
        "/purchases?x=/open",
        "/purchases#/open",
        "//purchases",
        "//open/purchases",
        "/purchases/%2e%2e/open",
        "/%2e/open",
        "*",
        "purchases",
    ],
)
async def test_targets_as_a_real_server_hands_them_on(shop: Shop, target: str) -> None:
    """Through a real server as well no way of writing a target gets in without a token."""
    async with served(shop.app) as base:
        port = int(base.rpartition(":")[2])
        answer = await exchange(port, f"GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] in {b"400", b"401", b"404"}


async def test_a_real_server_says_what_the_application_says(shop: Shop) -> None:
    """Over a real connection a refusal is the same document with the same correlation id in body and header."""
    async with served(shop.app) as base:
        port = int(base.rpartition(":")[2])
        ask = b"GET /purchases HTTP/1.1\r\nHost: shop\r\nX-Correlation-Id: q2c-wire\r\nConnection: close\r\n\r\n"
        head, _, body = (await exchange(port, ask)).partition(b"\r\n\r\n")
        options = await exchange(port, b"OPTIONS * HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        nul = await exchange(port, b"GET /open\0 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert head.lower().count(b"x-correlation-id: q2c-wire") == 1
    assert b'"correlation_id":"q2c-wire"' in body
    assert options.split(b" ", 2)[1] in {b"400", b"404"}
    assert nul.split(b" ", 2)[1] == b"400"
