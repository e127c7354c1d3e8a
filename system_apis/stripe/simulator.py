"""A simulated Stripe account: its wire format, its idempotency, its refusals, its signed webhooks.

Acts of people: ``pay``, ``resend_event``, ``finalize_invoice`` (see `simulator_money`), and ``fail_next`` {on, done}: the next request
whose "METHOD /path" contains ``on`` ends in a 500 that Stripe keeps under its idempotency key, with its work done or not.
"""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response, route
from litestar.types import ASGIApp

from system_apis.simulation import Simulation, simulator
from system_apis.stripe import simulator_billing as billing
from system_apis.stripe import simulator_catalogue as catalogue
from system_apis.stripe import simulator_money as cash
from system_apis.stripe.settings import StripeSettings
from system_apis.stripe.simulator_wire import Ask, StripeSays, expanded, nested

API_KEY = "sk_test_simulated"
KEY_KEPT = dt.timedelta(hours=24)
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")
FORM = "application/x-www-form-urlencoded"

Handler = Callable[[Ask], dict[str, Any]]
ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "customers"): catalogue.list_customers,
    ("GET", "customers/search"): catalogue.search_customers,
    ("POST", "customers"): catalogue.make_customer,
    ("GET", "customers/{id}"): catalogue.get_customer,
    ("POST", "customers/{id}"): catalogue.change_customer,
    ("GET", "products"): catalogue.list_products,
    ("GET", "products/{id}"): catalogue.get_product,
    ("GET", "prices"): catalogue.list_prices,
    ("POST", "prices"): catalogue.make_price,
    ("GET", "prices/{id}"): catalogue.get_price,
    ("GET", "subscriptions"): billing.list_subscriptions,
    ("GET", "subscriptions/search"): billing.search_subscriptions,
    ("POST", "subscriptions"): billing.make_subscription,
    ("GET", "subscriptions/{id}"): billing.get_subscription,
    ("DELETE", "subscriptions/{id}"): billing.cancel_subscription,
    ("GET", "subscription_schedules"): billing.list_schedules,
    ("POST", "subscription_schedules"): billing.make_schedule,
    ("GET", "subscription_schedules/{id}"): billing.get_schedule,
    ("POST", "subscription_schedules/{id}/cancel"): billing.cancel_schedule,
    ("GET", "payment_intents"): cash.list_of("payment_intents"),
    ("GET", "payment_intents/{id}"): cash.get_record,
    ("GET", "charges"): cash.list_of("charges"),
    ("GET", "charges/{id}"): cash.get_record,
    ("GET", "balance_transactions/{id}"): cash.get_record,
    ("GET", "invoices"): cash.list_of("invoices"),
    ("GET", "invoices/{id}"): cash.get_record,
    ("GET", "events"): cash.list_of("events"),
    ("GET", "events/{id}"): cash.get_record,
}
# the fixed words come before the ids: "customers/search" is no customer
PATTERNS = sorted(
    ((method, re.compile(path.replace("{id}", "([^/]+)")), handler) for (method, path), handler in ROUTES.items()),
    key=lambda entry: "(" in entry[1].pattern,
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An answer under its idempotency key."""

    request: str
    at: dt.datetime
    status: int
    body: dict[str, Any]


def simulated(base_url: str) -> StripeSettings:
    """Settings that fit the simulator."""
    return StripeSettings(base_url=base_url, api_key=API_KEY, webhook_secrets=(cash.SIGNING_KEY,), default_entity="US01")


def seed(simulation: Simulation) -> None:
    """The catalogue; customers come with their first order."""
    catalogue.seed(simulation)


def build(simulation: Simulation) -> ASGIApp:
    """The simulated account as an ASGI app."""
    if not simulation.all("prices"):
        seed(simulation)

    @route("/v1/{rest:path}", http_method=["GET", "POST", "DELETE"])
    async def door(request: Request[Any, Any, Any]) -> Response[bytes]:
        headers = {"Request-Id": f"req_{simulation.number('req'):014d}", "Stripe-Version": request.headers.get("stripe-version", "")}
        try:
            status, body, replayed = await _admitted(simulation, request)
        except StripeSays as refusal:
            status, body, replayed = refusal.status, {"error": refusal.error}, False
        if replayed:
            headers["Idempotent-Replayed"] = "true"
        if key := request.headers.get("idempotency-key"):
            headers["Idempotency-Key"] = key
        return Response(msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/json")

    acts = {"pay": cash.pay, "resend_event": cash.resend_event, "finalize_invoice": cash.finalize_invoice, "fail_next": _fail_next}
    return simulator(simulation, [door], acts=acts)


async def _admitted(sim: Simulation, request: Request[Any, Any, Any]) -> tuple[int, dict[str, Any], bool]:
    """Check key, version and form; give the kept answer, or a new one, which is kept once the work has begun."""
    method, path = request.method, request.url.path
    if request.headers.get("authorization") != f"Bearer {API_KEY}":
        raise StripeSays(401, "Invalid API Key provided: sk_****")
    version = request.headers.get("stripe-version", "")
    if version and not VERSION.fullmatch(version):
        raise StripeSays(400, f"Invalid Stripe API version: {version}")
    body = await request.body()
    if body and not request.headers.get("content-type", "").startswith(FORM):
        raise StripeSays(400, f"Invalid request (check that your POST content type is {FORM}).")
    params = nested((await request.form()).multi_items() if body else request.query_params.multi_items())
    key = request.headers.get("idempotency-key", "") if method == "POST" else ""
    if len(key) > 255:
        raise StripeSays(400, "Idempotency-Key must be at most 255 characters.", kind="idempotency_error")
    asked = f"{method} {path} {msgspec.json.encode(params, order='deterministic').decode()}"
    if key and (kept := _kept(sim, key, asked)):
        return kept.status, kept.body, True
    return _answered(sim, method, path, params, key, asked)


def _answered(sim: Simulation, method: str, path: str, params: dict[str, Any], key: str, asked: str) -> tuple[int, dict[str, Any], bool]:
    handler, ids = _routed(method, path)
    failing = _failing(sim, f"{method} {path}")
    status, body = 500, {"error": {"type": "api_error", "message": "An unknown error occurred."}}
    if failing is None or failing["done"]:
        answer = handler(Ask(sim, ids, params, key))
        if failing is None:
            status, body = 200, expanded(sim, answer, params.get("expand", []))
    if key:
        kept = Kept(request=asked, at=sim.clock.now(), status=status, body=body)
        sim.put("idempotency", key, msgspec.to_builtins(kept))
    return status, body, False


def _routed(method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
    for known, pattern, handler in PATTERNS:
        found = pattern.fullmatch(path.removeprefix("/v1/"))
        if known == method and found:
            return handler, found.groups()
    raise StripeSays(404, f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs.")


def _kept(sim: Simulation, key: str, asked: str) -> Kept | None:
    """The answer under a key, for a day; the same key with another request is refused."""
    record = sim.get("idempotency", key)
    if record is None:
        return None
    kept = msgspec.convert(record, Kept)
    if sim.clock.now() - kept.at >= KEY_KEPT:
        return None
    if kept.request != asked:
        text = f"Keys for idempotent requests can only be used with the same parameters they were first used with. Key: {key}"
        raise StripeSays(400, text, kind="idempotency_error")
    return kept


async def _fail_next(sim: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    return sim.put("trouble", "next", {"on": body["on"], "done": bool(body.get("done")), "left": 1})


def _failing(sim: Simulation, request: str) -> dict[str, Any] | None:
    trouble = sim.get("trouble", "next")
    if trouble is None or not trouble["left"] or trouble["on"] not in request:
        return None
    return sim.put("trouble", "next", {**trouble, "left": 0})
