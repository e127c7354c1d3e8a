"""What Stripe's error codes mean to us."""

from collections.abc import Mapping

import msgspec

from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.http.failure_table import FailureTable, Meaning, VendorError

MEANINGS: dict[str, Meaning] = {
    # by code
    "account_invalid": Meaning(Misconfigured, "account_not_accessible"),
    "api_key_expired": Meaning(Misconfigured, "api_key_expired"),
    "platform_api_key_expired": Meaning(Misconfigured, "api_key_expired"),
    "secret_key_required": Meaning(Misconfigured, "secret_key_required"),
    "livemode_mismatch": Meaning(Misconfigured, "test_and_live_mixed"),
    "testmode_charges_only": Meaning(Misconfigured, "account_not_activated"),
    "idempotency_key_in_use": Meaning(Unavailable, "same_request_running"),
    "lock_timeout": Meaning(Unavailable, "record_locked"),
    "rate_limit": Meaning(Throttled, "throttled"),
    "resource_missing": Meaning(Rejected, "record_unknown"),
    "resource_already_exists": Meaning(Rejected, "record_exists"),
    "email_invalid": Meaning(Rejected, "email_invalid"),
    "tax_id_invalid": Meaning(Rejected, "tax_registration_invalid"),
    "customer_tax_location_invalid": Meaning(Rejected, "tax_location_invalid"),
    "parameter_unknown": Meaning(Broken, "request_not_understood"),
    "parameter_missing": Meaning(Rejected, "value_missing"),
    "parameter_invalid_empty": Meaning(Rejected, "value_missing"),
    "parameter_invalid_integer": Meaning(Rejected, "value_invalid"),
    "parameter_invalid_string_blank": Meaning(Rejected, "value_missing"),
    "parameter_invalid_string_empty": Meaning(Rejected, "value_missing"),
    # by type, where the code is absent or of no interest
    "idempotency_error": Meaning(Broken, "idempotency_key_reused"),
    "card_error": Meaning(Rejected, "card_refused"),
    "rate_limit_error": Meaning(Throttled, "throttled"),
    "authentication_error": Meaning(Misconfigured, "not_authorised"),
    # by what the answer as a whole says
    "failure_replayed": Meaning(OutcomeUnknown, "failure_replayed"),
    "should_retry_true": Meaning(Unavailable, "try_again"),
    "should_retry_false": Meaning(Rejected, "not_to_be_repeated"),
    "HTTP 409": Meaning(Unavailable, "conflict"),
}


class StripeError(msgspec.Struct, frozen=True):
    """The inside of an error body."""

    type: str = ""
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    param: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """An error body."""

    error: StripeError


def read(status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """The most telling code of an answer: its own, else its type, else what the headers say; the body may be anything at all.

    ``Stripe-Should-Retry`` is Stripe's last word on requests that did nothing (409, lock time-outs). A 429 with "false" only asks for
    patience, and a 5xx stays an unknown outcome whatever the header says: looking first costs one read and is always safe.
    """
    try:
        error = msgspec.json.decode(body, type=ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = StripeError(message=body[:300].decode("utf-8", "replace"))
    return VendorError(_code(status, headers, error), _sentence(error), _pointer(error.param or ""))


def _code(status: int, headers: Mapping[str, str], error: StripeError) -> str:
    named = next((code for code in (error.code or "", error.type) if code in MEANINGS), f"HTTP {status}")
    if status >= 500:
        return "failure_replayed" if headers.get("idempotent-replayed") == "true" else f"HTTP {status}"
    may_retry = headers.get("stripe-should-retry", "")
    if may_retry == "true" and named != "rate_limit" and status not in {401, 403}:
        return "should_retry_true"
    if may_retry == "false" and status == 409:
        return "should_retry_false"
    return named


def _sentence(error: StripeError) -> str:
    said = error.message or error.code or error.type
    return f"{said} ({error.decline_code})" if error.decline_code else said


def _pointer(param: str) -> str:
    """``items[0][price]`` as a pointer: ``/items/0/price``."""
    return "/" + param.replace("]", "").replace("[", "/") if param else ""


FAILURES = FailureTable(MEANINGS, read)
