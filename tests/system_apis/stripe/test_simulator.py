import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, post

from canonical.invoice import InvoicePosted
from canonical.money import Money
from canonical.payment import Payment, PaymentSettled
from runtime.clock import SetClock
from system_apis.simulation import Fault, Simulation
from system_apis.stripe.simulator import build, simulated
from system_apis.stripe.webhooks import identify, translate, verify
from tests.system_apis.harness import Bench, served
from tests.system_apis.stripe.samples import api_calls, kinds, opening, team

PAY = {"amount": "118.50", "currency": "USD", "invoice": "INV-2026-0042", "entity": "US01", "payer": "Acme Robotics Inc."}


class Inbox:
    """What arrives at the gateway's door: verified, and remembered in order."""

    def __init__(self, stripe: Bench, clock: SetClock) -> None:
        self.stripe, self.clock = stripe, clock
        self.bodies: list[bytes] = []

    async def facts(self) -> list[Any]:
        """What the webhooks mean, in the order of their arrival."""
        return [fact for body in self.bodies for fact in await translate(self.stripe.call("webhook"), body)]

    async def payments(self) -> dict[str, Payment]:
        """The payments that they tell of, by the id under which the inbox keeps each only once."""
        return {fact.id: fact.event.payment for fact in await self.facts() if isinstance(fact.event, PaymentSettled)}


@pytest.fixture
async def inbox(stripe: Bench, simulation: Simulation, clock: SetClock) -> AsyncIterator[Inbox]:
    """A door for webhooks that checks each signature."""
    kept = Inbox(stripe, clock)

    @post("/webhooks/stripe-main", status_code=200)
    async def receive(request: Request[Any, Any, Any]) -> None:
        body = await request.body()
        verify(stripe.settings, dict(request.headers), body, clock.now())
        kept.bodies.append(body)

    async with served(Litestar(route_handlers=[receive], openapi_config=None, logging_config=None)) as door:
        simulation.webhook_url = f"{door}/webhooks/stripe-main"
        yield kept


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client with the account's key."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer sk_test_simulated"}) as client:
        yield client


