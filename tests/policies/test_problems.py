"""Every error, whatever its origin, is one kind of document."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from litestar.exceptions import InternalServerException
from litestar.types import Receive, Send

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from policies.problems import pointer_of, pointer_to
from runtime.store.contract import Duplicate
from tests.policies.shop import LIMIT, Shop, pointers, problem


def failed(lines: Sequence[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """The log lines about what went wrong."""
    return [line for line in lines if line["event"] == "request_failed"]


CANARY = "postgresql://q2c:s3cret@db.internal/q2c"


async def test_a_route_that_does_not_exist(shop: Shop) -> None:
    """A path that nothing serves is a problem document with the caller's correlation id, with and without a token."""
    async with shop.caller() as client:
        for headers in ({}, {"authorization": ""}):
            answer = await client.get("/nowhere/at/all", headers={"x-correlation-id": "q2c-mine", **headers})
            assert problem(answer, 404, "not_found")["correlation_id"] == "q2c-mine"
            assert answer.json()["instance"] == "/nowhere/at/all"


NOT_SERVED = (
    ("PUT", "/purchases"),
    ("HEAD", "/purchases"),
    ("HEAD", "/open"),
    ("OPTIONS", "/purchases"),
    ("OPTIONS", "/purchases/1/returns"),
    ("OPTIONS", "/open"),
    ("OPTIONS", "/docs"),
)


@pytest.mark.parametrize(("method", "path"), NOT_SERVED)
async def test_methods_that_are_not_served(shop: Shop, method: str, path: str) -> None:
    """Methods that a path does not serve, HEAD and OPTIONS among them, are 405 with what it serves, and nothing else."""
    async with shop.caller() as client:
        answer = await client.request(method, path)
    if method == "HEAD":  # answers to it have no body
        assert (answer.status_code, answer.content) == (405, b"")
    else:
        problem(answer, 405, "method_not_allowed")
    served = {"/purchases": "GET, POST", "/purchases/1/returns": "POST"}.get(path, "GET")
    assert answer.headers["allow"] == served


async def test_the_correlation_id_goes_with_every_answer(shop: Shop) -> None:
    """Good answers carry the caller's correlation id or a new one, once, and the route works under the same."""
    async with shop.caller() as client:
        named = await client.get("/open", headers={"x-correlation-id": "q2c-7f3a"})
        assert (named.headers.get_list("x-correlation-id"), named.json()["correlation_id"]) == (["q2c-7f3a"], "q2c-7f3a")
        for bad in ("", "x", "two words", "a" * 65, "a\x7fbcd", "äöüß"):
            new = await client.get("/open", headers=[(b"x-correlation-id", bad.encode())])
            assert new.headers["x-correlation-id"].startswith("q2c-")
            assert new.json()["correlation_id"] == new.headers["x-correlation-id"]
        twice = await client.get("/open", headers=[("x-correlation-id", "q2c-aaaa"), ("x-correlation-id", "q2c-bbbb")])
        assert twice.headers["x-correlation-id"] not in {"q2c-aaaa", "q2c-bbbb"}
        assert twice.headers["x-content-type-options"] == "nosniff"


async def test_a_route_that_refuses(shop: Shop) -> None:
    """What routes and rules refuse is told as they say it, with the pointer."""
    async with shop.caller() as client:
        gone = problem(await client.get("/purchases/missing"), 404, "purchase_unknown")
        assert (gone["detail"], gone["hint"]) == ("no such purchase", "look elsewhere")
        refused = await client.get("/purchases/forbidden")
        assert problem(refused, 422, "not_this_one")["detail"] == "rules say no"
        assert pointers(refused) == ["/purchase~id"]


async def test_query_parameters(shop: Shop) -> None:
    """A query parameter that does not fit is 400 and named."""
    async with shop.caller() as client:
        for query, name in (("limit=0", "limit"), ("limit=many", "limit"), ("kind=broken", "kind"), ("limit=%00", "limit")):
            answer = await client.get(f"/purchases?{query}")
            assert [error["parameter"] for error in problem(answer, 400, "invalid_request")["errors"]] == [name]
        assert (await client.get("/purchases?limit=3&kind=used")).json() == ["3 used"]


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Misconfigured("no_rights", CANARY), 502),
        (Throttled("too_fast", CANARY, retry_after_s=2.4), 429),
        (Unavailable("store_down", CANARY), 503),
        (OutcomeUnknown("commit_in_doubt", CANARY), 504),
        (Broken("store_bug", CANARY, raw=CANARY), 502),
    ],
)
async def test_failures(shop: Shop, failure: Failure, status: int) -> None:
    """What fails behind the gateway is told by its code, without its details, which stand in one log line under the correlation id."""
    shop.journal.failure = failure
    async with shop.caller() as client:
        with structlog.testing.capture_logs() as lines:
            answer = await client.get("/purchases")
    document = problem(answer, status, failure.code)
    assert CANARY not in answer.text
    assert answer.headers.get("retry-after") == ("2" if failure.word == "throttled" else None)
    assert [(line["correlation_id"], line["code"], line["why"]) for line in failed(lines)] == [
        (document["correlation_id"], failure.code, CANARY)
    ]


async def test_a_rejection_that_http_has_a_word_for(shop: Shop) -> None:
    """A rejection because of something that is there already is a conflict, whichever way it came."""
    shop.journal.failure = Rejected("order_exists", "order O-1 is there already")
    async with shop.caller() as client:
        problem(await client.get("/purchases"), 409, "order_exists")


