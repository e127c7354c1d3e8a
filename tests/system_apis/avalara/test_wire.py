"""The wire format: the simulator's refusals, and both sides against AvaTax's own description where it is at hand."""

import functools
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical.failures import Failure, Misconfigured, Rejected
from canonical.tax import CommitTax, EstimateTax, VoidTax
from runtime.http.client import HttpClient, Response, StaticHeaders
from runtime.http.failure_table import FailureTable
from system_apis.avalara.client import _ENCODER, in_path
from system_apis.avalara.simulator_calculation import NUMBERS
from system_apis.avalara.tax import CreateOrAdjustOut, transaction
from system_apis.simulation import Simulation
from tests.system_apis.avalara.conftest import MUSTER, Documents
from tests.system_apis.harness import Bench

SHARED = Path(os.environ.get("Q2C_SHARED", Path(__file__).parents[4] / "shared"))
SWAGGER = SHARED / "vendors/specs/avalara/avatax-swagger-2025.json"
INVOICE: dict[str, Any] = {
    "type": "SalesInvoice",
    "companyCode": "US01",
    "code": "INV-1",
    "date": "2026-01-15",
    "customerCode": "C-ACME",
    "currencyCode": "USD",
    "commit": True,
    "addresses": {"singleLocation": {"city": "San Francisco", "region": "CA", "country": "US", "postalCode": "94105"}},
    "lines": [{"number": "1", "amount": 100}],
}


class Wire:
    """Plain requests to the simulator."""

    def __init__(self, bench: Bench) -> None:
        self.http = bench.client._http
        self.base_url = bench.settings.base_url

    async def post(self, path: str, body: Any) -> Response:
        answer: Response = await self.http.send("POST", f"/api/v2{path}", json=body)
        return answer

    async def refusal(self, path: str, body: Any) -> dict[str, Any]:
        with pytest.raises(Failure) as caught:
            await self.post(path, body)
        error: dict[str, Any] = msgspec.json.decode(caught.value.raw)["error"]
        return error


@pytest.fixture
def wire(bench: Bench) -> Wire:
    """Plain requests with the credentials of the connection."""
    return Wire(bench)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"lines": []}, "MissingLine"),
        ({"addresses": {}}, "MissingAddress"),
        ({"addresses": {"shipTo": {"country": "US", "region": "CA"}}}, "MissingAddress"),
        ({"addresses": {"singleLocation": {"city": "Nowhere"}}}, "InvalidCountry"),
        ({"addresses": {"singleLocation": {"country": "FR"}}}, "JurisdictionNotFoundError"),
        ({"companyCode": "XX"}, "CompanyInvalidException"),
        ({"currencyCode": "XXX"}, "InvalidEnumValue"),
        ({"type": "PurchaseOrder"}, "InvalidEnumValue"),
        ({"customerCode": ""}, "ValueRequiredError"),
        ({"date": "15.01.2026"}, "ValueRequiredError"),
        ({"code": "X" * 51}, "StringLengthError"),
        ({"lines": [{"amount": "a lot"}]}, "ValueRequiredError"),
    ],
)
async def test_what_cannot_be_taxed_is_refused(wire: Wire, simulation: Simulation, change: dict[str, Any], code: str) -> None:
    """Each refusal is an AvaTax error with code, number, message and severity in its details, and records nothing."""
    error = await wire.refusal("/transactions/create", INVOICE | change)
    detail = error["details"][0]
    assert (error["code"], detail["number"], detail["severity"]) == (code, NUMBERS[code], "Error")
    assert detail["description"]
    assert simulation.all("transactions") == []


async def test_create_refuses_a_code_that_is_committed(wire: Wire, simulation: Simulation) -> None:
    """A saved document may be created again, a committed one only adjusted."""
    saved = INVOICE | {"commit": False}
    assert msgspec.json.decode((await wire.post("/transactions/create", saved)).body)["status"] == "Saved"
    assert (await wire.post("/transactions/create", INVOICE)).status == 201
    assert (await wire.refusal("/transactions/create", INVOICE))["code"] == "DocumentCodeConflict"
    assert [e.kind for e in simulation.ledger] == ["tax_document"]


async def test_void_knows_what_is_void_and_what_never_was(wire: Wire) -> None:
    """A second void, an unknown document and a reason that does not exist are told apart."""
    path = "/companies/US01/transactions/INV-1/void"
    assert (await wire.refusal(path, {"code": "DocVoided"}))["code"] == "EntityNotFoundError"
    await wire.post("/transactions/create", INVOICE)
    assert (await wire.refusal(path, {"code": "Whim"}))["code"] == "InvalidEnumValue"
    await wire.post(path, {"code": "DocVoided"})
    assert (await wire.refusal(path, {"code": "DocVoided"}))["code"] == "TransactionAlreadyCancelled"


async def test_a_person_can_void_in_the_console(wire: Wire, bench: Bench) -> None:
    """What a person voided is void for us too."""
    await wire.post("/transactions/create", INVOICE)
    await wire.http.send("POST", "/_sim/do/void", json={"company": "US01", "code": "INV-1"})
    assert (await bench.find(VoidTax(code="INV-1", entity="US01"))).code == "INV-1"


