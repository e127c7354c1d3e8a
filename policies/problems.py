"""Problem details (RFC 9457): every error is one document with a stable type, a pointer to the field, and the correlation id.

All types are listed in docs/problems.md.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope

from canonical.failures import Failure
from policies.incoming import incoming

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:q2c:problem:"
INSTANCE_CHARS_MAX = 2000

log = structlog.get_logger("q2c.http")


class Problem(Exception):
    """Raised by policies and routes; becomes a problem document."""

    def __init__(
        self, status: int, code: str, detail: str, *, pointer: str = "", headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = {"errors": [{"pointer": pointer, "detail": detail}], **extra} if pointer else extra


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

# What a failure is in HTTP, by its word. What a rule or a vendor says no to is told as it is; of the other failures only the code, because
# their details name hosts, accounts and the like. They stand in the log, under the correlation id.
FAILURES: dict[str, tuple[int, str]] = {
    "rejected": (422, ""),
    "misconfigured": (502, "a connection of the gateway is not set up for this; whoever runs it finds the reason by the correlation id"),
    "throttled": (429, "a system behind the gateway takes no more for now"),
    "unavailable": (503, "what is needed for this is not available now; ask again later"),
    "outcome_unknown": (504, "it is not certain whether this was done; asking again with the same Idempotency-Key does it only once"),
    "broken": (502, "what is behind the gateway cannot be understood; whoever runs it finds the reason by the correlation id"),
}

# Rejections for which HTTP has a word of its own.
REJECTIONS = {
    "not_found": 404,
    "business_key_reused": 409,
    "correlation_id_reused": 409,
    "not_waiting": 409,
    "order_exists": 409,
    "quote_already_converted": 409,
}

# What Litestar refuses by itself; anything else that it refuses is an invalid request.
REFUSALS = {
    404: ("not_found", "nothing is served at this path"),
    405: ("method_not_allowed", "this path does not serve this method"),
}


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's hook for everything that is raised, in a route or around it."""
    return document(of(error, request.scope), request.scope)


def document(problem: Problem, scope: Scope) -> Response[bytes]:
    """The problem document as a response."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.code.replace("_", "-"),
        "title": TITLES.get(problem.status, "The request failed"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": quote(scope["path"], safe="/:@!$&'()*+,;=~")[:INSTANCE_CHARS_MAX],
        "correlation_id": incoming(scope).correlation_id,
        **problem.extra,
    }
    return Response(msgspec.json.encode(body), status_code=problem.status, media_type=PROBLEM_JSON, headers=dict(problem.headers))


def of(error: BaseException, scope: Scope) -> Problem:
    """The problem behind an exception; nothing of the inside shows in it. What the caller is not to blame for is logged, once."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Failure):
        return _of_failure(error, scope)
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _of_refusal(error, scope)
    log.error("request_failed", correlation_id=incoming(scope).correlation_id, method=_method(scope), exc_info=error)
    return Problem(500, "internal_error", "the gateway has failed; whoever runs it finds the reason by the correlation id")


def _of_failure(failure: Failure, scope: Scope) -> Problem:
    status, detail = FAILURES.get(failure.word, FAILURES["broken"])
    headers = {} if failure.retry_after_s is None else {"Retry-After": str(max(1, round(failure.retry_after_s)))}
    if failure.word == "rejected":
        return Problem(REJECTIONS.get(failure.code, status), failure.code, failure.detail, pointer=failure.pointer, headers=headers)
    log.warning("request_failed", correlation_id=incoming(scope).correlation_id, word=failure.word, code=failure.code, why=failure.detail)
    return Problem(status, failure.code, detail, headers=headers)


def _of_refusal(error: HTTPException, scope: Scope) -> Problem:
    code, detail = REFUSALS.get(error.status_code, ("invalid_request", ""))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        allowed = {method.strip() for method in headers.pop("allow", "").split(",")}
        return not_served(scope, allowed)
    errors = [_named(entry) for entry in error.extra or () if isinstance(entry, dict)] if isinstance(error.extra, list) else []
    if any(entry.get("parameter") == "data" for entry in errors):
        return Problem(400, "malformed_body", "the body is not well-formed JSON: it is empty")
    extra: dict[str, Any] = {"errors": errors} if errors else {}
    text = "; ".join(f"{entry['parameter']}: {entry['detail']}" for entry in errors) or detail or str(error.detail)
    return Problem(error.status_code, code, text, headers=headers, **extra)


def not_served(scope: Scope, allowed: set[str]) -> Problem:
    """405. HEAD and OPTIONS are not served unless a route declares them: nothing is answered that no policy was asked about."""
    names = ", ".join(sorted(allowed - {"OPTIONS", ""}))
    return Problem(405, "method_not_allowed", f"this path serves {names}, not {_method(scope)[:20]}", headers={"Allow": names})


def _named(entry: Mapping[str, Any]) -> dict[str, str]:
    return {"parameter": str(entry.get("key", "")), "detail": str(entry.get("message", ""))}


def _method(scope: Scope) -> str:
    return str(scope.get("method", ""))


_PLACE = re.compile(r".*at `(?:key in )?\$([^`]*)`", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def pointer_of(message: str) -> str:
    """The JSON pointer in a msgspec message: ``$.lines[0].total`` is ``/lines/0/total``; empty for the whole. msgspec does not name the
    keys of free-form objects: there the pointer ends before the key.
    """
    found = _PLACE.match(message)
    pointer = ""
    for field, index in _STEP.findall(found[1]) if found else ():
        if index == "...":
            break
        pointer = pointer_to(pointer, field or index)
    return pointer


def pointer_to(pointer: str, step: str | int) -> str:
    """One step further down (RFC 6901): ``~`` and ``/`` in names are escaped."""
    return f"{pointer}/{str(step).replace('~', '~0').replace('/', '~1')}"
