"""What Salesforce's error codes mean to us.

Salesforce answers ``[{"message", "errorCode", "fields"}]`` from the data API and ``{"error", "error_description"}`` from the token
endpoint. It never sends Retry-After: a spent request budget (rolling 24 hours) is `Throttled` without a time, and the process waits as
its own table says.
"""

from collections.abc import Mapping

import msgspec

from canonical.failures import Broken, Misconfigured, Rejected, Throttled, Unavailable
from runtime.http.failure_table import FailureTable, Meaning, VendorError


class ApiError(msgspec.Struct):
    """One entry of the data API's error array."""

    code: str = msgspec.field(name="errorCode")
    message: str = ""
    fields: list[str] = []


class TokenError(msgspec.Struct):
    """The token endpoint's error, as OAuth has it."""

    error: str
    error_description: str = ""


def read_api_error(_status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    """The first error of the array; its first field becomes the pointer. Raises `ValueError` where the body is something else."""
    first = msgspec.json.decode(body, type=list[ApiError])[0]
    return VendorError(first.code, first.message, f"/{first.fields[0]}" if first.fields else "")


def read_token_error(_status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    """The OAuth error. Raises `ValueError` where the body is something else."""
    error = msgspec.json.decode(body, type=TokenError)
    return VendorError(error.error, error.error_description)


FAILURES = FailureTable(
    {
        "INVALID_SESSION_ID": Meaning(Misconfigured, "session_refused"),  # only after the session was renewed once
        "INSUFFICIENT_ACCESS": Meaning(Misconfigured, "insufficient_access"),
        "INSUFFICIENT_ACCESS_OR_READONLY": Meaning(Misconfigured, "insufficient_access"),
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Meaning(Misconfigured, "insufficient_access"),
        "API_DISABLED_FOR_ORG": Meaning(Misconfigured, "api_disabled"),
        "API_CURRENTLY_DISABLED": Meaning(Misconfigured, "api_disabled"),
        "INVALID_FIELD": Meaning(Misconfigured, "field_missing_in_org"),  # not created, or hidden by field-level security
        "INVALID_FIELD_FOR_INSERT_UPDATE": Meaning(Misconfigured, "field_not_writable"),
        "INVALID_TYPE": Meaning(Misconfigured, "object_missing_in_org"),
        "REQUEST_LIMIT_EXCEEDED": Meaning(Throttled, "request_limit_exceeded"),
        "UNABLE_TO_LOCK_ROW": Meaning(Unavailable, "row_locked"),  # the transaction was rolled back
        "SERVER_UNAVAILABLE": Meaning(Unavailable, "unavailable"),
        "QUERY_TIMEOUT": Meaning(Unavailable, "query_timeout"),
        "DUPLICATE_VALUE": Meaning(Unavailable, "simultaneous_upsert"),  # another upsert made the record meanwhile: the next one finds it
        "DUPLICATES_DETECTED": Meaning(Rejected, "duplicates_detected"),
        "REQUIRED_FIELD_MISSING": Meaning(Rejected, "required_field_missing"),
        "FIELD_CUSTOM_VALIDATION_EXCEPTION": Meaning(Rejected, "validation_rule"),
        "FIELD_INTEGRITY_EXCEPTION": Meaning(Rejected, "field_integrity"),
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": Meaning(Rejected, "value_not_in_picklist"),
        "INVALID_CROSS_REFERENCE_KEY": Meaning(Rejected, "unknown_reference"),
        "MALFORMED_ID": Meaning(Rejected, "malformed_id"),
        "STRING_TOO_LONG": Meaning(Rejected, "text_too_long"),
        "NUMBER_OUTSIDE_VALID_RANGE": Meaning(Rejected, "number_out_of_range"),
        "ENTITY_IS_DELETED": Meaning(Rejected, "record_deleted"),
        "NOT_FOUND": Meaning(Rejected, "not_found"),
        "HTTP 300": Meaning(Rejected, "ambiguous_external_id"),  # the body lists the records, it names no code
        "HTTP 404": Meaning(Rejected, "not_found"),
        "MALFORMED_QUERY": Meaning(Broken, "malformed_query"),
        "JSON_PARSER_ERROR": Meaning(Broken, "unreadable_request"),
    },
    read_api_error,
)

TOKEN_FAILURES = FailureTable(
    {
        "invalid_grant": Meaning(Misconfigured, "login_refused"),
        "invalid_client": Meaning(Misconfigured, "login_refused"),
        "invalid_client_id": Meaning(Misconfigured, "login_refused"),
        "invalid_client_credentials": Meaning(Misconfigured, "login_refused"),
        "invalid_app_access": Meaning(Misconfigured, "login_refused"),
        "inactive_user": Meaning(Misconfigured, "login_refused"),
        "inactive_org": Meaning(Misconfigured, "login_refused"),
        "unsupported_grant_type": Meaning(Misconfigured, "login_refused"),
        "login_rate_exceeded": Meaning(Throttled, "login_rate_exceeded"),
        "unknown_error": Meaning(Unavailable, "login_unavailable"),
        "HTTP 400": Meaning(Misconfigured, "login_refused"),
        "HTTP 404": Meaning(Misconfigured, "login_refused"),
    },
    read_token_error,
)
