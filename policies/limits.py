"""How large a body may be and of which type: checked before anything is read into memory or parsed."""

from collections.abc import Mapping

from litestar.types import HTTPRequestEvent, Message, Receive

from policies.declare import Policies
from policies.problems import Problem

BODILESS = {"GET", "HEAD", "DELETE", "OPTIONS"}
_LENGTH_DIGITS_MAX = 18


def check_type(headers: Mapping[str, str], policies: Policies) -> None:
    """Raises `Problem` 415 for a body of a type that the route does not take."""
    if not policies.content_types:
        return
    sent = headers.get("content-type", "")
    if sent in policies.content_types:
        return
    sent = sent.partition(";")[0].strip().lower()
    if sent not in policies.content_types:
        detail = f"send {' or '.join(policies.content_types)}, not {sent[:80] or 'a body without a type'}"
        raise Problem(415, "unsupported_media_type", detail)


def check_declared_length(headers: Mapping[str, str], limit: int) -> None:
    """Raises `Problem` 413 for a body that says of itself that it is too large."""
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > _LENGTH_DIGITS_MAX or int(declared) > limit):
        raise _too_large(limit)


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body, at most `limit` bytes. Raises `Problem` 413."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "disconnected", "the caller went away")
        chunk: bytes = message.get("body", b"")  # type: ignore[assignment]
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def again(body: bytes, receive: Receive) -> Receive:
    """A receive that gives a body which was read already, then whatever the server has to say."""
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()  # type: ignore[return-value]
        given = True
        return HTTPRequestEvent(type="http.request", body=body, more_body=False)  # type: ignore[return-value]

    return give  # type: ignore[return-value]


def _too_large(limit: int) -> Problem:
    return Problem(413, "too_large", f"a body may have at most {limit} bytes")
