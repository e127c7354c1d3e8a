import datetime as dt

import pytest
from msgspec.structs import replace

from canonical.failures import Rejected
from canonical.provenance import ExternalId
from canonical.subscription import BillingClosed, CloseBilling, OpenBilling
from runtime.clock import SetClock
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench
from tests.system_apis.stripe.samples import ACME, MUSTER, START, api_calls, kinds, line, opening, team

TERM_END = dt.datetime(2027, 1, 15, tzinfo=dt.UTC)
KEY = "order_booking/ORD-1001/open_billing"


async def test_an_order_gets_a_subscription_for_seats_on_trial_and_one_for_usage_now(stripe: Bench, simulation: Simulation) -> None:
    """The committed term is invoiced by the ERP: seats are billed from the day after it, usage from now on."""
    command = opening(team(tax_code="SW054000"), api_calls())
    opened = await stripe.ask(command, KEY, correlation_id="q2c-7f3a")
    recurring, usage = simulation.all("subscriptions")
    assert opened.order_id == "ORD-1001"
    assert opened.billing_ref == ExternalId(connection="stripe-main", kind="subscription", id=recurring["id"])
    assert recurring["trial_end"] == int(TERM_END.timestamp())
    assert (recurring["status"], usage["status"], usage["trial_end"]) == ("trialing", "active", None)
    tied = {"q2c_order_id": "ORD-1001", "q2c_correlation_id": "q2c-7f3a", "q2c_entity": "US01", "q2c_customer": "C-ACME"}
    assert recurring["metadata"] == {**tied, "q2c_part": "recurring"}
    assert usage["metadata"] == {**tied, "q2c_part": "usage"}
    (seats,), (calls,) = recurring["items"]["data"], usage["items"]["data"]
    assert (seats["price"]["lookup_key"], seats["quantity"]) == ("SUB-TEAM_usd", 10)
    assert seats["metadata"] == {"q2c_item": "SUB-TEAM", "q2c_lines": "1", "q2c_tax_code": "SW054000"}
    assert (calls["price"]["lookup_key"], calls.get("quantity")) == ("USE-API_usd", None)
    assert [e.idempotency_key for e in simulation.ledger] == ["customer/C-ACME", f"{KEY}/recurring", f"{KEY}/usage"]
    assert (simulation.ledger[1].amount, simulation.ledger[1].currency) == ("450.00", "USD")


async def test_invoices_are_sent_with_the_customers_terms(stripe: Bench, simulation: Simulation) -> None:
    """A business pays by invoice, within the days that were agreed."""
    await stripe.ask(opening(line(1, "SUB-TEAM", "recurring", "42.00", currency="EUR"), customer=MUSTER), entity="DE01")
    (kept,) = simulation.all("subscriptions")
    assert (kept["collection_method"], kept["days_until_due"], kept["currency"]) == ("send_invoice", 14, "eur")


async def test_a_discounted_seat_is_priced_in_the_subscription_and_discounted_usage_as_a_price_of_its_own(
    stripe: Bench, simulation: Simulation
) -> None:
    """What the customer signed is what Stripe bills, to the fraction of a cent."""
    command = opening(team(discount="12.5"), line(2, "USE-STO", "usage", "0.12", discount="5"))
    await stripe.ask(command)
    recurring, usage = simulation.all("subscriptions")
    assert recurring["items"]["data"][0]["price"]["unit_amount_decimal"] == "3937.5"
    negotiated = usage["items"]["data"][0]["price"]
    assert (negotiated["unit_amount_decimal"], negotiated["lookup_key"]) == ("11.4", "USE-STO_usd_at_11.4")
    assert (negotiated["recurring"]["usage_type"], negotiated["recurring"]["meter"]) == ("metered", "mtr_USESTO")


async def test_a_negotiated_usage_price_is_made_once_and_found_ever_after(stripe: Bench, simulation: Simulation) -> None:
    """The same negotiated price of two orders is one price."""
    listed = len(simulation.all("prices"))
    await stripe.ask(opening(api_calls("0.03"), order_id="ORD-1"), "order_booking/ORD-1/open_billing")
    await stripe.ask(opening(api_calls("0.03"), order_id="ORD-2"), "order_booking/ORD-2/open_billing")
    assert len(simulation.all("prices")) == listed + 1


async def test_lines_of_one_price_are_one_item(stripe: Bench, simulation: Simulation) -> None:
    """Stripe refuses a price twice in a subscription, so seats are added up, while a discounted line stands by itself."""
    await stripe.ask(opening(team(), line(2, "SUB-TEAM", "recurring", "45.00", quantity="5"), line(3, "SUB-TEAM", "recurring", "40.00")))
    items = simulation.all("subscriptions")[0]["items"]["data"]
    assert [(i["price"]["unit_amount_decimal"], i["quantity"], i["metadata"]["q2c_lines"]) for i in items] == [
        ("4500", 15, "1,2"),
        ("4000", 10, "3"),
    ]


