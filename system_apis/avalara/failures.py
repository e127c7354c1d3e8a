"""What AvaTax's error codes mean to us. Codes that are not listed are judged by their HTTP status.

The server's own troubles (ServerConfiguration, RemoteServerError, UnhandledException, ServiceTimeout …) are left out on purpose: they come
with a 5xx, and only the status knows whether the request wrote, so whether the outcome is unknown or merely to be asked again.
"""

from collections.abc import Mapping

import msgspec

from canonical.failures import Broken, Misconfigured, Rejected, Throttled, Unavailable
from runtime.http.failure_table import FailureTable, Meaning, VendorError

NOT_FOUND = "tax_document_not_found"
ALREADY_VOID = "tax_document_already_void"
CLOSED_PERIOD = "closed_period"

_CREDENTIALS = Meaning(Misconfigured, "credentials_refused")
_RIGHTS = Meaning(Misconfigured, "not_authorised")
_COMPANY = Meaning(Misconfigured, "company_unknown")
_ADDRESS = Meaning(Rejected, "address_invalid")
_INVALID = Meaning(Rejected, "validation_failed")
_DATE = Meaning(Rejected, "date_refused")
_TAKEN = Meaning(Rejected, "document_code_taken")
_LOCKED = Meaning(Rejected, CLOSED_PERIOD)
_MALFORMED = Meaning(Broken, "request_malformed")
_THROTTLED = Meaning(Throttled, "throttled")
_UNAVAILABLE = Meaning(Unavailable, "unavailable")

MEANINGS: dict[str, Meaning] = {
    "AuthenticationException": _CREDENTIALS,
    "AuthenticationIncomplete": _CREDENTIALS,
    "BasicAuthIncorrect": _CREDENTIALS,
    "BearerTokenInvalid": _CREDENTIALS,
    "AuthorizationException": _RIGHTS,
    "PermissionRequired": _RIGHTS,
    "InactiveUserError": _RIGHTS,
    "InactiveAccount": _RIGHTS,
    "AccountInvalidException": _RIGHTS,
    "AccountExpiredException": _RIGHTS,
    "SubscriptionRequired": _RIGHTS,
    "CompanyInvalidException": _COMPANY,
    "NoDefaultCompany": _COMPANY,
    "CompanyProfileNotSet": _COMPANY,
    "EntityNotFoundError": Meaning(Rejected, NOT_FOUND),
    "EntityNotFound": Meaning(Rejected, NOT_FOUND),
    "TransactionAlreadyCancelled": Meaning(Rejected, ALREADY_VOID),
    "JurisdictionNotFoundError": Meaning(Rejected, "tax_jurisdiction_unknown"),
    "MissingAddress": _ADDRESS,
    "InvalidAddress": _ADDRESS,
    "NotEnoughAddressesInfo": _ADDRESS,
    "AddressLocationNotFound": _ADDRESS,
    "AddressConflictException": _ADDRESS,
    "InvalidPostalCode": _ADDRESS,
    "InvalidCountry": _ADDRESS,
    "InvalidCountryRegion": _ADDRESS,
    "GetTaxError": Meaning(Rejected, "tax_not_calculated"),
    "MissingLine": _INVALID,
    "ValueRequiredError": _INVALID,
    "ValidationException": _INVALID,
    "ModelStateInvalid": _INVALID,
    "RangeError": _INVALID,
    "StringLengthError": _INVALID,
    "MaxStringLengthError": _INVALID,
    "FieldLengthError": _INVALID,
    "InvalidEnumValue": _INVALID,
    "InvalidDecimalValue": _INVALID,
    "InvalidInputDate": _DATE,
    "DateRangeError": _DATE,
    "DocumentCodeConflict": _TAKEN,
    "TransactionAlreadyExists": _TAKEN,
    "CannotModifyLockedTransaction": _LOCKED,
    "MultiDocumentPartiallyLocked": _LOCKED,
    "InvalidDocumentStatus": Meaning(Rejected, "tax_document_status"),
    "JsonFormatError": _MALFORMED,
    "ModelRequiredException": _MALFORMED,
    "InvalidHTTPHeader": _MALFORMED,
    "IncorrectPathError": _MALFORMED,
    "RateLimitExceeded": _THROTTLED,
    "RateLimitExceededError": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "ConcurrentRequestLimitExceeded": _THROTTLED,
    "ServiceNotReady": _UNAVAILABLE,
    "NoHealthySite": _UNAVAILABLE,
    "NoHostFound": _UNAVAILABLE,
    "SiteSelectionFailed": _UNAVAILABLE,
}

_POINTERS: dict[Meaning, str] = {
    _ADDRESS: "/document/ship_to",
    MEANINGS["JurisdictionNotFoundError"]: "/document/ship_to",
    _DATE: "/document/date",
    _LOCKED: "/document/date",
}


class _Detail(msgspec.Struct):
    code: str = ""
    message: str = ""
    description: str = ""
    refersTo: str | None = None  # noqa: N815 - AvaTax's own spelling


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    details: tuple[_Detail, ...] | None = None


class _Body(msgspec.Struct):
    error: _Error


def read(_status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    """The code and the sentence in an AvaTax error body; a detail that we know says more than the code above it."""
    error = msgspec.json.decode(body, type=_Body).error
    details = error.details or ()
    code = next((d.code for d in details if d.code in MEANINGS), error.code)
    sentences = [error.message, *(d.description or d.message for d in details)]
    places = [f"({d.refersTo})" for d in details if d.refersTo]
    meaning = MEANINGS.get(code)
    pointer = _POINTERS.get(meaning, "") if meaning else ""
    return VendorError(code, " ".join(dict.fromkeys(s for s in [*sentences, *places] if s)), pointer)


FAILURES = FailureTable(MEANINGS, read)
