"""The wire: queries that nobody can break out of, exact numbers, tolerant reading, and a simulator that refuses what Salesforce refuses."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical.customer import FindCustomer
from canonical.failures import Broken, Failure
from canonical.item import FindPrices
from runtime.clock import SetClock
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable
from system_apis.salesforce.client import Page, differences
from system_apis.salesforce.connector import SALESFORCE
from system_apis.salesforce.customers import AccountRow
from system_apis.salesforce.items import EntryRow
from system_apis.salesforce.opportunities import OpportunityRow
from system_apis.salesforce.quotes import LineRow, QuoteRow
from system_apis.salesforce.reading import address, number_text
from system_apis.salesforce.settings import COUNTRIES
from system_apis.salesforce.simulator import build, simulated
from system_apis.salesforce.simulator_objects import OBJECTS, SalesforceError
from system_apis.salesforce.simulator_soql import understand
from system_apis.salesforce.soql import columns, literal, one_of, select
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench, served
from tests.system_apis.salesforce.conftest import booked, invoice, payment

ROWS = [
    (AccountRow, "Account"),
    (EntryRow, "PricebookEntry"),
    (OpportunityRow, "Opportunity"),
    (QuoteRow, "SBQQ__Quote__c"),
    (LineRow, "SBQQ__QuoteLine__c"),
]
SPECS = Path(os.environ.get("Q2C_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "vendors" / "specs" / "salesforce"
SHOWN_EVERYWHERE = {"Id", "Name", "CreatedDate", "CurrencyIsoCode"}


# -------------------------------------------------------------------------------------------------------------------- queries


@pytest.mark.parametrize("text", ["O'Neil", "back\\slash", "\\'", "a' OR Name != '", 'say "x"', "line\nbreak\ttab\r\b\f", "Ünï – ☃", ""])
def test_no_text_ends_its_literal(text: str) -> None:
    """Whatever a person types comes out of a query as it went in."""
    query = understand(select(AccountRow, "Account", f"Name = {literal(text)} AND Q2C_Id__c IN {one_of([text, 'x'])}"))
    assert [condition.values for condition in query.conditions] == [(text,), (text, "x")]


@pytest.mark.parametrize(("row", "sobject"), ROWS)
def test_the_columns_of_a_query_are_those_of_its_shape(row: type[msgspec.Struct], sobject: str) -> None:
    """What is read is what is asked for, parents included; the simulated org understands every query that is sent."""
    query = understand(select(row, sobject, "Id = 'x'", order_by="Id"))
    assert list(query.columns) == columns(row)
    assert len(set(query.columns)) == len(query.columns)


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("", "MALFORMED_QUERY"),
        ("DELETE FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'open", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name LIKE 'A%'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'a' OR Name = 'b'", "MALFORMED_QUERY"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account LIMIT 5 nonsense", "MALFORMED_QUERY"),
        ("SELECT Id FROM Warehouse", "INVALID_TYPE"),
        ("SELECT Colour FROM Account", "INVALID_FIELD"),
        ("SELECT Wheel.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Colour = 'red'", "INVALID_FIELD"),
    ],
)
def test_what_the_simulated_org_does_not_understand_it_refuses(soql: str, code: str) -> None:
    """The recogniser knows the query forms of the connector and says so about all others."""
    with pytest.raises(SalesforceError) as refused:
        understand(soql)
    assert refused.value.entries[0]["errorCode"] == code


# -------------------------------------------------------------------------------------------------------------------- reading


def test_numbers_are_read_exactly() -> None:
    """JSON numbers become decimals without passing through a float, with or without an exponent."""
    assert [number_text(Decimal(n)) for n in ("2250.0", "1.2345678901E8", "0.0350", "-0.0")] == ["2250", "123456789.01", "0.035", "0"]
    for nonsense in ("NaN", "Infinity", "1E999999"):
        with pytest.raises(Broken):
            number_text(Decimal(nonsense))


def test_unknown_fields_and_values_are_tolerated() -> None:
    """A new field, a missing optional one and a null parent do not stop an import."""
    body = b'{"done":true,"totalSize":1,"records":[{"attributes":{},"Id":"001","Name":"A","Brand_New__c":{"x":[1]},"BillingCity":null}]}'
    page = msgspec.json.decode(body, type=Page[AccountRow])
    assert (page.records[0].name, page.records[0].billing_city, page.records[0].our_id) == ("A", None, None)
    assert msgspec.json.decode(b'{"ProductCode":"P","Product2":null,"UnitPrice":1.5}', type=EntryRow).is_active is True


def test_a_difference_names_its_field() -> None:
    """Numbers are compared by value, an empty text is null, blanks at the ends do not count; everything else is a difference."""
    kept = {
        "a": msgspec.Raw(b"1.0E1"),
        "b": msgspec.Raw(b"null"),
        "c": msgspec.Raw(b'"x"'),
        "d": msgspec.Raw(b'"10"'),
        "e": msgspec.Raw(b"{}"),
    }
    assert differences({"a": Decimal("10.00"), "b": "", "c": " x "}, kept) == []
    assert differences({"a": Decimal("10.01"), "c": "y", "e": "z"}, kept) == [
        "a: sent 10.01, kept 1.0E1",
        'c: sent y, kept "x"',
        "e: sent z, kept {}",
    ]
    assert differences({"missing": "value"}, kept) == ["missing: sent value, kept null"]


def test_countries_are_read_from_codes_and_names() -> None:
    """An ISO code stands as it is, a name is looked up, and no country at all means no address."""
    assert address({"country": "DE", "city": "Ulm "}, COUNTRIES) == {"country": "DE", "city": "Ulm"}
    assert address({"country": "Germany"}, COUNTRIES) == {"country": "DE"}
    assert address({"country": None, "city": "Ulm"}, COUNTRIES) is None


# ------------------------------------------------------------------------------------------------------------------ simulator


async def _raw(bench: Bench, method: str, path: str, **options: Any) -> Any:
    """A request past the client's own mapping, with a session of its own: the answer, or the entries of the error array."""
    login = bench.settings
    http = HttpClient(login.base_url, failures=FailureTable({}))
    form = {"grant_type": "client_credentials", "client_id": login.client_id, "client_secret": login.client_secret}
    token = (await http.send("POST", "/services/oauth2/token", form=form)).decode(dict[str, Any])["access_token"]
    try:
        return await http.send(method, f"/services/data/v62.0{path}", headers={"Authorization": f"Bearer {token}"}, **options)
    except Failure as failure:
        return msgspec.json.decode(failure.raw)
    finally:
        await http.aclose()


