"""The simulated NetSuite: REST records, SuiteQL and SOAP in the vendor's wire format, every call signed and checked.

People act through ``POST /_sim/do/{post_invoice, close_period, reopen}``.
"""

import hmac
import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import msgspec
from litestar import Request, Response, get, patch, post, put
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ASGIApp

from system_apis.netsuite import simulator_books as books
from system_apis.netsuite import simulator_soap, simulator_suiteql
from system_apis.netsuite.auth import rest_signature
from system_apis.netsuite.settings import NetSuiteSettings
from system_apis.netsuite.simulator_billing import close_period, post_invoice, reopen
from system_apis.netsuite.simulator_errors import NsError, bad_query, not_there, user_error
from system_apis.netsuite.simulator_seed import seed
from system_apis.simulation import Simulation, simulator

Call = Request[Any, Any, Any]
_ROOT = "/services/rest/record/v1"
_ITEMS = frozenset({"nonInventorySaleItem", "serviceSaleItem", "inventoryItem"})
_READABLE = frozenset({"customer", "salesOrder", "invoice", "customerPayment", "currency", "term", "subsidiary", *_ITEMS})
_FIELD = re.compile(r'(\w+)="([^"]*)"')
_HIDDEN = frozenset({"recordType", "billedPercent"})
_NUMBERS = frozenset(
    "quantity quantityBilled rate amount total subtotal payment applied unapplied amountRemaining amountPaid creditLimit balance "
    f"unbilledOrders {books.TAX_TOTAL}".split()
)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_LOGIN = "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI."


def simulated(base_url: str) -> NetSuiteSettings:
    """Settings that fit the simulator at this address."""
    return NetSuiteSettings(
        account="7654321_SB1",
        consumer_key="sim-consumer-key",
        consumer_secret="sim-consumer-secret",  # noqa: S106 - the simulator's own, guards nothing
        token_id="sim-token-id",  # noqa: S106 - the simulator's own, guards nothing
        token_secret="sim-token-secret",  # noqa: S106 - the simulator's own, guards nothing
        subsidiaries={"US01": "1", "DE01": "2"},
        terms={"0": "4", "14": "1", "30": "2", "60": "3"},
        base_url=base_url,
        overlap_s=10,  # what the simulator commits is visible at once
        deadline_s=10.0,
    )


def build(simulation: Simulation) -> ASGIApp:
    """The simulator as an ASGI app; an empty account is filled with the shared master data."""
    seed(simulation)
    settings = simulated("")

    @get(f"{_ROOT}/{{record:str}}/{{ref:str}}")
    async def read(record: FromPath[str], ref: FromPath[str], request: Call) -> Response[bytes]:
        _check(request, settings)
        if record not in _READABLE:
            raise not_there()
        found = books.lookup(simulation, "item" if record in _ITEMS else record, ref)
        if record in _ITEMS and found["recordType"] != record:
            raise not_there()
        expanded = request.query_params.get("expandSubResources") == "true"
        return _json(_shown(_credit(simulation, found) if record == "customer" else found, expanded=expanded), "singular")

    @post(f"{_ROOT}/{{record:str}}")
    async def create(record: FromPath[str], request: Call) -> Response[None]:
        _check(request, settings)
        body = await _body(request)
        eid = body.get("externalId")
        if eid and simulation.get("eid", f"{record}/{eid}"):
            raise user_error("This record already exists.", "externalId")
        return _save(simulation, record, f"eid:{eid}" if eid else "", body, request)

    @put(f"{_ROOT}/{{record:str}}/{{ref:str}}")
    async def upsert(record: FromPath[str], ref: FromPath[str], request: Call) -> Response[None]:
        _check(request, settings)
        if not ref.startswith("eid:"):
            raise NsError("INVALID_METHOD", "PUT takes an external id: eid:{externalId}.", status=405)
        return _save(simulation, record, ref, await _body(request), request)

    @patch(f"{_ROOT}/{{record:str}}/{{ref:str}}")
    async def change(record: FromPath[str], ref: FromPath[str], request: Call) -> Response[None]:
        _check(request, settings)
        if record in books.RULES:
            books.lookup(simulation, record, ref)
        return _save(simulation, record, ref, await _body(request), request)

    return simulator(
        simulation,
        [read, create, upsert, change, *_queries(simulation, settings)],
        acts={"post_invoice": post_invoice, "close_period": close_period, "reopen": reopen},
        exception_handlers={NsError: lambda _request, error: error.answer(), HTTPException: _unrouted},
    )


def _queries(simulation: Simulation, settings: NetSuiteSettings) -> list[Any]:
    """What is asked, not written: SuiteQL and SOAP."""

    @post("/services/rest/query/v1/suiteql", status_code=200)
    async def suiteql(request: Call) -> Response[bytes]:
        _check(request, settings)
        return _json(_page(simulation, request, await _body(request)), "collection")

    @post("/services/{port:str}", status_code=200)
    async def soap(port: FromPath[str], request: Call) -> Response[bytes]:
        return await simulator_soap.answer(simulation, settings, port, request)

    return [suiteql, soap]


