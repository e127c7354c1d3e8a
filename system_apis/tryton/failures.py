"""What Tryton's refusals mean to us.

JSON-RPC answers 200 even when it refuses: ``{"error": ["UserError", ["sentence", "detail", …]]}``. There are no codes, so the sentence
is looked up, in English, which every call asks for. Whatever was refused was rolled back as a whole: nothing of the call was done.
"""

from collections.abc import Mapping

import msgspec

from canonical.failures import Broken, Misconfigured, Rejected, Unavailable
from runtime.http.failure_table import FailureTable, Meaning, VendorError

CODE_TAKEN = "code_taken"
NOT_IN_THIS_STATE = "not_in_this_state"

# part of the sentence: the code under which its meaning stands; the first that fits counts
SENTENCES: dict[str, str] = {
    "must be unique": CODE_TAKEN,
    "must reopen the period": "closed_period",
    "must reopen the fiscal year": "closed_period",
    " is closed": "closed_period",
    "in closed period": "closed_period",
    "must create a period for the date": "no_period",
    "must create a fiscal year for the date": "no_period",
    'You can not call "': NOT_IN_THIS_STATE,
    "greater than the amount to pay": "more_than_open",
    "there is no more left to pay": "more_than_open",
    "that don't exist": "not_found",
    " does not exist": "not_found",
    "not valid according to its domain": "refused_by_domain",
    "A value is required for": "value_required",
    "exceeds the limit of": "too_many_digits",
    "The email address": "email_invalid",
    '" for party "': "identifier_invalid",
    "not allowed to access": "not_authorised",
    " is not allowed.": "not_authorised",
    "define a receivable account": "accounts_missing",
    "define an account revenue": "accounts_missing",
    "configure a default account revenue": "accounts_missing",
    "define a sequence": "accounts_missing",
    "define a currency exchange": "accounts_missing",
    "No rate found for currency": "rate_missing",
}

MEANINGS: dict[str, Meaning] = {
    # Two clients drew the same code at the same moment, or the record is there already: `customers` looks; asking again is safe.
    CODE_TAKEN: Meaning(Unavailable, CODE_TAKEN),
    "closed_period": Meaning(Rejected, "closed_period"),
    "no_period": Meaning(Rejected, "closed_period"),
    NOT_IN_THIS_STATE: Meaning(Rejected, NOT_IN_THIS_STATE),
    "more_than_open": Meaning(Rejected, "more_than_open"),
    "not_found": Meaning(Rejected, "not_found"),
    "refused_by_domain": Meaning(Rejected, "validation_failed"),
    "value_required": Meaning(Rejected, "validation_failed"),
    "too_many_digits": Meaning(Rejected, "validation_failed"),
    "email_invalid": Meaning(Rejected, "email_invalid"),
    "identifier_invalid": Meaning(Rejected, "tax_number_invalid"),
    "not_authorised": Meaning(Misconfigured, "not_authorised"),
    "accounts_missing": Meaning(Misconfigured, "accounts_missing"),
    "rate_missing": Meaning(Misconfigured, "rate_missing"),
    "UserError": Meaning(Rejected, "rejected_by_vendor"),
    "UserWarning": Meaning(Rejected, "warning_needs_a_person"),  # Tryton asks "really?", and only a person may answer that
    "ConcurrencyException": Meaning(Unavailable, "edited_meanwhile"),
    "LoginException": Meaning(Misconfigured, "login_refused"),
    "fault": Meaning(Broken, "fault_in_tryton"),
    "HTTP 401": Meaning(Misconfigured, "login_refused"),
    "HTTP 403": Meaning(Misconfigured, "forbidden"),  # a method that is not open to clients; before 8.0 also a session that has ended
    "HTTP 404": Meaning(Misconfigured, "no_such_database"),
}

_POINTERS: dict[str, str] = {
    "email_invalid": "/customer/email",
    "identifier_invalid": "/customer/tax_registrations",
}


class _Refusal(msgspec.Struct):
    error: list[object]


def read(_status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    """The class and the sentence of a refusal. Anything but Tryton's own classes is a fault inside the server."""
    kind, said = msgspec.json.decode(body, type=_Refusal).error[:2]
    parts = [part for part in said if isinstance(part, str)] if isinstance(said, list) else [str(said)]
    sentence = " ".join(part for part in parts if part)
    if kind != "UserError":
        return VendorError(str(kind), sentence) if kind in MEANINGS else VendorError("fault", str(kind))
    code = next((code for part, code in SENTENCES.items() if part in sentence), "UserError")
    return VendorError(code, sentence, _POINTERS.get(code, ""))


FAILURES = FailureTable(MEANINGS, read)
