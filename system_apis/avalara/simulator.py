"""A simulated AvaTax account: calculates, records, adjusts, voids and locks documents, in AvaTax's own words.

Acts of people: ``file_return`` {company, until}: what is dated up to that day was reported and is locked; ``void`` {company, code}: someone
voids a document in the console.
"""

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ASGIApp

from canonical.customer import Address
from system_apis.avalara.settings import AvalaraSettings, Company
from system_apis.avalara.simulator_calculation import AvaTaxError, CreateOrAdjust, Model, calculate
from system_apis.simulation import Simulation, simulator

_NUMBER_FIELDS = {
    *("totalAmount", "totalExempt", "totalTax", "totalTaxCalculated", "totalTaxable"),
    *("quantity", "lineAmount", "exemptAmount", "taxableAmount", "tax", "taxCalculated", "rate"),
}
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ACCOUNT_ID, _LICENSE_KEY = "2000001234", "SIMULATED-LICENSE-KEY"


def simulated(base_url: str) -> AvalaraSettings:
    """Settings that fit the simulator."""
    return AvalaraSettings(
        base_url=base_url,
        account_id=_ACCOUNT_ID,
        license_key=_LICENSE_KEY,
        companies={
            "US01": Company(
                code="US01",
                ship_from=Address(street="1 Market Street", city="San Francisco", region="CA", postal_code="94105", country="US"),
            ),
            "DE01": Company(code="DE01", ship_from=Address(street="Königstraße 1", city="Stuttgart", postal_code="70173", country="DE")),
        },
    )


def seed(simulation: Simulation) -> None:
    """The two companies of the account."""
    for number, (code, name) in enumerate((("US01", "Northwind Software Inc."), ("DE01", "Northwind Software GmbH")), start=1):
        simulation.put("companies", code, {"id": number, "companyCode": code, "name": name})


def build(simulation: Simulation) -> ASGIApp:
    """The simulated account as an ASGI app."""
    if not simulation.all("companies"):
        seed(simulation)
    routes = Router("/api/v2", route_handlers=_routes(Books(simulation)), before_request=_admit)
    handlers = {AvaTaxError: _refused, HTTPException: _not_routed}
    return simulator(simulation, [routes], acts={"file_return": _file_return, "void": _void_by_hand}, exception_handlers=handlers)


class Books:
    """The documents of the account. A document is kept under company and code; one that was voided makes room for a new one."""

    def __init__(self, simulation: Simulation) -> None:
        self.sim = simulation

    def company(self, code: str) -> dict[str, Any]:
        company = self.sim.get("companies", code)
        if company is None:
            raise AvaTaxError("CompanyInvalidException", f"Company '{code}' is not valid for this account.", refers_to="companyCode")
        return company

    def current(self, company: str, code: str) -> dict[str, Any]:
        self.company(company)
        document = self.sim.get("transactions", f"{company}/{code}")
        if document is None:
            raise AvaTaxError(
                "EntityNotFoundError", "Transaction not found.", f"The Transaction with code '{code}' was not found.", status=404
            )
        return document

    def record(self, model: Model, *, adjust: bool, path: str) -> dict[str, Any]:
        """Calculate; keep it unless it is an estimate."""
        company, document = self.company(model.company_code), calculate(model)
        if model.type == "SalesOrder":
            return {**document, "id": 0, "companyId": company["id"]}
        if not model.code:
            document["code"] = f"sim-{self.sim.number('code'):08d}"
        key = f"{model.company_code}/{document['code']}"
        before = self.sim.get("transactions", key)
        before = None if before is None or before.get("status") == "Cancelled" else before
        self._check_open(company, document, before, path)
        if before and before.get("status") == "Committed" and not adjust:
            raise AvaTaxError("DocumentCodeConflict", f"A committed document with code '{document['code']}' exists.", refers_to="code")
        document["status"] = "Committed" if model.commit or (before and before.get("status") == "Committed") else "Saved"
        document["id"] = before["id"] if before else self.sim.number("transaction", 85_000_000_000)
        document["version"] = before.get("version", 0) + 1 if before else 1
        kept = self.sim.put("transactions", key, {**document, "companyId": company["id"]})
        self._enter(before, document)
        return kept

    def _check_open(self, company: dict[str, Any], document: dict[str, Any], before: dict[str, Any] | None, path: str) -> None:
        """AvaTax locks what was reported to an authority; that is the only word that it has for a closed period."""
        closed = document["date"] <= company.get("closedUntil", "")
        if closed or (before and before.get("locked")) or self.sim.take("closed_period", f"POST {path}"):
            raise locked(document["code"])

    def _enter(self, before: dict[str, Any] | None, document: dict[str, Any]) -> None:
        """The effect, if there is one: the same document sent again has none."""
        compared = ("status", "date", "currencyCode", "customerCode", "lines")
        if document["status"] != "Committed" or (before and all(before.get(f) == document[f] for f in compared)):
            return
        first = before is None or before.get("status") != "Committed"
        self._commit("tax_document" if first else "tax_adjustment", document)

    def void(self, company: str, code: str) -> dict[str, Any]:
        document = self.current(company, code)
        if document.get("status") == "Cancelled":
            raise AvaTaxError(
                "TransactionAlreadyCancelled",
                "The transaction has already been cancelled.",
                f"The transaction '{code}' is already in a 'Cancelled' status. There is nothing to be done.",
            )
        if document.get("locked"):
            raise locked(code)
        kept = self.sim.put("transactions", f"{company}/{code}", {**document, "status": "Cancelled"})
        self._commit("tax_void", document)
        return kept

    def _commit(self, kind: str, document: dict[str, Any]) -> None:
        self.sim.commit(
            kind,
            document.get("referenceCode") or document["code"],
            str(document["id"]),
            idempotency_key=document["code"],
            amount=document.get("totalTax", ""),
            currency=document.get("currencyCode", ""),
        )


