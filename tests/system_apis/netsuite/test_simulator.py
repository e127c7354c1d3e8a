"""The simulator itself: NetSuite's wire format, its refusals, and its memory."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from canonical.failures import Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.clock import SetClock
from system_apis.netsuite.auth import TokenAuth
from system_apis.netsuite.failures import FAILURES
from system_apis.netsuite.simulator import build
from system_apis.netsuite.simulator_errors import NsError
from system_apis.netsuite.simulator_seed import seed
from system_apis.netsuite.simulator_suiteql import run
from system_apis.simulation import Simulation
from tests.system_apis.harness import served
from tests.system_apis.netsuite.conftest import Account, ensure, invoiced, order, payment

RECORDS = "/services/rest/record/v1"


async def send(account: Account, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    """One signed call by another client than ours."""
    url = account.base_url + path
    signed = await TokenAuth(account.settings).headers(method, url)
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, url, json=body, headers={**signed, **headers})


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the vendor's code, out of the vendor's own error body."""
    assert answer.headers["content-type"].startswith("application/vnd.oracle.resource+json; type=error")
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["o:errorDetails"][0]["o:errorCode"]


async def test_a_created_record_is_answered_with_204_and_its_place(account: Account) -> None:
    """No body, a Location that can be read, and lines only where they are asked for."""
    lines = {"items": [{"item": {"id": "101"}, "quantity": 3, "rate": 45.5}]}
    body = {"externalId": "X-1", "entity": {"id": "1001"}, "subsidiary": {"id": "1"}, "currency": {"id": "1"}, "item": lines}
    made = await send(account, "POST", f"{RECORDS}/salesOrder", body)
    assert (made.status_code, made.content) == (204, b"")
    place = made.headers["location"].removeprefix(account.base_url)
    short = (await send(account, "GET", place)).json()
    full = (await send(account, "GET", f"{place}?expandSubResources=true")).json()
    assert short["item"] == {"links": []}
    assert (full["item"]["items"][0]["amount"], full["total"], full["status"]["refName"]) == (136.5, 136.5, "Pending Billing")
    assert code(await send(account, "POST", f"{RECORDS}/salesOrder", body)) == (400, "USER_ERROR")


async def test_lines_are_added_unless_they_are_replaced(account: Account) -> None:
    """NetSuite's own trap: an upsert that does not say replace=item doubles the lines."""
    lines = {"items": [{"item": {"id": "101"}, "quantity": 1, "rate": 1}]}
    body = {"entity": {"id": "1001"}, "subsidiary": {"id": "1"}, "currency": {"id": "1"}, "item": lines}
    counts = []
    for query in ("?replace=item", "?replace=item", ""):
        await send(account, "PUT", f"{RECORDS}/salesOrder/eid:X-1{query}", body)
        kept = account.simulation.find("salesOrder", externalId="X-1")
        assert kept is not None
        counts.append(len(kept["item"]["items"]))
    assert counts == [1, 1, 2]
    assert account.booked("sales_order") == ["X-1"]


async def test_refusals_come_in_the_vendors_own_shape(account: Account) -> None:
    """Unknown records, wrong methods, unsigned calls and bad content, each with NetSuite's code."""
    order_body = {"entity": {"id": "1001"}, "subsidiary": {"id": "1"}, "currency": {"id": "1"}}
    expected = {
        (404, "NONEXISTENT_ID"): ("GET", f"{RECORDS}/customer/eid:C-NOBODY", None),
        (404, "INVALID_RCRD_TYPE"): ("POST", f"{RECORDS}/spaceship", {}),
        (405, "INVALID_METHOD"): ("DELETE", f"{RECORDS}/salesOrder/1", None),
        (400, "USER_ERROR"): ("POST", f"{RECORDS}/salesOrder", order_body),
        (400, "INVALID_CONTENT"): ("POST", f"{RECORDS}/customer", ["no", "object"]),
        (400, "INVALID_HEADER"): ("POST", "/services/rest/query/v1/suiteql", {"q": "SELECT id FROM item"}),
        (404, "INVALID_URL"): ("GET", "/elsewhere", None),
    }
    for refusal, (method, path, body) in expected.items():
        assert code(await send(account, method, path, body)) == refusal
    assert code(await send(account, "GET", f"{RECORDS}/customer/1001", Authorization="Bearer x")) == (401, "INVALID_LOGIN")
    assert account.simulation.ledger == []


async def test_items_are_read_under_their_own_record_type(account: Account) -> None:
    """A service is no inventory item."""
    assert (await send(account, "GET", f"{RECORDS}/serviceSaleItem/107")).json()["itemId"] == "SVC-ONB"
    assert code(await send(account, "GET", f"{RECORDS}/inventoryItem/107")) == (404, "NONEXISTENT_ID")


async def test_the_account_survives_a_restart(tmp_path: Path) -> None:
    """Customers, orders, invoices, payments and the ledger are as before; numbers go on."""
    path = tmp_path / "netsuite.jsonl"
    async with served(build(Simulation("netsuite", clock=SetClock(), path=path))) as base_url:
        before = Account(Simulation("unused"), base_url)
        await before.ask(ensure())
        bill = await invoiced(before)
        paid = await before.ask(payment("PAY-1", "100.00", (bill, "100.00")))
        await before.aclose()
    reborn = Simulation("netsuite", clock=SetClock(), path=path)
    async with served(build(reborn)) as base_url:
        after = Account(reborn, base_url)
        assert await after.ask(payment("PAY-1", "100.00", (bill, "100.00"))) == paid
        assert (await after.ask(ensure())).created is False
        assert (await after.ask(order("ORD-2"))).erp_ref.number == "SO-NS-1002"
        await after.aclose()
    assert [effect.kind for effect in reborn.ledger] == ["customer", "sales_order", "invoice", "payment", "sales_order"]