def _check(request: Call, settings: NetSuiteSettings) -> None:
    """Whether the call is signed by the account's own token."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    fields = {name: unquote(value) for name, value in _FIELD.findall(rest)}
    raw = request.scope["raw_path"].decode() + (f"?{query}" if (query := request.scope["query_string"].decode()) else "")
    oauth = {name: value for name, value in fields.items() if name.startswith("oauth_") and name != "oauth_signature"}
    expected = rest_signature(settings, request.method, f"{request.url.scheme}://{request.headers.get('host', '')}{raw}", oauth)
    owner = (fields.get("realm"), oauth.get("oauth_consumer_key"), oauth.get("oauth_token"), oauth.get("oauth_signature_method"))
    genuine = owner == (settings.account, settings.consumer_key, settings.token_id, "HMAC-SHA256")
    if scheme != "OAuth" or not genuine or not hmac.compare_digest(expected, fields.get("oauth_signature", "")):
        raise NsError("INVALID_LOGIN", _LOGIN, status=401)


async def _body(request: Call) -> dict[str, Any]:
    """The body with every number as the text that was sent."""
    try:
        body = json.loads(await request.body(), parse_float=str, parse_int=str, parse_constant=_no_constant)
    except ValueError as error:
        raise NsError("INVALID_CONTENT", f"Invalid content in the request body: {error}") from error
    if not isinstance(body, dict):
        raise NsError("INVALID_CONTENT", "Invalid content in the request body: an object is expected.")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _save(simulation: Simulation, record: str, ref: str, body: dict[str, Any], request: Call) -> Response[None]:
    if record not in books.RULES:
        raise NsError("INVALID_RCRD_TYPE", f"Record type '{record}' cannot be written here.", status=404)
    replaced = frozenset(request.query_params.get("replace", "").split(","))
    path = f"{request.method} {request.url.path}"
    internal_id = books.save(simulation, record, ref, body, replaced=replaced, request=path)
    return Response(None, status_code=204, headers={"Location": f"{request.base_url}{_ROOT[1:]}/{record}/{internal_id}"})


def _page(simulation: Simulation, request: Call, body: dict[str, Any]) -> dict[str, Any]:
    limit, offset = (request.query_params.get(name, default) for name, default in (("limit", "1000"), ("offset", "0")))
    if request.headers.get("prefer") != "transient":
        raise NsError("INVALID_HEADER", "The header Prefer: transient is required.")
    if not (limit.isdigit() and offset.isdigit() and 1 <= int(limit) <= 1000):
        raise bad_query("limit must be 1 to 1000, offset not negative")
    rows = simulator_suiteql.run(simulation, str(body.get("q", "")))
    shown = rows[int(offset) : int(offset) + int(limit)]
    more = int(offset) + int(limit) < len(rows)
    items = [{"links": [], **row} for row in shown]
    return {"links": [], "count": len(shown), "hasMore": more, "items": items, "offset": int(offset), "totalResults": len(rows)}


def _credit(simulation: Simulation, customer: dict[str, Any]) -> dict[str, Any]:
    """A customer with its balance: what is invoiced and unpaid, and what is ordered and not billed."""
    mine = customer["id"]
    unpaid = (Decimal(i["amountRemaining"]) for i in simulation.all("invoice") if i.get("entity", {}).get("id") == mine)
    orders = [o for o in simulation.all("salesOrder") if o.get("entity", {}).get("id") == mine and o.get("status", {}).get("id") != "H"]
    unbilled = (Decimal(o.get("total", "0")) * (100 - Decimal(o.get("billedPercent", "0"))) / 100 for o in orders)
    return {
        **customer,
        "balance": f"{sum(unpaid, Decimal(0)):f}",
        "unbilledOrders": f"{sum(unbilled, Decimal(0)).quantize(Decimal('0.01')):f}",
    }


def _shown(value: Any, *, expanded: bool = True, name: str = "") -> Any:
    """A stored record as NetSuite shows it: amounts as numbers, nothing empty, sublists only where they are asked for."""
    if isinstance(value, dict) and "items" in value:
        return {"items": [_shown(line) for line in value["items"]], "links": []} if expanded else {"links": []}
    if isinstance(value, dict):
        pairs = {n: _shown(v, expanded=expanded, name=n) for n, v in value.items() if n not in _HIDDEN and v not in (None, "")}
        return {"links": [], **pairs}
    return Decimal(value) if name in _NUMBERS and isinstance(value, str) else value


def _json(content: Any, kind: str) -> Response[bytes]:
    return Response(_ENCODER.encode(content), media_type=f"application/vnd.oracle.resource+json; type={kind}; charset=UTF-8")


def _unrouted(_request: Call, error: HTTPException) -> Response[bytes]:
    code = {404: "INVALID_URL", 405: "INVALID_METHOD"}.get(error.status_code, "UNEXPECTED_ERROR")
    return NsError(code, error.detail or code, status=error.status_code).answer()
