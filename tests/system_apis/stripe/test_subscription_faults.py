import httpx
import pytest
from msgspec.structs import replace

from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.subscription import BillingClosed, CloseBilling
from runtime.clock import SetClock
from system_apis.simulation import Fault, FaultKind, Simulation
from system_apis.stripe.connector import STRIPE
from system_apis.stripe.simulator import simulated
from tests.system_apis.harness import Bench
from tests.system_apis.stripe.samples import api_calls, kinds, opening, team

COMMAND = opening(team(), api_calls())
WHOLE = [("customer", "C-ACME"), ("subscription", "ORD-1001"), ("usage_subscription", "ORD-1001")]
SUBSCRIBE = "POST /v1/subscriptions"


@pytest.mark.parametrize("wait_s", [None, 7.0])
async def test_too_fast_is_throttled_with_the_wait_that_stripe_names(stripe: Bench, simulation: Simulation, wait_s: float | None) -> None:
    """A 429 did nothing; its Retry-After is handed on where there is one."""
    simulation.faults.append(Fault(kind="throttle", on=SUBSCRIBE, retry_after_s=wait_s))
    with pytest.raises(Throttled) as failure:
        await stripe.ask(COMMAND)
    assert failure.value.retry_after_s == wait_s
    await stripe.ask(COMMAND)
    assert kinds(simulation) == WHOLE


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
async def test_an_unknown_outcome_of_the_last_write_is_found(stripe: Bench, simulation: Simulation, kind: FaultKind) -> None:
    """Everything is there although the answer was lost: find gives the reply, and asking again gives the same."""
    await stripe.ask(opening(team()))
    simulation.faults.append(Fault(kind=kind, on=SUBSCRIBE))
    with pytest.raises(OutcomeUnknown):
        await stripe.ask(COMMAND)
    found = await stripe.find(COMMAND)
    assert found is not None
    assert found == await stripe.ask(COMMAND)
    assert kinds(simulation) == WHOLE


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
async def test_an_unknown_outcome_of_the_first_write_is_completed(stripe: Bench, simulation: Simulation, kind: FaultKind) -> None:
    """Half of it is there: find says no, and asking again adds the missing half only."""
    simulation.faults.append(Fault(kind=kind, on=SUBSCRIBE))
    with pytest.raises(OutcomeUnknown):
        await stripe.ask(COMMAND)
    assert await stripe.find(COMMAND) is None
    opened = await stripe.ask(COMMAND)
    assert opened.billing_ref.id == simulation.all("subscriptions")[0]["id"]
    assert kinds(simulation) == WHOLE


async def test_a_server_error_before_anything_was_done_is_cured_by_asking_again(stripe: Bench, simulation: Simulation) -> None:
    """Nobody can tell a 500 before from a 500 after; find says no, and the same key makes it once."""
    simulation.faults.append(Fault(kind="server_error", on=SUBSCRIBE))
    with pytest.raises(OutcomeUnknown):
        await stripe.ask(COMMAND)
    assert await stripe.find(COMMAND) is None
    await stripe.ask(COMMAND)
    assert kinds(simulation) == WHOLE


async def test_reads_that_fail_are_unavailable(stripe: Bench, simulation: Simulation) -> None:
    """A price list that does not come has changed nothing."""
    simulation.faults.append(Fault(kind="server_error", on="GET /v1/prices"))
    with pytest.raises(Unavailable):
        await stripe.ask(COMMAND)
    simulation.faults.append(Fault(kind="malformed", on="GET /v1/prices"))
    with pytest.raises(Unavailable) as failure:
        await stripe.ask(COMMAND)
    assert "It works!" in failure.value.raw
    assert simulation.ledger == []


@pytest.mark.parametrize("done", [True, False])
async def test_a_failure_that_stripe_keeps_under_the_key_does_not_block_the_order(
    stripe: Bench, simulation: Simulation, url: str, done: bool
) -> None:
    """Stripe replays its own 500 for a day; whether the work was done is looked up, and only then is another key used."""
    async with httpx.AsyncClient() as client:
        await client.post(f"{url}/_sim/do/fail_next", json={"on": SUBSCRIBE, "done": done})
    with pytest.raises(OutcomeUnknown):
        await stripe.ask(COMMAND)
    await stripe.ask(COMMAND)
    keys = [e.idempotency_key for e in simulation.ledger if (e.kind, e.business_key) == ("subscription", "ORD-1001")]
    assert keys == ["process/K-1/step/recurring" if done else "process/K-1/step/recurring~2"]