async def test_what_cannot_be_billed_is_said(account: Account) -> None:
    """An unknown order, nonsense, and a closed period are answered, not done."""
    await account.ask(order())
    await account.do("close_period", until="2026-01-31")
    for wish in ({"order_id": "ORD-9"}, {}, {"order_id": "ORD-1001", "amount_percent": "much"}, {"order_id": "ORD-1001"}):
        assert "error" in await account.do("post_invoice", **wish)
    assert "error" in await account.do("close_period", until="soon")
    assert account.booked("invoice") == []


# SuiteQL -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def seeded() -> Simulation:
    simulation = Simulation("netsuite", clock=SetClock())
    seed(simulation)
    return simulation


def test_queries_are_understood_and_not_recognised_by_heart(seeded: Simulation) -> None:
    """Other columns, aliases, orders and conditions than the connector's give what they say."""
    rows = run(
        seeded, "SELECT c.entityid AS who, LOWER(c.email) AS mail FROM customer c WHERE c.id > 1002 AND c.email <> 'x' ORDER BY c.entityid"
    )
    assert rows == [{"who": "CUST1003", "mail": "pay@hooli.example"}, {"who": "CUST1004", "mail": "owner@small.example"}]
    assert run(seeded, "select itemid from item where (itemid = 'HW-GW' or isinactive = 'T') and id >= 101 order by itemid") == [
        {"itemid": "HW-GW"},
        {"itemid": "SUB-OLD"},
    ]
    assert run(seeded, "SELECT id FROM customer WHERE companyname = 'O''Neil'") == []
    assert run(seeded, "SELECT symbol FROM currency WHERE id = 1 AND symbol = 'EUR' OR symbol = 'EUR'") == [{"symbol": "EUR"}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT shoe_size FROM customer",
        "SELECT id FROM spaceship",
        "SELECT id FROM customer WHERE MAGIC(id) = 1",
        "SELECT TO_CHAR(id, 'Roman') FROM customer",
        "SELECT id FROM customer WHERE id = 'abc'",
        "SELECT id FROM customer WHERE",
        "SELECT id FROM customer LIMIT 5",
        "SELECT id FROM customer; DROP TABLE customer",
        "UPDATE customer SET id = 1",
        "SELECT id FROM customer c JOIN item i ON i.itemid = c.email",
        "",
    ],
)
def test_what_is_not_understood_is_refused(seeded: Simulation, query: str) -> None:
    """As NetSuite does it, not with an empty answer."""
    with pytest.raises(NsError) as refused:
        run(seeded, query)
    assert refused.value.code == "INVALID_PARAMETER"


# failures ------------------------------------------------------------------------------------------------------------


def _meant(status: int, error_code: str, detail: str = "x", *, writes: bool = True) -> tuple[type[Failure], str]:
    body = {"title": "t", "status": status, "o:errorDetails": [{"detail": detail, "o:errorCode": error_code, "o:errorPath": "entity"}]}
    failure = FAILURES.failure(status, {}, msgspec.json.encode(body), writes=writes, retry_after_s=None)
    return type(failure), failure.code


def test_codes_and_sentences_become_words() -> None:
    """The table, row by row where it matters: what to wait for, what to find out, what to tell a person, what to configure."""
    expected = {
        (429, "CONCURRENCY_LIMIT_EXCEEDED", "x"): (Throttled, "throttled"),
        (400, "SSS_REQUEST_LIMIT_EXCEEDED", "x"): (Throttled, "throttled"),
        (500, "UNEXPECTED_ERROR", "x"): (OutcomeUnknown, "outcome_unknown"),
        (400, "RCRD_HAS_BEEN_CHANGED", "x"): (Unavailable, "record_changed_meanwhile"),
        (401, "INVALID_LOGIN", "x"): (Misconfigured, "credentials_refused"),
        (403, "INSUFFICIENT_PERMISSION", "x"): (Misconfigured, "not_authorised"),
        (400, "USER_ERROR", "The transaction date falls within a closed accounting period."): (Rejected, "closed_period"),
        (400, "USER_ERROR", "This period is locked"): (Rejected, "closed_period"),
        (400, "USER_ERROR", "This record already exists."): (Rejected, "record_exists"),
        (400, "INVALID_CONTENT", "Invalid entity reference key 7 for subsidiary 1."): (Rejected, "reference_unknown"),
        (400, "USER_ERROR", "Please enter value(s) for: Customer."): (Rejected, "refused_by_user_error"),
        (400, "NOVEL_CODE_OF_2027", "x"): (Rejected, "rejected_by_vendor"),
    }
    for (status, error_code, detail), word in expected.items():
        assert _meant(status, error_code, detail) == word
    assert _meant(500, "UNEXPECTED_ERROR", writes=False) == (Unavailable, "unavailable")


@pytest.mark.parametrize("body", [b"", b"<html/>", b"[]", b'{"o:errorDetails": 7}', b'{"title": "Too Many Requests"}'])
def test_an_error_page_that_is_not_netsuites_goes_by_its_status(body: bytes) -> None:
    """A proxy in between does not stop the reader; a 404 of its own is not taken for "there is no such record"."""
    assert type(FAILURES.failure(429, {}, body, writes=True, retry_after_s=None)) is Throttled
    assert FAILURES.failure(404, {}, body, writes=False, retry_after_s=None).code == "rejected_by_vendor"