async def test_an_upsert_creates_then_updates(bench: Bench) -> None:
    """201 with the new id the first time, 204 with no body afterwards, and the request budget in a header."""
    path = "/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1"
    first = await _raw(bench, "PATCH", path, json={"Name": "I-1"})
    second = await _raw(bench, "PATCH", path, json={"Name": "I-1"})
    assert (first.status, first.decode(dict[str, Any])["created"], second.status, second.body) == (201, True, 204, b"")
    assert first.headers["sforce-limit-info"].startswith("api-usage=")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Q2C_Invoice_Id__c": "I-1"}, "INVALID_FIELD"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Colour": "red"}, "INVALID_FIELD"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Name": "x" * 81}, "STRING_TOO_LONG"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Name": 7}, "JSON_PARSER_ERROR"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Q2C_Total__c": "much"}, "JSON_PARSER_ERROR"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Q2C_Total__c": "NaN"}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Q2C_Issued_On__c": "31.1.2026"}, "JSON_PARSER_ERROR"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Q2C_Status__c": "lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Q2C_Account__c": "001000000000999AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ("/sobjects/Q2C_Invoice__c/Q2C_Invoice_Id__c/I-1", {"Q2C_Paid_Amount__c": 5}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("/sobjects/Q2C_Payment__c/Q2C_Payment_Key__c/P-1", {"Q2C_Amount__c": 5}, "REQUIRED_FIELD_MISSING"),
        ("/sobjects/Q2C_Invoice__c/Name/I-1", {"Name": "I-1"}, "NOT_FOUND"),
        ("/sobjects/Opportunity/Q2C_Id__c/OPP-9999", {"StageName": "Closed Won"}, "REQUIRED_FIELD_MISSING"),
        ("/sobjects/Opportunity/006000000009999AAA", {"StageName": "Closed Won"}, "NOT_FOUND"),
        ("/sobjects/Warehouse/a000000000000001", {"Name": "x"}, "NOT_FOUND"),
        ("/no/such/thing", {}, "NOT_FOUND"),
    ],
)
async def test_the_simulated_org_refuses_what_salesforce_refuses(
    bench: Bench, simulation: Simulation, path: str, body: dict[str, Any], code: str
) -> None:
    """A refused write is an array of errors in Salesforce's words, and nothing is kept."""
    entries = await _raw(bench, "PATCH", path, json=body)
    assert [entry["errorCode"] for entry in entries] == [code]
    assert (simulation.ledger, simulation.all("Q2C_Invoice__c")) == ([], [])


