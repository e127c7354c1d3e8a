"""What Kantata's errors mean to us.

Kantata has no error codes: an error is of a type (oauth, validation, system) and names a field where it can. The key is ``type:field``,
then the type; errors of the platform (``system``) are judged by their HTTP status, which alone knows whether the request wrote.
"""

from collections.abc import Mapping

import msgspec

from canonical.failures import Misconfigured, Rejected
from runtime.http.failure_table import FailureTable, Meaning, VendorError

NOT_FOUND = "project_not_found"

_DATE = Meaning(Rejected, "date_refused")
_REFERENCE = Meaning(Misconfigured, "settings_refused")

MEANINGS: dict[str, Meaning] = {
    "oauth": Meaning(Misconfigured, "credentials_refused"),
    "validation": Meaning(Rejected, "validation_failed"),
    "validation:currency": Meaning(Rejected, "currency_not_sold"),
    "validation:start_date": _DATE,
    "validation:due_date": _DATE,
    "validation:creator_role": _REFERENCE,
    "validation:workspace_group_ids": _REFERENCE,
    "validation:status_key": _REFERENCE,
    "HTTP 404": Meaning(Rejected, NOT_FOUND),
}

_POINTERS: dict[str, str] = {
    "title": "/project/title",
    "price": "/project/budget",
    "currency": "/project/currency",
    "start_date": "/project/starts_on",
    "due_date": "/project/ends_on",
    "budget_estimate_in_cents": "/project/lines",
    "time_estimate_in_minutes": "/project/lines",
}


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""
    field: str | None = None


class _Body(msgspec.Struct):
    errors: tuple[_Error, ...]


def read(_status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    """The first error decides; all messages are kept."""
    errors = msgspec.json.decode(body, type=_Body).errors
    first = errors[0]
    key = f"{first.type}:{first.field}"
    code = key if key in MEANINGS else first.type
    return VendorError(code, " ".join(e.message for e in errors if e.message), _POINTERS.get(first.field or "", ""))


FAILURES = FailureTable(MEANINGS, read)
