"""Problem details (RFC 9457): every error is one document with a stable type, a pointer to the field, and the correlation id."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from canonical.failures import Failure
from runtime.context import current

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:q2c:problem:"


class Problem(Exception):
    """Raised by policies and routes; becomes a problem document."""

    def __init__(
        self, status: int, code: str, detail: str, *, pointer: str = "", headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.pointer = pointer
        self.headers = dict(headers or {})
        self.extra = extra


TITLES = {
    400: "The request cannot be read",
    401: "Who is asking is not known",
    403: "This is not allowed",
    404: "There is no such thing",
    405: "This method is not served here",
    409: "This conflicts with what is there",
    413: "The request is too large",
    415: "This media type is not understood",
    422: "The request cannot be accepted",
    429: "Too many requests",
    500: "The gateway has failed",
    502: "A system behind the gateway has failed",
    503: "A system behind the gateway is not available",
    504: "A system behind the gateway did not answer in time",
}

FAILURE_STATUS = {
    "rejected": 422,
    "misconfigured": 502,
    "throttled": 429,
    "unavailable": 503,
    "outcome_unknown": 504,
    "broken": 502,
}


def document(
    status: int, code: str, detail: str, *, pointer: str = "", instance: str = "", headers: Mapping[str, str] | None = None, **extra: Any
) -> Response[bytes]:
    """The problem document as a response."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + code.replace("_", "-"),
        "title": TITLES.get(status, "The request failed"),
        "status": status,
        "detail": detail,
    }
    if instance:
        body["instance"] = instance
    if pointer:
        body["errors"] = [{"pointer": pointer, "detail": detail}]
    body["correlation_id"] = current().correlation_id
    body.update(extra)
    return Response(msgspec.json.encode(body), status_code=status, media_type=PROBLEM_JSON, headers=dict(headers or {}))


def of(error: BaseException, instance: str = "") -> Response[bytes]:
    """The problem behind any exception; nothing of the inside shows in it."""
    for known in _chain(error):
        if isinstance(known, Problem):
            return document(
                known.status, known.code, known.detail, pointer=known.pointer, instance=instance, headers=known.headers, **known.extra
            )
        if isinstance(known, Failure):
            return _of_failure(known, instance)
        if isinstance(known, msgspec.ValidationError):
            return _of_validation(known, instance)
        if isinstance(known, msgspec.DecodeError | UnicodeDecodeError | RecursionError):
            return document(400, "malformed_body", "the body is not well-formed JSON in UTF-8", instance=instance)
    if isinstance(error, HTTPException):
        return document(
            error.status_code, HTTP_CODES.get(error.status_code, f"http_{error.status_code}"), str(error.detail), instance=instance
        )
    return document(500, "internal_error", "the gateway has failed; nothing was written", instance=instance)


HTTP_CODES = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


def _of_failure(failure: Failure, instance: str) -> Response[bytes]:
    headers = {} if failure.retry_after_s is None else {"Retry-After": str(max(1, round(failure.retry_after_s)))}
    return document(FAILURE_STATUS[failure.word], failure.code, failure.detail, pointer=failure.pointer, instance=instance, headers=headers)


def _of_validation(error: msgspec.ValidationError, instance: str) -> Response[bytes]:
    message = str(error)
    return document(422, "invalid_body", message.split(" - at `", maxsplit=1)[0], pointer=pointer_of(message), instance=instance)


def pointer_of(message: str) -> str:
    """The JSON pointer in a msgspec message: ``$.lines[0].total`` is ``/lines/0/total``."""
    found = re.search(r"at `(?:key in )?\$([^`]*)`", message)
    if not found:
        return ""
    path = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", found.group(1))
    return path.replace(".", "/") or "/"


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and what led to it, nearest first, at most ten deep."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and len(chain) < 10:
        chain.append(following)
        following = following.__cause__ or following.__context__
    return chain


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's hook for everything that is raised."""
    return of(error, instance=request.url.path)


__all__ = ["MediaType", "Problem", "document", "handle", "of", "pointer_of"]