async def test_a_stranger_gets_no_data(base_url: str) -> None:
    """Without a living session every data request is answered 401 INVALID_SESSION_ID."""
    http = HttpClient(base_url, failures=FailureTable({}))
    for headers in ({}, {"Authorization": "Bearer made-up"}, {"Authorization": "Basic eDp5"}):
        with pytest.raises(Failure) as refused:
            await http.send("GET", "/services/data/v62.0/query", params={"q": "SELECT Id FROM Account"}, headers=headers)
        assert msgspec.json.decode(refused.value.raw)[0]["errorCode"] == "INVALID_SESSION_ID"
    await http.aclose()


async def test_the_org_survives_a_restart(tmp_path: Path) -> None:
    """What was written, who was logged in and what was counted is still there after the simulator was started again."""
    state, clock = tmp_path / "salesforce.jsonl", SetClock()
    commands = (booked(), invoice(opportunity_id="OPP-1001"), payment())
    async with served(build(Simulation("salesforce", clock=clock, path=state))) as url:
        bench = Bench(SALESFORCE, simulated(url))
        for command in commands:
            await bench.ask(command)
        await bench.aclose()
    again = Simulation("salesforce", clock=clock, path=state)
    async with served(build(again)) as url:
        bench = Bench(SALESFORCE, simulated(url))
        for command in commands:
            assert await bench.find(command) is not None
            await bench.ask(command)
        await bench.aclose()
    assert [(e.seq, e.kind) for e in again.ledger] == [(1, "opportunity_won"), (2, "crm_invoice"), (3, "crm_payment")]
    assert len(again.all("Account")) == 9


async def test_the_shared_master_data_is_there(bench: Bench, simulation: Simulation) -> None:
    """Sixty opportunities, nine customers, eleven products, prices in two currencies, at least three quotes."""
    counts = {name: len(simulation.all(name)) for name in ("Opportunity", "Account", "Product2", "PricebookEntry")}
    assert counts == {"Opportunity": 60, "Account": 9, "Product2": 11, "PricebookEntry": 21}
    assert len(simulation.all("SBQQ__Quote__c")) >= 3
    for account in simulation.all("Account"):
        assert (await bench.ask(FindCustomer(customer_id=account["Q2C_Id__c"]))).customer.bill_to is not None
    codes = tuple(product["ProductCode"] for product in simulation.all("Product2"))
    assert len((await bench.ask(FindPrices(price_book="standard", currency="USD", item_codes=codes))).entries) == 11


# ---------------------------------------------------------------------------------------------------------------- vendor facts


@pytest.mark.parametrize("name", [*(name for _, name in ROWS), "Product2", "Pricebook2"])
def test_the_fields_exist_at_the_vendor(name: str) -> None:
    """Every field of the simulated org that is not ours is one that Salesforce or CPQ has."""
    if not SPECS.exists():
        pytest.skip(f"the vendor's field lists are not at {SPECS}")
    standard = msgspec.json.decode((SPECS / "standard-objects.json").read_bytes())
    cpq = msgspec.json.decode((SPECS / "cpq-objects.json").read_bytes())
    known = set(standard.get(name, {}).get("fields", {})) | set(cpq.get(name, {})) | SHOWN_EVERYWHERE
    assert {field for field in OBJECTS[name].fields if not field.startswith("Q2C_")} <= known
