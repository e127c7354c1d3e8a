"""What AvaTax's error bodies become, and how tolerantly its answers are read."""

import msgspec
import pytest

from canonical.failures import Broken, Failure, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.money import Money
from runtime.http.client import Response
from system_apis.avalara.failures import FAILURES, MEANINGS
from system_apis.avalara.tax import TransactionIn, taxes
from tests.system_apis.avalara.conftest import Documents


def failure(status: int, body: object, *, writes: bool = True) -> Failure:
    """The failure behind an answer."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return FAILURES.failure(status, {}, raw, writes=writes, retry_after_s=None)


def avatax(code: str, *details: str, message: str = "No.") -> dict[str, object]:
    """An error body of AvaTax."""
    return {"error": {"code": code, "message": message, "target": "Unknown", "details": [{"code": d, "number": 1} for d in details]}}


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_every_code_of_the_table_means_what_it_says(code: str) -> None:
    """Each listed code gives its word and our stable code, whatever the status."""
    found = failure(400, avatax(code, code))
    assert (type(found), found.code) == tuple(MEANINGS[code])


def test_a_known_detail_says_more_than_the_code_above_it() -> None:
    """GetTaxError with a jurisdiction in its details is about the jurisdiction."""
    assert failure(400, avatax("GetTaxError", "JurisdictionNotFoundError")).code == "tax_jurisdiction_unknown"
    assert failure(400, avatax("GetTaxError", "SomethingNew")).code == "tax_not_calculated"


@pytest.mark.parametrize(
    ("status", "writes", "word"),
    [(500, True, OutcomeUnknown), (500, False, Unavailable), (503, True, Unavailable), (429, True, Throttled), (400, True, Rejected)],
)
def test_an_unlisted_code_is_judged_by_its_status(status: int, writes: bool, word: type[Failure]) -> None:
    """The server's own troubles depend on whether the request wrote."""
    assert type(failure(status, avatax("UnhandledException"), writes=writes)) is word


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"error":"too many requests"}', b'{"error":{}}', b"null"])
def test_an_error_page_that_is_no_avatax_error_is_kept_raw(body: bytes) -> None:
    """A proxy's page is judged by its status and is never mistaken for a document that does not exist."""
    found = failure(404, body)
    assert (type(found), found.code) == (Rejected, "rejected_by_vendor")
    assert found.raw == body.decode()


def read(fields: str) -> TransactionIn:
    """A transaction as the client reads it."""
    answer: TransactionIn = Response(200, {}, fields.encode()).decode(TransactionIn)
    return answer


LINE = '{"lineNumber":"1","lineAmount":100.00,"tax":8.63}'


def test_unknown_fields_enums_and_missing_optionals_are_fine(document: Documents) -> None:
    """A new status, a new field and a missing reference do not disturb; numbers are read digit by digit."""
    answer = read(f'{{"status":"Reconsidered","novelty":{{"a":[1]}},"currencyCode":"USD","totalTax":8.63,"lines":[{LINE}]}}')
    assert taxes(document("100.00"), answer, "")[0] == Money("8.63", "USD")
    assert answer.status == "Reconsidered"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (f'{{"currencyCode":"EUR","totalTax":8.63,"lines":[{LINE}]}}', "read_back_differs"),
        (f'{{"currencyCode":"USD","totalTax":8.64,"lines":[{LINE}]}}', "read_back_differs"),
        (f'{{"currencyCode":"USD","totalTax":17.26,"lines":[{LINE},{LINE.replace("1", "2", 1)}]}}', "read_back_differs"),
        ('{"currencyCode":"USD","totalTax":0,"lines":[]}', "read_back_differs"),
        ('{"currencyCode":"USD","totalTax":0}', "read_back_differs"),
        (f'{{"currencyCode":"USD","lines":[{LINE}]}}', "read_back_differs"),
        (f'{{"currencyCode":"USD","totalTax":8.63,"lines":[{LINE.replace("100.00", "99.99")}]}}', "read_back_differs"),
        (f'{{"currencyCode":"USD","totalTax":8.625,"lines":[{LINE}]}}', "unreadable_answer"),
        (f'{{"currencyCode":"USD","totalTax":"NaN","lines":[{LINE}]}}', "unreadable_answer"),
        (f'{{"currencyCode":"USD","totalTax":1e99999999,"lines":[{LINE}]}}', "unreadable_answer"),
    ],
)
def test_an_answer_that_does_not_add_up_is_broken(document: Documents, fields: str, code: str) -> None:
    """Other currency, other sum, other lines, other amounts, or no amounts at all: parked with the payload."""
    with pytest.raises(Broken) as caught:
        taxes(document("100.00"), read(fields), fields)
    assert (caught.value.code, caught.value.raw) == (code, fields)