async def test_more_plans_than_one_question_may_hold_are_asked_in_several(stripe: Bench, simulation: Simulation) -> None:
    """Stripe looks up ten keys at a time; an order may have more."""
    lines = [line(n, "USE-API", "usage", f"0.0{n}", quantity="1") for n in range(11, 25)]
    await stripe.ask(opening(*lines))
    assert len(simulation.all("subscriptions")[0]["items"]["data"]) == 14


async def test_a_plan_that_is_not_sold_in_the_currency_is_rejected_before_anything_is_made(stripe: Bench, simulation: Simulation) -> None:
    """The three-year plan has no price in EUR; the refusal says so and points at the line."""
    command = opening(
        line(1, "SUB-TEAM", "recurring", "42.00", currency="EUR"),
        line(2, "SUB-ENT3", "recurring", "64.00", currency="EUR"),
        customer=MUSTER,
    )
    with pytest.raises(Rejected) as refused:
        await stripe.ask(command)
    failure = refused.value
    assert (failure.code, failure.detail) == ("plan_not_sold_in_currency", "plan SUB-ENT3 is not sold in EUR")
    assert failure.pointer == "/subscription/lines/1/item_code"
    assert simulation.ledger == []


@pytest.mark.parametrize(
    ("command", "code", "pointer"),
    [
        (opening(line(1, "SUB-OLD", "recurring", "30.00")), "plan_not_sold_any_more", "/subscription/lines/0/item_code"),
        (opening(team(quantity="2.5")), "quantity_not_whole", "/subscription/lines/0/quantity"),
        (opening(line(1, "SVC-ONB", "service", "1600.00")), "nothing_to_bill", "/subscription/lines"),
        (opening(team(currency="EUR")), "currency_differs", "/subscription/lines/0/unit_price/currency"),
    ],
)
async def test_what_stripe_could_not_bill_is_rejected_before_anything_is_made(
    stripe: Bench, simulation: Simulation, command: OpenBilling, code: str, pointer: str
) -> None:
    """Each refusal has its own code and points at the place, and nothing is left behind."""
    with pytest.raises(Rejected) as refused:
        await stripe.ask(command)
    assert (refused.value.code, refused.value.pointer) == (code, pointer)
    assert simulation.ledger == []


async def test_a_term_longer_than_a_trial_may_be_becomes_a_schedule(stripe: Bench, simulation: Simulation) -> None:
    """Stripe allows two years of trial; a three-year term starts its subscription when it is over, and is closed like any other."""
    command = opening(line(1, "SUB-ENT3", "recurring", "62.10", end=dt.date(2029, 1, 14)), api_calls())
    opened = await stripe.ask(command)
    (schedule,) = simulation.all("subscription_schedules")
    assert opened.billing_ref == ExternalId(connection="stripe-main", kind="subscription_schedule", id=schedule["id"])
    assert schedule["phases"][0]["start_date"] == int(dt.datetime(2029, 1, 15, tzinfo=dt.UTC).timestamp())
    assert schedule["phases"][0]["metadata"] == schedule["metadata"]
    assert await stripe.find(command) == opened
    assert await stripe.ask(command) == opened
    await stripe.ask(CloseBilling(order_id="ORD-1001", billing_ref=opened.billing_ref))
    await stripe.ask(CloseBilling(order_id="ORD-1001", billing_ref=opened.billing_ref), "again/K-1/step")
    assert [r["status"] for r in (*simulation.all("subscription_schedules"), *simulation.all("subscriptions"))] == ["canceled", "canceled"]


async def test_a_term_of_two_years_is_still_a_trial(stripe: Bench, simulation: Simulation) -> None:
    """729 days to go is within what Stripe allows."""
    await stripe.ask(opening(team(end=START + dt.timedelta(days=728))))
    assert simulation.all("subscriptions")[0]["status"] == "trialing"
    assert simulation.all("subscription_schedules") == []


async def test_a_term_that_is_over_is_billed_from_now_on(stripe: Bench, simulation: Simulation) -> None:
    """Nothing is left of the committed term, so there is no trial."""
    await stripe.ask(opening(team(end=START)), now=dt.datetime(2026, 1, 16, 9, 0, tzinfo=dt.UTC))
    assert simulation.all("subscriptions")[0]["status"] == "active"


async def test_the_trial_ends_with_the_latest_term(stripe: Bench, simulation: Simulation) -> None:
    """Lines with different terms share a subscription, which begins to bill when the last one is over."""
    await stripe.ask(opening(team(end=dt.date(2026, 6, 30)), line(2, "SUB-ENT", "recurring", "89.00", end=dt.date(2026, 12, 31))))
    assert simulation.all("subscriptions")[0]["trial_end"] == int(dt.datetime(2027, 1, 1, tzinfo=dt.UTC).timestamp())


