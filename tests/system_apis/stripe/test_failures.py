import json

import pytest

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from system_apis.stripe.failures import FAILURES


def failure(status: int, error: dict[str, object] | bytes, headers: dict[str, str] | None = None, *, writes: bool = True) -> Failure:
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    return FAILURES.failure(status, headers or {}, body, writes=writes, retry_after_s=None)


@pytest.mark.parametrize(
    ("status", "error", "word", "code"),
    [
        (400, {"type": "invalid_request_error", "code": "resource_missing"}, Rejected, "record_unknown"),
        (400, {"type": "idempotency_error"}, Broken, "idempotency_key_reused"),
        (400, {"type": "invalid_request_error", "code": "parameter_unknown"}, Broken, "request_not_understood"),
        (400, {"type": "invalid_request_error", "code": "something_new"}, Rejected, "rejected_by_vendor"),
        (401, {"type": "invalid_request_error", "message": "Invalid API Key provided"}, Misconfigured, "not_authorised"),
        (401, {"type": "invalid_request_error", "code": "api_key_expired"}, Misconfigured, "api_key_expired"),
        (402, {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}, Rejected, "card_refused"),
        (403, {"type": "invalid_request_error", "message": "The provided key does not have access"}, Misconfigured, "not_authorised"),
        (404, {"type": "invalid_request_error"}, Rejected, "rejected_by_vendor"),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, Unavailable, "same_request_running"),
        (409, {"type": "invalid_request_error"}, Unavailable, "conflict"),
        (429, {"type": "invalid_request_error", "code": "rate_limit"}, Throttled, "throttled"),
        (429, {"type": "invalid_request_error", "code": "lock_timeout"}, Unavailable, "record_locked"),
        (429, {"type": "invalid_request_error"}, Throttled, "throttled"),
        (500, {"type": "api_error"}, OutcomeUnknown, "outcome_unknown"),
        (503, {"type": "api_error"}, Unavailable, "unavailable"),
    ],
)
def test_each_code_has_its_word(status: int, error: dict[str, object], word: type[Failure], code: str) -> None:
    """Stripe's codes, types and statuses become one of the six words."""
    told = failure(status, error)
    assert (type(told), told.code) == (word, code)


@pytest.mark.parametrize(
    ("status", "header", "code", "word"),
    [
        (409, "false", "", Rejected),
        (409, "true", "", Unavailable),
        (400, "true", "", Unavailable),
        (429, "false", "rate_limit", Throttled),
        (429, "true", "rate_limit", Throttled),
        (429, "true", "lock_timeout", Unavailable),
        (500, "true", "", OutcomeUnknown),
        (500, "false", "", OutcomeUnknown),
        (401, "true", "", Misconfigured),
    ],
)
def test_should_retry_has_the_last_word_where_nothing_was_done(status: int, header: str, code: str, word: type[Failure]) -> None:
    """Stripe-Should-Retry decides for conflicts, never for what may have been done, nor about keys and rates."""
    assert type(failure(status, {"type": "invalid_request_error", "code": code}, {"stripe-should-retry": header})) is word


def test_a_replayed_failure_has_a_code_of_its_own() -> None:
    """A 500 that Stripe has kept under the key says that the first request is over."""
    told = failure(500, {"type": "api_error"}, {"idempotent-replayed": "true"})
    assert (type(told), told.code) == (OutcomeUnknown, "failure_replayed")


def test_a_decline_says_why_and_a_parameter_becomes_a_pointer() -> None:
    """People see the sentence with the decline code, programs a pointer."""
    declined = failure(402, {"type": "card_error", "message": "Your card was declined.", "decline_code": "expired_card"})
    assert declined.detail == "Your card was declined. (expired_card)"
    assert failure(400, {"type": "invalid_request_error", "param": "items[0][price]"}).pointer == "/items/0/price"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff\xfe", b'{"error":"too many requests"}', b'{"error":{"type":7}}', b"[" * 5000, b"null"]
)
def test_any_body_is_a_failure_and_never_an_exception_of_another_kind(body: bytes) -> None:
    """An error page that is none of Stripe's falls back to the status."""
    assert type(failure(429, body)) is Throttled
    assert type(failure(500, body, writes=False)) is Unavailable