async def do(http: httpx.AsyncClient, act: str, **body: Any) -> dict[str, Any]:
    answer = await http.post(f"/_sim/do/{act}", json=body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def delivered(simulation: Simulation) -> None:
    await asyncio.gather(*simulation._tasks)


# webhooks -------------------------------------------------------------------------------------------------------------


async def test_a_payment_is_told_twice_and_is_one_payment(inbox: Inbox, http: httpx.AsyncClient, simulation: Simulation) -> None:
    """Stripe sends charge and intent, both signed; together they are one payment with one content."""
    paid = await do(http, "pay", **PAY)
    await delivered(simulation)
    assert sorted(map(identify, inbox.bodies)) == sorted(paid["events"])
    facts = await inbox.facts()
    assert [fact.id for fact in facts] == [f"stripe:{paid['id']}"] * 2
    assert facts[0].event == facts[1].event
    payment = facts[0].event.payment
    assert (payment.amount, payment.references, payment.payer) == (Money("118.50", "USD"), ("INV-2026-0042",), "Acme Robotics Inc.")
    assert kinds(simulation) == [("payment", paid["id"])]


@pytest.mark.parametrize("fault", ["late_webhook", "swap_webhooks"])
async def test_late_and_swapped_webhooks_tell_the_same_payments(
    inbox: Inbox, http: httpx.AsyncClient, simulation: Simulation, fault: str
) -> None:
    """In whatever order and however late they come, each payment is there once and as it was meant."""
    simulation.faults.append(Fault(kind=fault))  # type: ignore[arg-type]  # one of the two kinds above
    first = await do(http, "pay", **PAY)
    await delivered(simulation)
    second = await do(http, "pay", **{**PAY, "amount": "20.00", "invoice": "INV-2026-0043"})
    await do(http, "release_webhooks")
    await delivered(simulation)
    assert len(inbox.bodies) == 4
    assert (await inbox.facts())[0].id == f"stripe:{first['id']}"
    payments = await inbox.payments()
    assert {p.amount for p in payments.values()} == {Money("118.50", "USD"), Money("20.00", "USD")}
    assert set(payments) == {f"stripe:{first['id']}", f"stripe:{second['id']}"}


async def test_swapped_means_that_the_intent_arrives_before_its_charge(
    inbox: Inbox, http: httpx.AsyncClient, simulation: Simulation
) -> None:
    """The fault does what it says: without it the charge is sent first."""
    simulation.faults.append(Fault(kind="swap_webhooks"))
    await do(http, "pay", **PAY)
    await delivered(simulation)
    assert [b'"payment_intent.succeeded"' in body for body in inbox.bodies] == [True, False]
    assert len(await inbox.payments()) == 1


async def test_an_event_sent_again_is_freshly_signed_and_the_same_event(
    inbox: Inbox, http: httpx.AsyncClient, simulation: Simulation, clock: SetClock
) -> None:
    """Hours later a person resends it: the signature is new, the event id and the payment are the old ones."""
    paid = await do(http, "pay", **PAY)
    await delivered(simulation)
    clock.move(6 * 3600)
    await do(http, "resend_event", id=paid["events"][0])
    await delivered(simulation)
    assert [identify(body) for body in inbox.bodies].count(paid["events"][0]) == 2
    assert len(await inbox.payments()) == 1
    assert "error" in await do(http, "resend_event", id="evt_unknown")


async def test_usage_is_invoiced_and_the_invoice_belongs_to_its_order(
    inbox: Inbox, http: httpx.AsyncClient, simulation: Simulation, stripe: Bench
) -> None:
    """A month's usage at the negotiated price is posted with the order's id; a trial's invoice is not."""
    await stripe.ask(opening(team(), api_calls("0.03")))
    made = await do(http, "finalize_invoice", order_id="ORD-1001", part="usage", usage="123456")
    await do(http, "finalize_invoice", order_id="ORD-1001", part="recurring")
    await delivered(simulation)
    (fact,) = await inbox.facts()
    assert isinstance(fact.event, InvoicePosted)
    assert (fact.order_id, fact.event.entity, fact.event.invoice.id) == ("ORD-1001", "US01", made["number"])
    assert fact.event.invoice.total == Money("3703.68", "USD")
    assert fact.event.invoice.customer_id == "C-ACME"


async def test_a_renewal_is_billed_when_the_term_is_over(
    inbox: Inbox, http: httpx.AsyncClient, simulation: Simulation, stripe: Bench
) -> None:
    """After the committed term Stripe bills the seats."""
    await stripe.ask(opening(team(discount="10")))
    await do(http, "finalize_invoice", order_id="ORD-1001", renewal=True)
    await delivered(simulation)
    (fact,) = await inbox.facts()
    assert fact.event.invoice.total == Money("405.00", "USD")


# wire -----------------------------------------------------------------------------------------------------------------


async def test_a_key_replays_its_answer_for_a_day(http: httpx.AsyncClient, simulation: Simulation, clock: SetClock) -> None:
    """Within a day the same request gives the same answer, marked as a replay; afterwards it is a new one."""
    key = {"Idempotency-Key": "k-1"}
    first = await http.post("/v1/customers", data={"name": "Acme"}, headers=key)
    clock.move(23 * 3600)
    again = await http.post("/v1/customers", data={"name": "Acme"}, headers=key)
    assert (first.json(), "idempotent-replayed" in first.headers) == (again.json(), False)
    assert again.headers["idempotent-replayed"] == "true"
    clock.move(2 * 3600)
    new = await http.post("/v1/customers", data={"name": "Acme"}, headers=key)
    assert new.json()["id"] != first.json()["id"]
    assert len(simulation.all("customers")) == 2


async def test_a_key_with_other_parameters_is_refused(http: httpx.AsyncClient) -> None:
    """One key is one request, and one path."""
    key = {"Idempotency-Key": "k-1"}
    await http.post("/v1/customers", data={"name": "Acme"}, headers=key)
    for path, data in (("/v1/customers", {"name": "Other"}), ("/v1/prices", {"name": "Acme"})):
        answer = await http.post(path, data=data, headers=key)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")


async def test_a_refused_request_leaves_its_key_free(http: httpx.AsyncClient) -> None:
    """A validation error is not kept: the corrected request may use the key."""
    key = {"Idempotency-Key": "k-1"}
    assert (await http.post("/v1/customers", data={"email": "nobody"}, headers=key)).status_code == 400
    assert (await http.post("/v1/customers", data={"email": "a@b.example"}, headers=key)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code"),
    [
        ("GET", "/v1/customers/cus_none", None, 404, "resource_missing"),
        ("GET", "/v1/prices/price_none", None, 404, "resource_missing"),
        ("GET", "/v1/payment_intents/pi_none", None, 404, "resource_missing"),
        ("GET", "/v1/nothing", None, 404, None),
        ("GET", "/v1/customers?limit=500", None, 400, None),
        ("GET", "/v1/customers/search?query=nonsense", None, 400, None),
        ("GET", "/v1/prices?expand[]=data.nothing", None, 400, None),
        ("POST", "/v1/customers", {"surname": "x"}, 400, "parameter_unknown"),
        ("POST", "/v1/subscriptions", {}, 400, "parameter_missing"),
        ("POST", "/v1/subscriptions", {"customer": "cus_none", "items[0][price]": "price_1"}, 400, "resource_missing"),
        ("POST", "/v1/prices", {"currency": "usd", "product": "prod_none"}, 400, "resource_missing"),
        ("POST", "/v1/prices", {"currency": "usd", "product": "prod_SUBTEAM", "lookup_key": "SUB-TEAM_usd"}, 400, None),
        ("POST", "/v1/prices", {"currency": "usd", "product": "prod_USEAPI", "recurring[usage_type]": "metered"}, 400, "parameter_missing"),
    ],
)
async def test_refusals_have_stripes_shape(
    http: httpx.AsyncClient, method: str, path: str, data: dict[str, str] | None, status: int, code: str | None
) -> None:
    """Unknown records, unknown parameters and unknown addresses are refused as Stripe refuses them."""
    answer = await http.request(method, path, data=data)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error.get("code")) == (status, "invalid_request_error", code)
    assert error["message"]
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"collection_method": "charge_automatically"}, None),
        ({"days_until_due": None}, "days_until_due"),
        ({"trial_end": "1"}, "trial_end"),
        ({"trial_end": "1900000000"}, "trial_end"),
        ({"items[0][quantity]": "1.5"}, "items[0][quantity]"),
        ({"items[0][price]": "price_none"}, "items[0][price]"),
        ({"items[1][price]": "price_1Sim000000000001"}, "items"),
        ({"items[0][price]": "price_1Sim000000000008"}, "items[0][quantity]"),
        ({"items[0][price]": "price_1Sim000000000006"}, "items[0][price]"),
    ],
)
async def test_a_subscription_that_stripe_would_refuse_is_refused(
    http: httpx.AsyncClient, simulation: Simulation, change: dict[str, str | None], param: str | None
) -> None:
    """Payment method, dates, quantities and prices are checked as Stripe checks them, and nothing is kept."""
    customer = (await http.post("/v1/customers", data={"name": "Acme"})).json()["id"]
    good = {"customer": customer, "collection_method": "send_invoice", "days_until_due": "30"}
    asked = {**good, "items[0][price]": "price_1Sim000000000001", "items[0][quantity]": "1", **change}
    answer = await http.post("/v1/subscriptions", data={name: value for name, value in asked.items() if value is not None})
    assert (answer.status_code, answer.json()["error"].get("param")) == (400, param)
    assert simulation.all("subscriptions") == []


