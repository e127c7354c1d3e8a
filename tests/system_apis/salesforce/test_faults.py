"""How the org's refusals and troubles come out as the six words."""

import asyncio

import msgspec
import pytest

from canonical.customer import FindCustomer
from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.item import FindPrices
from system_apis.salesforce.failures import FAILURES, TOKEN_FAILURES
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench
from tests.system_apis.salesforce.conftest import Do, Plan, booked, invoice

ACME = FindCustomer(customer_id="C-ACME")
PRICES = FindPrices(price_book="standard", currency="USD", item_codes=("SUB-TEAM",))


def _error(code: str) -> bytes:
    return msgspec.json.encode([{"message": "they say so", "errorCode": code, "fields": ["Name"]}])


@pytest.mark.parametrize(
    ("status", "code", "word", "ours"),
    [
        (400, "REQUIRED_FIELD_MISSING", Rejected, "required_field_missing"),
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", Rejected, "validation_rule"),
        (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Rejected, "value_not_in_picklist"),
        (400, "DUPLICATES_DETECTED", Rejected, "duplicates_detected"),
        (400, "DUPLICATE_VALUE", Unavailable, "simultaneous_upsert"),
        (404, "ENTITY_IS_DELETED", Rejected, "record_deleted"),
        (400, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", Misconfigured, "insufficient_access"),
        (400, "INVALID_FIELD", Misconfigured, "field_missing_in_org"),
        (401, "INVALID_SESSION_ID", Misconfigured, "session_refused"),
        (403, "REQUEST_LIMIT_EXCEEDED", Throttled, "request_limit_exceeded"),
        (503, "REQUEST_LIMIT_EXCEEDED", Throttled, "request_limit_exceeded"),
        (400, "UNABLE_TO_LOCK_ROW", Unavailable, "row_locked"),
        (503, "SERVER_UNAVAILABLE", Unavailable, "unavailable"),
        (400, "QUERY_TIMEOUT", Unavailable, "query_timeout"),
        (400, "MALFORMED_QUERY", Broken, "malformed_query"),
        (400, "A_CODE_OF_NEXT_YEAR", Rejected, "rejected_by_vendor"),
        (500, "UNKNOWN_EXCEPTION", OutcomeUnknown, "outcome_unknown"),
    ],
)
def test_each_code_has_its_word(status: int, code: str, word: type[Failure], ours: str) -> None:
    """A vendor code means one of the six words and a code of ours; the vendor's sentence and field come along."""
    failure = FAILURES.failure(status, {}, _error(code), writes=True, retry_after_s=None)
    assert (type(failure), failure.code, failure.detail, failure.pointer) == (word, ours, "they say so", "/Name")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'["a"]', b"\xff", b'[{"message":"no code"}]'])
def test_an_error_page_of_any_shape_has_a_word(body: bytes) -> None:
    """An error body that is not what Salesforce documents falls back to what its status means."""
    assert isinstance(FAILURES.failure(500, {}, body, writes=True, retry_after_s=None), OutcomeUnknown)
    assert isinstance(FAILURES.failure(403, {}, body, writes=True, retry_after_s=None), Misconfigured)
    assert FAILURES.failure(300, {}, body, writes=False, retry_after_s=None).code == "ambiguous_external_id"


def test_a_refused_login_calls_for_a_person() -> None:
    """Whatever is wrong with the credentials, asking again does not help."""
    body = b'{"error":"invalid_grant","error_description":"user hasn\'t approved this consumer"}'
    failure = TOKEN_FAILURES.failure(400, {}, body, writes=False, retry_after_s=None)
    assert (type(failure), failure.code, failure.detail) == (Misconfigured, "login_refused", "user hasn't approved this consumer")
    assert isinstance(TOKEN_FAILURES.failure(503, {}, b"", writes=False, retry_after_s=None), Unavailable)


async def test_too_many_requests_wait(bench: Bench, plan: Plan) -> None:
    """429 is `Throttled`, with the time that the other side names, or without one."""
    plan("throttle", "/query", retry_after_s=7)
    with pytest.raises(Throttled) as timed:
        await bench.ask(PRICES)
    plan("throttle", "/query")
    with pytest.raises(Throttled) as untimed:
        await bench.ask(PRICES)
    assert (timed.value.retry_after_s, untimed.value.retry_after_s) == (7, None)


async def test_a_spent_daily_budget_waits(bench: Bench, do: Do) -> None:
    """REQUEST_LIMIT_EXCEEDED comes with 403 and is no question of rights."""
    await do("exhaust_requests", times=1)
    with pytest.raises(Throttled, match="request_limit_exceeded"):
        await bench.ask(ACME)
    assert (await bench.ask(ACME)).customer is not None


async def test_a_locked_row_is_asked_again_later(bench: Bench, do: Do, simulation: Simulation) -> None:
    """UNABLE_TO_LOCK_ROW means that nothing was done."""
    await do("lock_rows", times=1)
    with pytest.raises(Unavailable, match="row_locked"):
        await bench.ask(booked())
    assert simulation.ledger == []
    await bench.ask(booked())
    assert len(simulation.ledger) == 1


async def test_a_failing_server(bench: Bench, plan: Plan, simulation: Simulation) -> None:
    """500 to a read: later. 500 to a write: unknown, and `find` says that it did not happen."""
    plan("server_error", "GET .*/Account")
    with pytest.raises(Unavailable):
        await bench.ask(ACME)
    plan("server_error", "PATCH")
    with pytest.raises(OutcomeUnknown):
        await bench.ask(invoice())
    assert await bench.find(invoice()) is None
    assert simulation.ledger == []


async def test_a_server_that_does_not_answer_in_time(bench: Bench, plan: Plan) -> None:
    """Past the deadline of the settings a read is `Unavailable` and a write unknown; the simulated server sleeps until its clock moves."""
    hasty = Bench(bench.card, msgspec.structs.replace(bench.settings, deadline_s=0.2))
    await hasty.ask(ACME)
    plan("slow", "GET .*/Account", delay_s=60)
    with pytest.raises(Unavailable, match="no_answer"):
        await hasty.ask(ACME)
    plan("slow", "PATCH", delay_s=60)
    with pytest.raises(OutcomeUnknown, match="no_answer"):
        await hasty.ask(invoice())
    await hasty.aclose()


async def test_an_unreadable_answer_to_a_read_is_kept(bench: Bench, plan: Plan) -> None:
    """A web page instead of an answer is `Unavailable`, with the raw payload (V10)."""
    plan("malformed", "/query")
    with pytest.raises(Unavailable, match="unreadable_answer") as broken:
        await bench.ask(PRICES)
    assert "It works!" in broken.value.raw


async def test_nobody_there(bench: Bench) -> None:
    """Without a connection nothing was done."""
    nowhere = Bench(bench.card, msgspec.structs.replace(bench.settings, base_url="http://127.0.0.1:9", login_url="http://127.0.0.1:9"))
    with pytest.raises(Unavailable, match="unreachable"):
        await nowhere.ask(booked())
    await nowhere.aclose()


async def test_many_refused_at_once_fail_alone(bench: Bench, plan: Plan) -> None:
    """A trouble of one request does not touch those beside it."""
    plan("throttle", "/Account/Q2C_Id__c/C-ACME")
    results = await asyncio.gather(
        *(bench.ask(FindCustomer(customer_id=c)) for c in ("C-ACME", "C-GLOBEX", "C-MUSTER")), return_exceptions=True
    )
    assert [isinstance(result, Throttled) for result in results] == [True, False, False]
