"""A simulated Tryton 8.2 server: the JSON-RPC calls of this connector, with Tryton's states, sentences and error shapes.

Faults name a call by the path ``/erp/rpc/{method}``, for example ``model.sale.sale.confirm`` (on the wire all calls go to one path).
The acts are what people do in Tryton: ``post_invoice {"order_id"}``, ``close_period {"until"}``, ``end_sessions``, ``deactivate
{"model", "code"}`` and ``draw_same_code`` (the next new party is refused as two clients on SQLite are that draw one number).

It runs the same test suite as a real server. Not simulated: Tryton's own percentage taxes on lines, payment terms in several parts,
the check digits of tax numbers, access rights.
"""

import base64
import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPRequestEvent, Receive, Scope, Send

from system_apis.simulation import Simulation, simulator
from system_apis.tryton import simulator_accounting as accounting
from system_apis.tryton import simulator_sales as sales
from system_apis.tryton.settings import TrytonSettings
from system_apis.tryton.simulator_models import MODELS
from system_apis.tryton.simulator_seed import seed
from system_apis.tryton.simulator_tables import Record, Tables, UserError
from system_apis.tryton.wire import lift

DATABASE, USER, PASSWORD = "erp", "q2c", "simulated"
SESSIONS, RACES = "_sessions", "_races"

Button = Callable[[Tables, Record], None]
BUTTONS: dict[str, dict[str, Button]] = {
    "sale.sale": {
        "quote": sales.quote,
        "confirm": sales.confirm,
        "process": sales.process,
        "cancel": sales.cancel,
        "draft": sales.to_draft,
        "delete": sales.delete,
    },
    "account.invoice": {"post": accounting.post_invoice, "cancel": accounting.cancel_invoice},
    "account.move": {"post": accounting.post_move},
    "stock.shipment.out": {"cancel": sales.cancel_shipment},
}
PAY_STATES = {"start": accounting.start_payment, "choice": accounting.choose_payment, "pay": accounting.pay}


class Refused(Exception):
    """An HTTP error that Tryton answers with a page of its own."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def simulated(base_url: str) -> TrytonSettings:
    """Settings that fit the simulator."""
    return TrytonSettings(base_url=base_url, database=DATABASE, user=USER, password=PASSWORD, companies={"DE01": 1})


def build(simulation: Simulation) -> ASGIApp:
    """The simulated server, seeded when it is empty."""
    tables = Tables(simulation)
    if not tables.all("company.company"):
        seed(tables)

    @post(f"/{DATABASE}/rpc/{{method:str}}", status_code=200)
    async def rpc(request: Request[Any, Any, Any]) -> Response[bytes]:
        question = msgspec.json.decode(await request.body())
        try:
            told: dict[str, Any] = {"result": _answer(tables, question, request.headers.get("authorization", ""))}
        except Refused as refused:
            return Response(b"<!doctype html>\n<title>refused</title>", status_code=refused.status, media_type="text/html")
        except UserError as error:
            told = {"error": ["UserError", [str(error), "", None]]}
        except KeyError as fault:  # a field or model that is not there: Tryton answers with the exception and its traceback
            told = {"error": [str(fault), ""]}
        return Response(msgspec.json.encode({"id": question["id"], **told}), media_type="application/json")

    return MethodInPath(simulator(simulation, [rpc], acts=ACTS))


class MethodInPath:
    """Puts the called method into the path, so that faults can be aimed at it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"].rstrip("/") != f"/{DATABASE}/rpc":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message: Any = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        path = f"/{DATABASE}/rpc/{_method(body)}"

        async def again() -> HTTPRequestEvent:
            return {"type": "http.request", "body": body, "more_body": False}

        renamed: Any = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(renamed, again, send)


