"""A Salesforce org of the simulated world: token endpoint, queries, records, and upserts by external id, in the wire format of API v62.0.

Acts: ``stage`` {opportunity, stage}, ``close_opportunity`` {opportunity, won}, ``close_period`` {until}, ``exhaust_requests`` {times},
``lock_rows`` {times}, ``expire_sessions`` {}, ``register_connected_app`` {client_id, username, public_key} for the JWT bearer flow.
"""

from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import msgspec
from litestar import Request, Response, get, post, route
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.types import ASGIApp

from canonical.money import plain
from system_apis.salesforce.settings import SalesforceSettings
from system_apis.salesforce.simulator_objects import OBJECTS, STAGES, SalesforceError, checked, sobject
from system_apis.salesforce.simulator_org import CLIENT_ID, CLIENT_SECRET, Org, Record, TokenRefused
from system_apis.salesforce.simulator_seed import fill
from system_apis.salesforce.simulator_soql import select, shown, understand
from system_apis.simulation import Act, Simulation, simulator

Asked = Request[Any, Any, Any]
DATA = "/services/data/v62.0"
REQUESTS_A_DAY = 5_000_000


def simulated(base_url: str) -> SalesforceSettings:
    """Settings that fit the simulator at this address; client credentials, so that no private key has to be shared with it."""
    return SalesforceSettings(
        base_url=base_url, login_url=base_url, flow="client_credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    )


def seed(simulation: Simulation) -> None:
    """Fill an empty org with the shared master data."""
    fill(Org(simulation))


def build(simulation: Simulation) -> ASGIApp:
    """The simulator; an org without accounts is filled with the shared master data first."""
    if not simulation.all("Account"):
        seed(simulation)
    org = Org(simulation)
    handlers = {SalesforceError: _refused, TokenRefused: _not_let_in, NotFoundException: _nowhere}
    return simulator(simulation, [_token(org), *_queries(org), _records(org)], acts=_acts(org), exception_handlers=handlers)


# ------------------------------------------------------------------------------------------------------------------ answers


def _answer(content: Any, org: Org | None = None, status: int = 200) -> Response[bytes]:
    headers = {} if org is None else {"Sforce-Limit-Info": f"api-usage={org.sim.number('api_request')}/{REQUESTS_A_DAY}"}
    body = b"" if content is None else msgspec.json.encode(content)
    return Response(body, status_code=status, media_type="application/json;charset=UTF-8", headers=headers)


def _refused(_request: Asked, error: SalesforceError) -> Response[bytes]:
    return _answer(error.entries, status=error.status)


def _not_let_in(_request: Asked, error: TokenRefused) -> Response[bytes]:
    return _answer(error.answer, status=400)


def _nowhere(_request: Asked, _error: NotFoundException) -> Response[bytes]:
    return _answer(SalesforceError(404, "NOT_FOUND", "The requested resource does not exist").entries, status=404)


def _shown(name: str, field: str, value: Any) -> Any:
    """A value as the API writes it: numbers as Java's doubles (1250.0, 1.25E7)."""
    if value is None or OBJECTS[name].fields[field].kind != "number":
        return value
    number = Decimal(value)
    exponent = number.adjusted() if abs(number) >= 10_000_000 else 0
    digits = plain(number.scaleb(-exponent))
    return msgspec.Raw(f"{digits}{'' if '.' in digits else '.0'}{f'E{exponent}' if exponent else ''}".encode())


def _attributes(name: str, record_id: str) -> Record:
    return {"type": name, "url": f"{DATA}/sobjects/{name}/{record_id}"}


def _admit(org: Org, request: Asked) -> None:
    org.logged_in(request.headers.get("authorization", ""))
    if org.used_up("exhausted"):
        raise SalesforceError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


# ------------------------------------------------------------------------------------------------------------------- routes


def _token(org: Org) -> Any:
    @post("/services/oauth2/token", status_code=200)
    async def token(request: Asked) -> Response[bytes]:
        form = {name: str(value) for name, value in (await request.form()).items()}
        host = str(request.base_url).rstrip("/")
        access_token = org.log_in(form, host)
        return _answer({"access_token": access_token, "instance_url": host, "token_type": "Bearer", "scope": "api"})

    return token


def _queries(org: Org) -> list[Any]:
    def page(soql: str, start: int, request: Asked, cursor: str) -> Response[bytes]:
        query = understand(soql)
        records = select(query, org.sim.all(query.sobject), org.fetch)
        options = dict(pair.partition("=")[::2] for pair in request.headers.get("sforce-query-options", "").split(","))
        end = start + min(max(int(options.get("batchSize", "2000")), 200), 2000)
        rows = [shown(query, record, org.fetch, _shown, _attributes) for record in records[start:end]]
        answer = {"totalSize": len(records), "done": end >= len(records), "records": rows}
        if end < len(records):
            cursor = cursor or f"01g{org.sim.number('query_cursor'):012d}AAA"
            org.sim.put("query_cursors", cursor, {"Id": cursor, "soql": soql})
            answer["nextRecordsUrl"] = f"{DATA}/query/{cursor}-{end}"
        return _answer(answer, org)

    @get(f"{DATA}/query")
    async def query(request: Asked) -> Response[bytes]:
        _admit(org, request)
        return page(request.query_params.get("q", ""), 0, request, "")

    @get(f"{DATA}/query/{{locator:str}}")
    async def more(request: Asked, locator: FromPath[str]) -> Response[bytes]:
        _admit(org, request)
        cursor, _, start = locator.rpartition("-")
        kept = org.sim.get("query_cursors", cursor)
        if kept is None or not start.isdigit():
            raise SalesforceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return page(kept["soql"], int(start), request, cursor)

    return [query, more]


def _records(org: Org) -> Any:
    @route(f"{DATA}/sobjects/{{rest:path}}", http_method=["GET", "POST", "PATCH", "DELETE"], status_code=200)
    async def records(request: Asked) -> Response[bytes]:
        _admit(org, request)
        raw = (request.scope.get("raw_path") or b"").decode("ascii").partition("?")[0]  # an id may hold an escaped slash
        name, *rest = [unquote(part) for part in raw.removeprefix(f"{DATA}/sobjects/").split("/")]
        if request.method == "GET":
            return _read(org, name, rest, request)
        if org.used_up("locked"):
            raise SalesforceError(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        written = f"{request.method} {request.url.path}"
        return _write(org, request.method, name, rest, await request.body(), written)

    return records


def _located(org: Org, name: str, rest: list[str]) -> list[Record]:
    """The records that a path names: by record id, or by external id."""
    if len(rest) == 2:
        return org.by_external_id(name, rest[0], rest[1])
    if len(rest) != 1 or not rest[0]:
        raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")
    found = org.fetch(name, rest[0])
    return [found] if found else []


def _several(name: str, found: list[Record]) -> Response[bytes]:
    return _answer([_attributes(name, record["Id"])["url"] for record in found], status=300)


def _read(org: Org, name: str, rest: list[str], request: Asked) -> Response[bytes]:
    fields = sobject(name).fields
    found = _located(org, name, rest)
    if len(found) > 1:
        return _several(name, found)
    if not found:
        raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")
    asked = request.query_params.get("fields", "")
    wanted = asked.split(",") if asked else list(fields)
    for field in wanted:
        if field not in fields:
            raise SalesforceError(400, "INVALID_FIELD", f"No such column '{field}' on entity '{name}'.")
    record = found[0]
    shown_fields = {field: _shown(name, field, record.get(field)) for field in wanted}
    return _answer({"attributes": _attributes(name, record["Id"]), **shown_fields}, org)


def _write(org: Org, method: str, name: str, rest: list[str], body: bytes, request: str) -> Response[bytes]:
    """POST creates, PATCH updates by record id or upserts by external id; deleting is for people, not for integrations."""
    sobject(name)
    creating = method == "POST" and not rest
    if not creating and method != "PATCH":
        raise SalesforceError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed.")
    found = [] if creating else _located(org, name, rest)
    if len(found) > 1:
        return _several(name, found)
    if not found and len(rest) == 1:
        raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")
    values = checked(name, body, creating=not found)
    if len(rest) == 2 and rest[0] in values:
        raise SalesforceError(400, "INVALID_FIELD", f"The {rest[0]} field should not be specified in the sobject data.", rest[0])
    org.closed(name, values, request)
    if found:
        org.change(name, found[0], values)
        return _answer(None, org, 204)
    record = org.create(name, {**values, **({rest[0]: rest[1]} if rest else {})})
    return _answer({"id": record["Id"], "success": True, "errors": [], "created": True}, org, 201)


# --------------------------------------------------------------------------------------------------------------------- acts


def _acts(org: Org) -> dict[str, Act]:
    async def stage(_sim: Simulation, said: Record) -> Record:
        opportunity = next(iter(org.by_external_id("Opportunity", "Q2C_Id__c", said.get("opportunity", ""))), None)
        if opportunity is None or said.get("stage") not in STAGES:
            return {"error": f"no such opportunity, or not one of {STAGES}"}
        return org.change("Opportunity", opportunity, {"StageName": said["stage"]})

    async def close_opportunity(sim: Simulation, said: Record) -> Record:
        return await stage(sim, {**said, "stage": "Closed Won" if said.get("won") else "Closed Lost"})

    async def close_period(_sim: Simulation, said: Record) -> Record:
        return org.rule("closed_until", until=str(said.get("until", "")))

    async def exhaust_requests(_sim: Simulation, said: Record) -> Record:
        return org.rule("exhausted", times=int(said.get("times", 1)))

    async def lock_rows(_sim: Simulation, said: Record) -> Record:
        return org.rule("locked", times=int(said.get("times", 1)))

    async def expire_sessions(sim: Simulation, _said: Record) -> Record:
        sessions = sim.all("sessions")
        for session in sessions:
            sim.put("sessions", session["Id"], {**session, "until": ""})
        return {"expired": len(sessions)}

    async def register_connected_app(sim: Simulation, said: Record) -> Record:
        return sim.put("connected_apps", str(said["client_id"]), {"username": said["username"], "public_key": said["public_key"]})

    acts = (stage, close_opportunity, close_period, exhaust_requests, lock_rows, expire_sessions, register_connected_app)
    return {act.__name__: act for act in acts}
