import asyncio
from typing import Any

import httpx
import pytest

from canonical.customer import Customer, EnsureBillingCustomer
from canonical.failures import Broken, OutcomeUnknown, Rejected, Unavailable
from runtime.clock import SetClock
from system_apis.simulation import Fault, Simulation
from tests.system_apis.harness import Bench
from tests.system_apis.stripe.samples import ACME, MUSTER, kinds

ENSURE = EnsureBillingCustomer(customer=ACME)


def without_email(customer: Customer) -> Customer:
    return Customer(id=customer.id, legal_name=customer.legal_name, currency=customer.currency)


async def by_hand(url: str, **fields: Any) -> str:
    """Make a customer as a person in Stripe's dashboard would."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/customers", data=fields, headers={"Authorization": "Bearer sk_test_simulated"})
    return str(answer.json()["id"])


async def test_a_new_customer_is_created_once_with_our_id_and_its_tax_number(stripe: Bench, simulation: Simulation) -> None:
    """A customer that Stripe does not know is made with our id, and asking again finds it."""
    first = await stripe.ask(EnsureBillingCustomer(customer=MUSTER))
    again = await stripe.ask(EnsureBillingCustomer(customer=MUSTER), "another/K-2/step")
    assert (first.created, again.created) == (True, False)
    assert first.customer == again.customer
    assert (first.customer.connection, first.customer.kind) == ("stripe-main", "customer")
    (kept,) = simulation.all("customers")
    assert kept["metadata"] == {"q2c_id": "C-MUSTER"}
    assert (kept["name"], kept["email"]) == ("Muster Maschinenbau GmbH", "rechnung@muster.example")
    assert kept["address"] == {"line1": "Königstraße 20", "city": "Stuttgart", "postal_code": "70173", "country": "DE"}
    assert kinds(simulation) == [("customer", "C-MUSTER")]


async def test_two_first_orders_at_once_make_one_customer(stripe: Bench, simulation: Simulation) -> None:
    """The customer's key is its own, so that orders that race each other do not double it."""
    both = await asyncio.gather(*(stripe.ask(ENSURE, f"order_booking/ORD-{n}/customer") for n in (1, 2)))
    assert both[0].customer == both[1].customer
    assert len(simulation.all("customers")) == 1


async def test_a_customer_without_email_is_found_by_search_once_the_search_has_caught_up(
    stripe: Bench, simulation: Simulation, clock: SetClock
) -> None:
    """While Stripe's search lags the same key finds the customer, afterwards the search does."""
    command = EnsureBillingCustomer(customer=without_email(ACME))
    first = await stripe.ask(command)
    lagging = await stripe.ask(command)
    assert await stripe.find(command) is None
    clock.move(60)
    later = await stripe.ask(command)
    assert first.customer == lagging.customer == later.customer
    assert (lagging.created, later.created) == (False, False)
    assert len(simulation.all("customers")) == 1


async def test_a_customer_made_by_hand_with_the_same_name_and_email_is_adopted(stripe: Bench, simulation: Simulation, url: str) -> None:
    """Exact name and e-mail make it the same customer; it carries our id from then on."""
    there = await by_hand(url, name="Acme Robotics Inc.", email="ap@acme.example")
    reply = await stripe.ask(ENSURE)
    assert (reply.customer.id, reply.created) == (there, False)
    assert simulation.all("customers")[0]["metadata"] == {"q2c_id": "C-ACME"}


async def test_another_company_behind_the_same_email_is_left_alone(stripe: Bench, simulation: Simulation, url: str) -> None:
    """A shared mailbox does not make two customers one."""
    other = await by_hand(url, name="Acme Logistics Inc.", email="ap@acme.example")
    reply = await stripe.ask(ENSURE)
    assert reply.created
    assert reply.customer.id != other
    assert len(simulation.all("customers")) == 2


async def test_changed_details_of_a_customer_that_does_not_show_yet_wait_for_the_search(stripe: Bench, clock: SetClock) -> None:
    """The same key with other details is refused by Stripe; the customer will be found a little later."""
    await stripe.ask(EnsureBillingCustomer(customer=without_email(ACME)))
    changed = Customer(id="C-ACME", legal_name="Acme Robotics Holding Inc.", currency="USD")
    with pytest.raises(Unavailable, match="customer_settling"):
        await stripe.ask(EnsureBillingCustomer(customer=changed))
    clock.move(60)
    assert not (await stripe.ask(EnsureBillingCustomer(customer=changed))).created


async def test_a_timeout_after_the_write_is_found_again(stripe: Bench, simulation: Simulation) -> None:
    """What was made although the answer never came is found, not made twice."""
    simulation.faults.append(Fault(kind="timeout_after_write", on="POST /v1/customers"))
    with pytest.raises(OutcomeUnknown):
        await stripe.ask(ENSURE)
    found = await stripe.find(ENSURE)
    assert found is not None
    assert found.customer.id == simulation.all("customers")[0]["id"]
    assert (await stripe.ask(ENSURE)).customer == found.customer
    assert kinds(simulation) == [("customer", "C-ACME")]


async def test_nothing_is_found_where_nothing_was_made(stripe: Bench) -> None:
    """A customer that was never made is not invented."""
    assert await stripe.find(ENSURE) is None


async def test_a_lost_id_is_noticed(stripe: Bench, simulation: Simulation) -> None:
    """A customer on which Stripe did not keep our id would be doubled by the next order, so it is parked."""
    simulation.faults.append(Fault(kind="drop_field", on="PUT /customers", field="metadata"))
    with pytest.raises(Broken, match="read_back_differs"):
        await stripe.ask(ENSURE)


async def test_an_email_that_is_none_is_rejected_with_its_field(stripe: Bench, simulation: Simulation) -> None:
    """Stripe's refusal of the e-mail names the field."""
    command = EnsureBillingCustomer(customer=Customer(id="C-X", legal_name="X", email="nobody"))
    with pytest.raises(Rejected) as refused:
        await stripe.ask(command)
    assert (refused.value.code, refused.value.pointer) == ("email_invalid", "/email")
    assert not simulation.ledger