async def test_a_failure_that_stripe_keeps_under_every_key_is_parked(stripe: Bench, simulation: Simulation) -> None:
    """After three names of the key a person looks."""
    for failure in (OutcomeUnknown, OutcomeUnknown, OutcomeUnknown, Broken):
        simulation.put("trouble", "next", {"on": SUBSCRIBE, "done": False, "left": 1})
        with pytest.raises(failure):
            await stripe.ask(COMMAND)
    with pytest.raises(Broken, match="failure_replayed"):
        await stripe.ask(COMMAND)


@pytest.mark.parametrize("field", ["trial_end", "items", "metadata", "currency"])
async def test_what_stripe_did_not_keep_is_noticed_and_taken_back(stripe: Bench, simulation: Simulation, field: str) -> None:
    """A lost trial would bill twice, a lost item not at all: the answer is compared with the order, and the subscription cancelled."""
    simulation.faults.append(Fault(kind="drop_field", on="PUT /subscriptions", field=field))
    with pytest.raises(Rejected, match="read_back_differs"):
        await stripe.ask(opening(team()))
    assert [s["status"] for s in simulation.all("subscriptions")] == ["canceled"]


async def test_a_stranger_in_the_subscription_is_noticed(stripe: Bench, simulation: Simulation) -> None:
    """A subscription whose price someone has changed is not taken for the one that was ordered."""
    await stripe.ask(opening(team()))
    record = simulation.all("subscriptions")[0]
    item = record["items"]["data"][0]
    dearer = {**item, "price": {**item["price"], "unit_amount_decimal": "4501", "unit_amount": 4501}}
    simulation.put("subscriptions", record["id"], {**record, "items": {**record["items"], "data": [dearer]}})
    with pytest.raises(Rejected, match="4501"):
        await stripe.ask(opening(team()))


async def test_an_answer_after_the_deadline_is_an_unknown_outcome(stripe: Bench, simulation: Simulation, url: str, clock: SetClock) -> None:
    """Whoever answers too late may still have done it."""
    hasty = Bench(STRIPE, replace(simulated(url), deadline_s=0.1))
    simulation.faults.append(Fault(kind="slow", on=SUBSCRIBE, delay_s=60))
    with pytest.raises(OutcomeUnknown, match="no complete answer"):
        await hasty.ask(opening(team()))
    simulation.faults.append(Fault(kind="slow", on="GET /v1/prices", delay_s=60))
    with pytest.raises(Unavailable, match="no complete answer"):
        await hasty.ask(opening(team()))
    clock.move(61)
    await hasty.aclose()
    await stripe.ask(opening(team()))
    assert [kind for kind, _ in kinds(simulation)].count("subscription") == 1


async def test_a_wrong_key_calls_for_whoever_runs_the_connection(url: str) -> None:
    """Bad credentials are nobody's order's fault."""
    stranger = Bench(STRIPE, replace(simulated(url), api_key="sk_test_wrong"))
    with pytest.raises(Misconfigured):
        await stranger.ask(COMMAND)
    await stranger.aclose()


async def test_an_unreachable_stripe_is_unavailable() -> None:
    """Nothing can have been done where nobody answers."""
    nowhere = Bench(STRIPE, simulated("http://127.0.0.1:1"))
    with pytest.raises(Unavailable):
        await nowhere.ask(COMMAND)
    await nowhere.aclose()


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error", "server_error_after_write", "malformed"])
async def test_closing_with_an_unknown_outcome_is_finished_by_asking_again(stripe: Bench, simulation: Simulation, kind: FaultKind) -> None:
    """Cancelling twice does no harm, so an undo goes on until nothing stands."""
    opened = await stripe.ask(COMMAND)
    close = CloseBilling(order_id="ORD-1001", billing_ref=opened.billing_ref)
    simulation.faults.append(Fault(kind=kind, on="DELETE /v1/subscriptions"))
    with pytest.raises(OutcomeUnknown):
        await stripe.ask(close)
    assert await stripe.ask(close) == await stripe.find(close) == BillingClosed(order_id="ORD-1001")
    assert [s["status"] for s in simulation.all("subscriptions")] == ["canceled", "canceled"]
    assert kinds(simulation).count(("subscription_cancelled", "ORD-1001")) == 1
