"""What NetSuite's error codes mean to us. Codes that are not listed are judged by their HTTP status.

UNEXPECTED_ERROR is left out on purpose: it comes with a 5xx, and only the status knows whether the request wrote, so whether the outcome
is unknown. Most refusals come as USER_ERROR or INVALID_CONTENT and a sentence, so the sentences are a table too.
"""

import re
from collections.abc import Mapping

import msgspec

from canonical.failures import Broken, Misconfigured, Rejected, Throttled, Unavailable
from runtime.http.failure_table import FailureTable, Meaning, VendorError

NOT_FOUND = "record_not_found"
CLOSED_PERIOD = "closed_period"

_CREDENTIALS = Meaning(Misconfigured, "credentials_refused")
_RIGHTS = Meaning(Misconfigured, "not_authorised")
_ENDPOINT = Meaning(Misconfigured, "soap_endpoint_retired")
_THROTTLED = Meaning(Throttled, "throttled")
_CHANGED = Meaning(Unavailable, "record_changed_meanwhile")
_LOCKED = Meaning(Rejected, CLOSED_PERIOD)
_INVALID = Meaning(Rejected, "validation_failed")
_DUPLICATE = Meaning(Rejected, "record_exists")

MEANINGS: dict[str, Meaning] = {
    "INVALID_LOGIN": _CREDENTIALS,
    "INVALID_LOGIN_ATTEMPT": _CREDENTIALS,
    "INVALID_LOGIN_CREDENTIALS": _CREDENTIALS,
    "WS_LOG_IN_REQD": _CREDENTIALS,
    "LOGIN_DISABLED": _CREDENTIALS,
    "INVALID_ACCT": _CREDENTIALS,
    "INVALID_ROLE": _RIGHTS,
    "ROLE_REQUIRED": _RIGHTS,
    "INSUFFICIENT_PERMISSION": _RIGHTS,
    "WS_PERMISSION_REQD": _RIGHTS,
    "WS_FEATURE_REQD": _RIGHTS,
    "FEATURE_DISABLED": _RIGHTS,
    "INVALID_WS_VERSION": _ENDPOINT,
    "UNSUPPORTED_WS_VERSION": _ENDPOINT,
    "CONCURRENCY_LIMIT_EXCEEDED": _THROTTLED,
    "REQUEST_LIMIT_EXCEEDED": _THROTTLED,
    "SSS_REQUEST_LIMIT_EXCEEDED": _THROTTLED,
    "WS_REQUEST_BLOCKED": _THROTTLED,
    "WS_CONCUR_SESSION_DISALLWD": _THROTTLED,
    "ACCT_TEMP_UNAVAILABLE": Meaning(Unavailable, "unavailable"),
    "RCRD_HAS_BEEN_CHANGED": _CHANGED,
    "CUSTOM_RECORD_COLLISION": _CHANGED,
    "NONEXISTENT_ID": Meaning(Rejected, NOT_FOUND),
    "RCRD_DSNT_EXIST": Meaning(Rejected, NOT_FOUND),
    "TRAN_PERIOD_CLOSED": _LOCKED,
    "DUP_ENTITY": _DUPLICATE,
    "DUP_RCRD": _DUPLICATE,
    "DUP_TRANS": _DUPLICATE,
    "INVALID_CONTENT": _INVALID,
    "INVALID_VALUE": _INVALID,
    "INVALID_PARAMETER": Meaning(Broken, "query_refused"),  # our queries are fixed texts, so a refused one is our bug
    "INVALID_KEY_OR_REF": Meaning(Rejected, "reference_unknown"),
    "USER_ERROR": Meaning(Rejected, "refused_by_user_error"),
    "sentence: closed period": _LOCKED,
    "sentence: custom field": Meaning(Misconfigured, "custom_field_missing"),
    "sentence: inactive": Meaning(Rejected, "item_inactive"),
    "sentence: exists": _DUPLICATE,
    "sentence: invalid reference": Meaning(Rejected, "reference_unknown"),
}

# a vague code and a telling sentence: the first that fits names the row above
_VAGUE = frozenset({"USER_ERROR", "INVALID_CONTENT", "INVALID_VALUE", "INVALID_PARAMETER"})
_SENTENCES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(closed|locked)[^.]*period|period[^.]*(closed|locked)", re.IGNORECASE), "sentence: closed period"),
    (re.compile(r"field '(custbody|custcol)\w*' not found", re.IGNORECASE), "sentence: custom field"),
    (re.compile(r"\bis inactive\b|\binactive item\b", re.IGNORECASE), "sentence: inactive"),
    (re.compile(r"already exists|already been used", re.IGNORECASE), "sentence: exists"),
    (re.compile(r"invalid[^.]*reference key", re.IGNORECASE), "sentence: invalid reference"),
)


class _Detail(msgspec.Struct):
    detail: str = ""
    code: str = msgspec.field(name="o:errorCode", default="")
    path: str = msgspec.field(name="o:errorPath", default="")


class _Error(msgspec.Struct):
    title: str = ""
    details: tuple[_Detail, ...] = msgspec.field(name="o:errorDetails", default=())


def read(status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    """The code, the sentence and the path in an ``nsError``. The path is NetSuite's, into the record, and goes into the sentence."""
    error = msgspec.json.decode(body, type=_Error)
    first = error.details[0] if error.details else _Detail()
    sentence = " ".join(dict.fromkeys(d.detail for d in error.details if d.detail)) or error.title
    return VendorError(_refined(first.code or str(status), sentence), f"{sentence} (at {first.path})" if first.path else sentence)


def _refined(code: str, sentence: str) -> str:
    return next((row for pattern, row in _SENTENCES if pattern.search(sentence)), code) if code in _VAGUE else code


FAILURES = FailureTable(MEANINGS, read)