def _method(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["method"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "unreadable"


def _answer(tables: Tables, question: dict[str, Any], authorization: str) -> Any:
    kind, _, rest = str(question["method"]).partition(".")
    params = question["params"]
    if question["method"] == "common.db.login":
        return _log_in(tables.simulation, *params)
    if not _logged_in(tables.simulation, authorization):
        raise Refused(401)
    name, _, method = rest.rpartition(".")
    if kind == "wizard" and name == "account.invoice.pay":
        return _wizard(tables, method, params[:-1], params[-1])
    if name not in MODELS:
        raise KeyError(name)
    return _call(tables, name, method, params[:-1])


def _log_in(simulation: Simulation, user: str, parameters: dict[str, str], *_language: str) -> list[Any]:
    if (user, parameters.get("password")) != (USER, PASSWORD):
        raise Refused(401)
    token = f"{simulation.number('session'):064x}"
    simulation.put(SESSIONS, token, {"open": True})
    return [1, token, None]


def _logged_in(simulation: Simulation, authorization: str) -> bool:
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "session":
        return False
    token = base64.b64decode(encoded).decode().rpartition(":")[2]
    return bool((simulation.get(SESSIONS, token) or {}).get("open"))


def _call(tables: Tables, model: str, method: str, params: list[Any]) -> Any:
    if method == "search_read":
        domain, offset, limit, order, names = params
        found = tables.search(model, domain, order or ())[offset : None if limit is None else offset + limit]
        return [tables.read(model, record, names) for record in found]
    if method == "read":
        return [tables.read(model, tables.get(model, one), params[1]) for one in params[0]]
    if method == "create":
        return [_create(tables, model, values)["id"] for values in params[0]]
    if method == "write":
        for one in params[0]:
            tables.write(model, tables.get(model, one), params[1])
        return None
    if method not in BUTTONS.get(model, {}):
        raise Refused(403)
    for one in params[0]:
        BUTTONS[model][method](tables, tables.get(model, one))
    return None


def _create(tables: Tables, model: str, values: Record) -> Record:
    if model == "sale.sale":
        return sales.create_sale(tables, values)
    if model != "party.party":
        return tables.create(model, values)
    simulation = tables.simulation
    race = simulation.get(RACES, "party")
    if race and race["left"]:
        simulation.put(RACES, "party", {"left": race["left"] - 1})
        raise UserError("The code on party must be unique.")
    if any(party["code"] == values["code"] for party in tables.all(model)):
        raise UserError("The code on party must be unique.")
    party = tables.create(model, values)
    simulation.commit("customer", str(values["code"]), str(party["id"]))
    return party


def _wizard(tables: Tables, step: str, params: list[Any], context: dict[str, Any]) -> Any:
    if step == "create":
        return [tables.create("ir.session.wizard", {"name": "account.invoice.pay"})["id"], "start", "end"]
    session = tables.get("ir.session.wizard", params[0])
    if step == "delete":
        tables.delete("ir.session.wizard", session)
        return None
    data = {state: {**session["data"].get(state, {}), **values} for state, values in {**session["data"], **params[1]}.items()}
    session = tables.write("ir.session.wizard", session, {"data": data})
    return PAY_STATES[params[2]](tables, session, tables.get("account.invoice", context["active_id"]))


# what people do in Tryton ---------------------------------------------------------------------------------------------


async def _post_invoice(simulation: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    tables = Tables(simulation)
    try:
        drafts = tables.search("account.invoice", [["sales.reference", "=", body["order_id"]], ["state", "=", "draft"]])
        for draft in drafts:
            accounting.post_invoice(tables, draft)
    except UserError as error:
        return {"error": str(error)}
    posted = [tables.get("account.invoice", draft["id"]) for draft in drafts]
    return {"invoices": [{"number": i["number"], "total": str(lift(i["total_amount"]))} for i in posted]}


async def _close_period(simulation: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    tables, until = Tables(simulation), dt.date.fromisoformat(body["until"])
    closed = [p for p in tables.all("account.period") if lift(p["end_date"]) <= until and p["state"] == "open"]
    for period in closed:
        tables.write("account.period", period, {"state": "closed"})
    return {"closed": [period["name"] for period in closed]}


async def _end_sessions(simulation: Simulation, _body: dict[str, Any]) -> dict[str, Any]:
    ended = simulation.number("session")
    for number in range(1, ended):
        simulation.put(SESSIONS, f"{number:064x}", {"open": False})
    return {"ended": ended - 1}


async def _deactivate(simulation: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    tables = Tables(simulation)
    found = tables.search(body["model"], [["code", "=", body["code"]]])
    for record in found:
        tables.write(body["model"], record, {"active": False})
    return {"deactivated": len(found)}


async def _draw_same_code(simulation: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    return simulation.put(RACES, "party", {"left": int(body.get("times", 1))})


ACTS = {
    "post_invoice": _post_invoice,
    "close_period": _close_period,
    "end_sessions": _end_sessions,
    "deactivate": _deactivate,
    "draw_same_code": _draw_same_code,
}