async def test_the_same_key_sent_twice_is_one_effect_even_after_stripe_has_forgotten_the_key(
    stripe: Bench, simulation: Simulation, clock: SetClock
) -> None:
    """Stripe keeps a key for a day; what was made before is found by its metadata for ever."""
    command = opening(team(), api_calls())
    first = await stripe.ask(command, KEY)
    second = await stripe.ask(command, KEY)
    clock.move(25 * 3600)
    third = await stripe.ask(command, KEY, now=clock.now())
    assert first == second == third
    assert kinds(simulation) == [("customer", "C-ACME"), ("subscription", "ORD-1001"), ("usage_subscription", "ORD-1001")]


async def test_find_says_no_while_a_part_is_missing(stripe: Bench, simulation: Simulation) -> None:
    """An order with two parts is only open when both are there."""
    await stripe.ask(opening(team()))
    assert await stripe.find(opening(team(), api_calls())) is None
    assert await stripe.find(opening(team(), order_id="ORD-1002")) is None
    both = await stripe.ask(opening(team(), api_calls()))
    assert await stripe.find(opening(team(), api_calls())) == both


async def test_closing_cancels_every_subscription_of_the_order_and_no_other(stripe: Bench, simulation: Simulation) -> None:
    """Undo leaves nothing of the order to be billed, leaves other orders alone, and may be asked twice."""
    opened = await stripe.ask(opening(team(), api_calls()))
    other = await stripe.ask(opening(team(), order_id="ORD-1002"), "order_booking/ORD-1002/open_billing")
    close = CloseBilling(order_id="ORD-1001", billing_ref=opened.billing_ref, reason="the tax engine refused the order")
    assert await stripe.find(close) is None
    assert await stripe.ask(close) == BillingClosed(order_id="ORD-1001")
    assert await stripe.ask(close) == await stripe.find(close) == BillingClosed(order_id="ORD-1001")
    by_id = {s["id"]: s for s in simulation.all("subscriptions")}
    assert by_id[other.billing_ref.id]["status"] == "trialing"
    assert [s["status"] for s in by_id.values()].count("canceled") == 2
    assert by_id[opened.billing_ref.id]["cancellation_details"]["comment"] == "the tax engine refused the order"
    assert kinds(simulation).count(("subscription_cancelled", "ORD-1001")) == 1


async def test_closing_what_someone_has_cancelled_in_stripe_is_a_success(stripe: Bench, simulation: Simulation) -> None:
    """A race with a person at the vendor ends well: cancelled is cancelled."""
    opened = await stripe.ask(opening(team()))
    record = simulation.all("subscriptions")[0]
    simulation.put("subscriptions", record["id"], {**record, "status": "canceled"})
    assert await stripe.ask(CloseBilling(order_id="ORD-1001", billing_ref=opened.billing_ref)) == BillingClosed(order_id="ORD-1001")


async def test_an_unknown_reference_cannot_be_closed(stripe: Bench) -> None:
    """Stripe never forgets a subscription, so an unknown one belongs to another account: a person has to look."""
    reference = ExternalId(connection="stripe-main", kind="subscription", id="sub_elsewhere")
    with pytest.raises(Rejected, match="record_unknown"):
        await stripe.ask(CloseBilling(order_id="ORD-1001", billing_ref=reference))


async def test_a_late_command_does_not_open_again_what_was_closed(stripe: Bench, simulation: Simulation, clock: SetClock) -> None:
    """A dead worker's last request arrives after the undo, or days later: nothing is billed again."""
    command = opening(team())
    opened = await stripe.ask(command, KEY)
    await stripe.ask(CloseBilling(order_id="ORD-1001", billing_ref=opened.billing_ref))
    for _ in range(2):
        with pytest.raises(Rejected, match="subscription_cancelled"):
            await stripe.ask(command, KEY)
        assert await stripe.find(command) is None
        clock.move(48 * 3600)
    assert [s["status"] for s in simulation.all("subscriptions")] == ["canceled"]


async def test_an_order_refused_halfway_leaves_nothing_standing(stripe: Bench, simulation: Simulation) -> None:
    """When Stripe refuses the usage part, the seats that were just opened are cancelled again."""
    many = [line(n, "USE-API", "usage", f"0.{n}", quantity="1") for n in range(11, 32)]
    with pytest.raises(Rejected, match="at most 20 items"):
        await stripe.ask(opening(team(), *many))
    assert [s["status"] for s in simulation.all("subscriptions")] == ["canceled"]


async def test_a_customer_cannot_have_two_currencies(stripe: Bench, simulation: Simulation) -> None:
    """Stripe refuses to mix currencies on one customer, in its own words."""
    await stripe.ask(opening(team()))
    euros = opening(line(1, "SUB-TEAM", "recurring", "42.00", currency="EUR"), order_id="ORD-1002", customer=replace(ACME, currency="EUR"))
    with pytest.raises(Rejected, match="combine currencies"):
        await stripe.ask(euros, "order_booking/ORD-1002/open_billing")