def locked(code: str) -> AvaTaxError:
    """What AvaTax says of a document that was reported."""
    description = f"Document {code} is locked. Modification is not allowed."
    return AvaTaxError("CannotModifyLockedTransaction", "Modifying a locked document is not allowed.", description)


def _routes(books: Books) -> list[Any]:
    @post("/transactions/create", status_code=201)
    async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
        model = _decoded(await request.body(), Model)
        return _sent(books.record(model, adjust=False, path=request.url.path), status=201)

    @post("/transactions/createoradjust", status_code=200)
    async def create_or_adjust(request: Request[Any, Any, Any]) -> Response[bytes]:
        wish = _decoded(await request.body(), CreateOrAdjust)
        return _sent(books.record(wish.create_transaction_model, adjust=True, path=request.url.path))

    @get("/companies/{company:str}/transactions/{code:str}")
    async def show(company: FromPath[str], code: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        document = books.current(_unescaped(company), _unescaped(code))
        wanted = str(request.query_params.get("$include", "")).lower()
        return _sent(document if "lines" in wanted else {k: v for k, v in document.items() if k != "lines"})

    @post("/companies/{company:str}/transactions/{code:str}/void", status_code=200)
    async def void(company: FromPath[str], code: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        reason = _decoded(await request.body(), dict[str, str]).get("code")
        if reason not in {"Unspecified", "PostFailed", "DocDeleted", "DocVoided", "AdjustmentCancelled"}:
            raise AvaTaxError("InvalidEnumValue", f"'{reason}' is not a valid VoidReasonCode.", refers_to="code")
        return _sent(books.void(_unescaped(company), _unescaped(code)))

    return [create, create_or_adjust, show, void]


async def _admit(request: Request[Any, Any, Any]) -> None:
    """Credentials and the client header, before anything else."""
    expected = "Basic " + base64.b64encode(f"{_ACCOUNT_ID}:{_LICENSE_KEY}".encode()).decode()
    given = request.headers.get("authorization")
    if given is None:
        raise AvaTaxError("AuthenticationIncomplete", "Authentication incomplete.", "No credentials were sent.", status=401)
    if given != expected:
        raise AvaTaxError("AuthenticationException", "Authentication failed.", "Missing authentication or incorrect password.", status=401)
    if len(request.headers.get("x-avalara-client", "").split(";")) < 4:
        raise AvaTaxError("InvalidHTTPHeader", "Header X-Avalara-Client is missing or invalid.", refers_to="X-Avalara-Client")


def _decoded(body: bytes, shape: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise AvaTaxError("ValueRequiredError", str(error)) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise AvaTaxError("JsonFormatError", f"The JSON could not be read: {error}") from error


def _unescaped(code: str) -> str:
    for escape, character in (("_-ava2f-_", "/"), ("_-ava2b-_", "+"), ("_-ava3f-_", "?"), ("_-ava25-_", "%"), ("_-ava23-_", "#")):
        code = code.replace(escape, character)
    return code


def _numbers(value: Any) -> Any:
    """Amounts are kept as text and sent as JSON numbers, digit by digit."""
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, Mapping):
        return {k: Decimal(v) if k in _NUMBER_FIELDS else _numbers(v) for k, v in value.items()}
    return value


def _sent(document: dict[str, Any], *, status: int = 200) -> Response[bytes]:
    return Response(_ENCODER.encode(_numbers(document)), media_type="application/json", status_code=status)


def _refused(_request: Any, error: AvaTaxError) -> Response[dict[str, Any]]:
    return Response(error.body, status_code=error.status)


def _not_routed(_request: Any, error: HTTPException) -> Response[dict[str, Any]]:
    return Response(AvaTaxError("NotFound", str(error.detail)).body, status_code=error.status_code)


async def _file_return(simulation: Simulation, wish: dict[str, Any]) -> dict[str, Any]:
    company, until = Books(simulation).company(wish["company"]), str(wish["until"])
    simulation.put("companies", company["companyCode"], {**company, "closedUntil": until})
    reported = [d for d in simulation.all("transactions") if d["companyId"] == company["id"] and d["date"] <= until]
    for document in reported:
        simulation.put("transactions", f"{company['companyCode']}/{document['code']}", {**document, "locked": True})
    return {"locked": [document["code"] for document in reported]}


async def _void_by_hand(simulation: Simulation, wish: dict[str, Any]) -> dict[str, Any]:
    return {"status": Books(simulation).void(wish["company"], wish["code"])["status"]}