@pytest.mark.parametrize("bug", [KeyError(CANARY), InternalServerException(CANARY), msgspec.DecodeError(CANARY), Duplicate(CANARY)])
async def test_a_bug_is_500_and_shows_nothing(shop: Shop, bug: Exception) -> None:
    """A bug is 500, nothing of the inside shows, and it is logged once, with its traceback and the correlation id."""
    shop.journal.failure = bug
    async with shop.caller() as client:
        with structlog.testing.capture_logs() as lines:
            answer = await client.get("/purchases", headers={"x-correlation-id": "q2c-bug1"})
    problem(answer, 500, "internal_error")
    assert type(bug).__name__ not in answer.text
    assert CANARY not in answer.text
    assert [(line["log_level"], line["correlation_id"], line["exc_info"]) for line in failed(lines)] == [
        ("error", "q2c-bug1", shop.journal.failure)
    ]


async def test_a_bug_in_the_policies_is_a_problem_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in a policy itself ends in the same document, under the same correlation id as its log line."""

    async def broken(_authorization: str) -> Any:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(shop.verifier, "verify", broken)
    async with shop.caller() as client:
        with structlog.testing.capture_logs() as lines:
            document = problem(await client.get("/purchases"), 500, "internal_error")
    assert [line["correlation_id"] for line in failed(lines)] == [document["correlation_id"]]


async def test_an_error_inside_a_route_is_not_the_callers(shop: Shop) -> None:
    """A document of our own that cannot be read is our bug, not a mistake in the caller's body."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(b'{"item": 1}', type=dict[str, str])
    shop.journal.failure = caught.value
    async with shop.caller() as client:
        problem(await client.get("/purchases"), 500, "internal_error")


async def test_bodies_of_another_type(shop: Shop) -> None:
    """A body of a type that the route does not take is 415; parameters and upper case do not matter."""
    async with shop.caller() as client:
        for kind, status in (
            ("text/plain", 415),
            ("application/xml", 415),
            ("", 415),
            ("application/json, text/plain", 415),
            ("application/json; charset=utf-8", 202),
            ("Application/JSON", 202),
        ):
            answer = await client.post(
                "/purchases", content=b'{"item":"chair"}', headers={"content-type": kind, "idempotency-key": f"k{kind[:3]}"}
            )
            assert answer.status_code == status, (kind, answer.text)
            if status == 415:
                problem(answer, 415, "unsupported_media_type")


async def test_bodies_that_say_they_are_too_large(shop: Shop) -> None:
    """A body that declares too great a length is refused unread, whatever number it names; a lie about the length does not help."""
    for declared in (str(LIMIT + 1), "9" * 5000):
        answer, received = await raw(shop, [b"{}"], [(b"content-length", declared.encode())])
        assert (answer.status_code, received) == (413, 0)
        problem(answer, 413, "too_large")
    for odd in (b"\xb2", b"-1", b"1, 1", b"0x10"):
        answer, received = await raw(shop, [b" " * LIMIT, b" "], [(b"content-length", odd)])
        assert (answer.status_code, received) == (413, 2)


async def test_bodies_without_end(shop: Shop) -> None:
    """A body in chunks is cut off where it passes the limit; the rest is not read."""
    answer, received = await raw(shop, [b" " * 100_000] * 100, [])
    problem(answer, 413, "too_large")
    assert received == LIMIT // 100_000 + 1


async def raw(shop: Shop, chunks: list[bytes], headers: list[tuple[bytes, bytes]], path: str = "/purchases") -> tuple[httpx.Response, int]:
    """A POST as a server hands it on, chunk by chunk; the answer, and how many chunks were taken."""
    received = 0

    async def receive() -> Any:
        nonlocal received
        received += 1
        more = received < len(chunks)
        return {"type": "http.request", "body": chunks[received - 1], "more_body": more}

    return await through(shop, headers, receive, path), received


async def through(shop: Shop, headers: list[tuple[bytes, bytes]], receive: Receive, path: str) -> httpx.Response:
    """One request through the ASGI interface."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    answer: Send = send
    named = [
        (b"authorization", f"Bearer {shop.token()}".encode()),
        (b"content-type", b"application/json"),
        (b"idempotency-key", b"raw"),
        *headers,
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": named,
        "scheme": "http",
        "server": ("shop", 80),
        "client": ("test", 1),
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    await shop.app(scope, receive, answer)  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return httpx.Response(messages[0]["status"], headers=messages[0]["headers"], content=body)


async def test_a_caller_who_goes_away(shop: Shop) -> None:
    """A caller who goes away in the middle of a body has done nothing."""

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    problem(await through(shop, [], receive, "/purchases"), 400, "disconnected")
    assert shop.journal.done == []


async def test_the_instance_is_a_reference(shop: Shop) -> None:
    """The instance in a problem is a URI reference: what does not belong into one is escaped, and it is not endless."""
    async with shop.caller() as client:
        odd = problem(await client.get("/no%0d%0awhere/%22%3Cscript%3E%C3%A9"), 404, "not_found")
        assert odd["instance"] == "/no%0D%0Awhere/%22%3Cscript%3E%C3%A9"
        assert len(problem(await client.get("/" + "x" * 9000), 404, "not_found")["instance"]) == 2000


def test_pointers() -> None:
    """The places that msgspec names become JSON pointers, and names with ~ and / are escaped."""
    assert pointer_of("Expected `int` - at `$.lines[0].total`") == "/lines/0/total"
    assert pointer_of("Expected `int` - at `$[3]`") == "/3"
    assert pointer_of("Expected `int` - at `$`") == ""
    assert pointer_of("Object missing required field `x`") == ""
    assert pointer_of("bad - at `$.notes[...].amount`") == "/notes"
    assert pointer_of("bad - at `key in $.notes`") == "/notes"
    assert pointer_to("/a", "b/c~d") == "/a/b~1c~0d"