async def test_only_the_key_opens_the_door_and_json_does_not(http: httpx.AsyncClient) -> None:
    """A wrong key is a 401 in Stripe's shape; a JSON body is not understood; neither is a version that is none."""
    assert (await http.get("/v1/prices", headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await http.post("/v1/customers", json={"name": "Acme"})).status_code == 400
    assert (await http.get("/v1/prices", headers={"Stripe-Version": "latest"})).status_code == 400


async def test_lists_are_paged_newest_first(http: httpx.AsyncClient, stripe: Bench) -> None:
    """A page says whether there is more; the client reads them all."""
    for number in range(12):
        await http.post("/v1/customers", data={"name": f"Customer {number}", "email": "shared@acme.example"})
    first = (await http.get("/v1/customers")).json()
    assert ([c["name"] for c in first["data"]][:2], first["has_more"]) == (["Customer 11", "Customer 10"], True)
    rest = (await http.get("/v1/customers", params={"starting_after": first["data"][-1]["id"]})).json()
    assert ([c["name"] for c in rest["data"]], rest["has_more"]) == (["Customer 1", "Customer 0"], False)


async def test_the_catalogue_is_seeded_once_and_survives_a_restart(tmp_path: Path, clock: SetClock) -> None:
    """A restarted simulator has its books, its keys and its prices, and does not seed again."""
    path = tmp_path / "stripe.jsonl"
    for run in range(2):
        simulation = Simulation("stripe", clock=clock, path=path)
        async with served(build(simulation)) as url, httpx.AsyncClient(base_url=url) as client:
            headers = {"Authorization": f"Bearer {simulated(url).api_key}", "Idempotency-Key": "k-1"}
            answer = await client.post("/v1/customers", data={"name": "Acme"}, headers=headers)
        assert ("idempotent-replayed" in answer.headers) == bool(run)
        assert len(simulation.all("prices")) == 11
        assert len(simulation.ledger) == len(simulation.all("customers")) == 1


async def test_what_is_only_looked_at_can_be_looked_at(http: httpx.AsyncClient) -> None:
    """Payments, charges, their fees and their events can be read back and listed."""
    paid = await do(http, "pay", **PAY)
    charge = (await http.get(f"/v1/charges/{paid['charge']}", params={"expand[]": "balance_transaction"})).json()
    assert (charge["payment_intent"], charge["balance_transaction"]["fee"]) == (paid["id"], 374)
    assert [i["id"] for i in (await http.get("/v1/payment_intents")).json()["data"]] == [paid["id"]]
    events = (await http.get("/v1/events", params={"type": "charge.succeeded"})).json()["data"]
    assert [e["id"] for e in events] == paid["events"][:1]
    assert (await http.get(f"/v1/events/{paid['events'][1]}")).json()["type"] == "payment_intent.succeeded"