async def test_the_door_is_guarded(wire: Wire) -> None:
    """No credentials, no client header, no such path, no JSON: each has its AvaTax error."""
    table = FailureTable({})
    bare = HttpClient(wire.base_url, failures=table)
    nameless = HttpClient(wire.base_url, failures=table, auth=StaticHeaders(await wire.http._auth.headers("", "")))
    cases = [
        (bare, "/api/v2/transactions/create", b"{}", Misconfigured, "AuthenticationIncomplete"),
        (nameless, "/api/v2/transactions/create", b"{}", Rejected, "InvalidHTTPHeader"),
        (wire.http, "/api/v2/transactions/create", b"{", Failure, "JsonFormatError"),
        (wire.http, "/api/v2/nonsense", b"{}", Rejected, "NotFound"),
    ]
    for client, path, content, word, code in cases:
        with pytest.raises(word) as caught:
            await client.send("POST", path, content=content)
        assert msgspec.json.decode(caught.value.raw)["error"]["code"] == code
    await bare.aclose()
    await nameless.aclose()


def test_codes_in_paths_are_spelt_as_avatax_wants() -> None:
    """Slash, plus, question mark, percent, hash and space have AvaTax's own escapes."""
    assert in_path("A/B+C?D%E#F G") == "A_-ava2f-_B_-ava2b-_C_-ava3f-_D_-ava25-_E_-ava23-_F%20G"


# ------------------------------------------------------------------------------------- against AvaTax's own description


@functools.cache
def swagger() -> dict[str, Any]:
    """AvaTax's own description."""
    if not SWAGGER.exists():
        pytest.skip(f"AvaTax's own description is not at hand ({SWAGGER}): requests and replies were not checked against it")
    described: dict[str, Any] = msgspec.json.decode(SWAGGER.read_bytes())
    return described


def complaints(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """Where a value is not as the schema says: unknown and missing fields, types, enums, lengths."""
    if "$ref" in schema:
        return complaints(value, swagger()["definitions"][schema["$ref"].rsplit("/", 1)[-1]], where)
    kind = schema.get("type")
    types: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,)}
    if kind == "object":
        fields, known = value.items(), schema.get("properties", {})
        missing = [f"{where}.{name} is required" for name in schema.get("required", []) if name not in value]
        unknown = [f"{where}.{name} is unknown" for name, _ in fields if name not in known]
        return missing + unknown + [c for n, v in fields if n in known for c in complaints(v, known[n], f"{where}.{n}")]
    if kind == "array":
        return [c for i, v in enumerate(value) for c in complaints(v, schema["items"], f"{where}[{i}]")]
    if not isinstance(value, types[str(kind)]) or (kind != "boolean" and isinstance(value, bool)):
        return [f"{where} is {value!r}, not a {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} is {value!r}, not one of {schema['enum']}"]
    return [f"{where} is longer than {schema['maxLength']}"] if len(str(value)) > schema.get("maxLength", 10**9) else []


def test_requests_are_as_avatax_describes_them(bench: Bench, document: Documents) -> None:
    """An estimate, a commit with every field, and a void have no complaint."""
    definitions = swagger()["definitions"]
    call = bench.call("order_booking/ORD-1001/commit_tax")
    full = document("100.00", ("-1.50", "NT"), code="ORD/" + "9" * 60, customer=MUSTER, currency="EUR")
    adjusted = CreateOrAdjustOut(create_transaction_model=transaction(call, full, commit=True), adjustment_description="again")
    bodies: dict[str, Any] = {
        "CreateTransactionModel": transaction(call, document(), commit=False),
        "CreateOrAdjustTransactionModel": adjusted,
        "VoidTransactionModel": {"code": "DocVoided"},
    }
    for name, body in bodies.items():
        assert complaints(msgspec.json.decode(_ENCODER.encode(body)), definitions[name]) == []


async def test_replies_of_the_simulator_are_as_avatax_describes_them(bench: Bench, wire: Wire, document: Documents) -> None:
    """What the simulator answers to create, adjust, show, void and a refusal has no complaint, except its own lock flag."""
    definitions = swagger()["definitions"]
    await bench.ask(EstimateTax(document=document()))
    await bench.ask(CommitTax(document=document("100.00", ("5.00", "NT"))))
    shown = await wire.http.send("GET", "/api/v2/companies/US01/transactions/ORD-1001", params={"$include": "Lines"})
    created = await wire.post("/transactions/create", INVOICE)
    voided = await wire.post("/companies/US01/transactions/INV-1/void", {"code": "DocVoided"})
    for answer in (shown, created, voided):
        assert complaints(msgspec.json.decode(answer.body), definitions["TransactionModel"]) == []
    error = await wire.refusal("/transactions/create", INVOICE | {"lines": []})
    assert complaints(error["details"][0], definitions["ErrorDetail"]) == []


def test_error_codes_and_numbers_are_avatax_own() -> None:
    """Each code that the simulator speaks stands in AvaTax's registry under the same number."""
    registry = swagger()["definitions"]["ErrorDetail"]["properties"]["code"]["x-enum-metadata"]["values"]
    numbers = {entry["name"]: entry["value"] for entry in registry}
    assert {code: numbers.get(code) for code in NUMBERS} == NUMBERS


def test_paths_are_avatax_own() -> None:
    """Each path and method that the client uses is described."""
    document = "/api/v2/companies/{companyCode}/transactions/{transactionCode}"
    used = {
        "/api/v2/transactions/create": "post",
        "/api/v2/transactions/createoradjust": "post",
        document: "get",
        f"{document}/void": "post",
    }
    assert all(method in swagger()["paths"][path] for path, method in used.items())
