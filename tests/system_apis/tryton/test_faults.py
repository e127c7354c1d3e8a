"""A Tryton that misbehaves: whatever is lost on the way, each effect stands once in its books, and the six words are right."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical.customer import EnsureCustomer
from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.item import FindItems
from canonical.order import CancelSalesOrder, CreateSalesOrder
from canonical.tax import FindTaxRates
from system_apis.simulation import Fault, Simulation
from system_apis.tryton import simulator
from system_apis.tryton.client import Books
from tests.system_apis.harness import served
from tests.system_apis.tryton.worlds import ENTITY, World, line, payment

LOST = ("server_error_after_write", "timeout_after_write", "malformed")


def effects(simulation: Simulation, kind: str, key: str) -> int:
    """How often an effect stands in the vendor's own books."""
    return len([effect for effect in simulation.ledger if (effect.kind, effect.business_key) == (kind, key)])


async def in_the_end(world: World, command: Any) -> Any:
    """What the gateway does after an unknown outcome: look, and ask again only where it did not happen."""
    return await world.find(command) or await world.ask(command)


@pytest.mark.parametrize("seconds", [7.0, None])
async def test_throttled_before_anything_is_done(simulated: World, simulation: Simulation, seconds: float | None) -> None:
    """Too many requests: the wait is told where Tryton says it, nothing is written, and later the call goes through."""
    command = await simulated.order()
    simulation.faults.append(Fault(kind="throttle", on="sale.sale.create", retry_after_s=seconds))
    with pytest.raises(Throttled) as throttled:
        await simulated.ask(command)
    assert throttled.value.retry_after_s == seconds
    assert await simulated.sales(command.order.id) == []
    await simulated.ask(command)
    assert effects(simulation, "sales_order", command.order.id) == 1


@pytest.mark.parametrize("step", ["sale.sale.create", "sale.sale.quote", "sale.sale.confirm"])
@pytest.mark.parametrize("kind", ["server_error", *LOST])
async def test_order_is_booked_once_whatever_is_lost(simulated: World, simulation: Simulation, kind: Any, step: str) -> None:
    """An answer that is lost in any of the calls leaves the outcome unknown; in the end there is one sale, in processing."""
    command = await simulated.order()
    simulation.faults.append(Fault(kind=kind, on=step))
    with pytest.raises(OutcomeUnknown):
        await simulated.ask(command)
    created = await in_the_end(simulated, command)
    (sale,) = await simulated.sales(command.order.id)
    assert (str(sale.id), sale.state) == (created.erp_ref.id, "processing")
    assert effects(simulation, "sales_order", command.order.id) == 1


@pytest.mark.parametrize("kind", ["server_error", *LOST])
async def test_customer_is_made_once_whatever_is_lost(simulated: World, simulation: Simulation, kind: Any) -> None:
    """A lost answer to a new customer leaves one party."""
    command = EnsureCustomer(customer=simulated.customer())
    simulation.faults.append(Fault(kind=kind, on="party.party.create"))
    with pytest.raises(OutcomeUnknown):
        await simulated.ask(command)
    ensured = await in_the_end(simulated, command)
    assert ensured.created
    assert effects(simulation, "customer", command.customer.id) == 1


@pytest.mark.parametrize("step", ["wizard.account.invoice.pay.execute", "account.move.create", "account.move.post"])
@pytest.mark.parametrize("kind", ["server_error", *LOST])
async def test_payment_is_entered_once_whatever_is_lost(simulated: World, simulation: Simulation, kind: Any, step: str) -> None:
    """A lost answer to a payment, to its part on account or to the posting of it leaves each of them once in the books."""
    _, invoice = await simulated.invoiced()
    command = payment("600.00", (invoice, "499.80"))
    simulation.faults.append(Fault(kind=kind, on=step))
    with pytest.raises(OutcomeUnknown):
        await simulated.ask(command)
    applied = await in_the_end(simulated, command)
    assert applied.unapplied.amount == "100.20"
    assert effects(simulation, "payment", command.payment.id) == 1
    assert effects(simulation, "payment_part", command.payment.id) == 1


@pytest.mark.parametrize("nth", [1, 2])
async def test_payment_of_several_invoices_goes_on(
    simulated: World, monkeypatch: pytest.MonkeyPatch, simulation: Simulation, nth: int
) -> None:
    """A payment that stopped before one of its invoices is completed without paying the others again."""
    (_, first), (_, second) = await simulated.invoiced(), await simulated.invoiced()
    command = payment("999.60", (first, "499.80"), (second, "499.80"))
    wizard, opened = Books.wizard, [0]

    async def stopping(books: Books, name: str, step: str, params: Any, **options: Any) -> Any:
        opened[0] += step == "create"
        if opened[0] == nth and step == "create":
            raise Unavailable("unreachable", "stopped by the test")
        return await wizard(books, name, step, params, **options)

    monkeypatch.setattr(Books, "wizard", stopping)
    with pytest.raises(Unavailable):
        await simulated.ask(command)
    assert await simulated.find(command) is None
    applied = await simulated.ask(command)
    assert applied == await simulated.find(command)
    assert [effect.amount for effect in simulation.ledger if effect.business_key == command.payment.id] == ["499.80", "499.80"]


async def test_unreadable_answer_to_a_read_is_broken(simulated: World, simulation: Simulation) -> None:
    """An answer to a read that nobody can read is `Broken`, with the raw payload."""
    simulation.faults.append(Fault(kind="malformed", on="search_read"))
    with pytest.raises(Broken) as broken:
        await simulated.ask(FindTaxRates())
    assert broken.value.code == "unreadable_answer"
    assert "It works!" in broken.value.raw


@pytest.mark.parametrize(("model", "field"), [("sale.sale", "reference"), ("sale.line", "taxes"), ("sale.line", "unit_price")])
async def test_silently_dropped_field_is_noticed(simulated: World, simulation: Simulation, model: str, field: str) -> None:
    """A field that Tryton did not keep is noticed before the sale binds anybody, and the draft is taken away."""
    command = await simulated.order()
    simulation.faults.append(Fault(kind="drop_field", on=f"PUT /{model}$", field=field, times=9))
    with pytest.raises(Rejected) as refused:
        await simulated.ask(command)
    assert refused.value.code == "read_back_differs"
    assert [sale for sale in simulation.all("sale.sale") if sale] == []


async def test_payment_that_does_not_read_back_is_parked(simulated: World, simulation: Simulation) -> None:
    """A payment that Tryton has entered without our id is not reported as done: a person has to look."""
    _, invoice = await simulated.invoiced()
    simulation.faults.append(Fault(kind="drop_field", on="PUT /account.move$", field="description", times=2))
    with pytest.raises(Broken) as broken:
        await simulated.ask(payment("499.80", (invoice, "499.80")))
    assert broken.value.code == "read_back_differs"


@pytest.mark.parametrize("on", ["wizard.account.invoice.pay", "sale.sale.confirm"])
async def test_closed_period_leaves_nothing(simulated: World, simulation: Simulation, on: str) -> None:
    """What Tryton refuses because a period is closed is rejected as that, and no half of it stays behind."""
    _, invoice = await simulated.invoiced()
    command: Any = payment("499.80", (invoice, "499.80")) if "pay" in on else await simulated.order()
    simulation.faults.append(Fault(kind="closed_period", on=on))
    with pytest.raises(Rejected) as refused:
        await simulated.ask(command)
    assert refused.value.code == "closed_period"
    assert "must reopen the period" in refused.value.detail
    assert await simulated.find(command) is None
    if isinstance(command, CreateSalesOrder):
        assert await simulated.sales(command.order.id) == []


async def test_slow_beyond_the_deadline(simulated: World, simulation: Simulation) -> None:
    """Beyond the deadline a read is `Unavailable` and a write unknown."""
    command = await simulated.order()
    impatient = World(msgspec.structs.replace(simulated.settings, deadline_s=0.2))
    await impatient.ask(FindTaxRates())
    simulation.faults.append(Fault(kind="slow", on="account.tax.search_read", delay_s=0.6))
    with pytest.raises(Unavailable):
        await impatient.ask(FindTaxRates())
    simulation.faults.append(Fault(kind="slow", on="sale.sale.create", delay_s=0.6))
    with pytest.raises(OutcomeUnknown):
        await impatient.ask(command)
    await impatient.bench.aclose()


async def test_code_drawn_twice_is_asked_again(simulated: World, simulation: Simulation) -> None:
    """A number that two clients drew at the same moment is `Unavailable`: nothing was done, and asking again is safe."""
    command = EnsureCustomer(customer=simulated.customer())
    await simulator.ACTS["draw_same_code"](simulation, {})
    with pytest.raises(Unavailable) as race:
        await simulated.ask(command)
    assert race.value.code == "code_taken"
    assert (await simulated.ask(command)).created


async def test_code_taken_by_the_other_worker_is_the_customer(simulated: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused because another worker was faster: the party that it made is the customer."""
    customer, party = await simulated.ensured()
    rows, blind = Books.rows, [True, True]

    async def late(books: Books, model: str, domain: Any, shape: Any, **options: Any) -> Any:
        if model == "party.party" and blind:
            blind.pop()
            return []
        return await rows(books, model, domain, shape, **options)

    monkeypatch.setattr(Books, "rows", late)
    reply = await simulated.ask(EnsureCustomer(customer=customer))
    assert (reply.created, reply.customer) == (False, party)


async def test_several_candidates_need_a_person(simulated: World) -> None:
    """Where several parties have the customer's name and e-mail, none is taken and none is made."""
    customer, _ = await simulated.ensured()
    mechanism = [["create", [{"type": "email", "value": customer.email}]]]
    await simulated.books.create("party.party", {"name": customer.legal_name, "code": "TWIN", "contact_mechanisms": mechanism})
    third = msgspec.structs.replace(simulated.customer(), legal_name=customer.legal_name, email=customer.email)
    with pytest.raises(Rejected) as refused:
        await simulated.ask(EnsureCustomer(customer=third))
    assert refused.value.code == "customer_ambiguous"


async def test_inactive_item_is_not_sold(simulated: World) -> None:
    """An item that people have deactivated is shown as inactive and not booked, although Tryton itself would take it."""
    (item,) = (await simulated.ask(FindItems(item_codes=("SUB-OLD",)))).items
    assert not item.active
    with pytest.raises(Rejected) as refused:
        await simulated.ask(await simulated.order(line(1, "SUB-OLD", "1", "28.00", "28.00")))
    assert refused.value.code == "item_inactive"


async def test_half_a_device_is_not_sold(simulated: World) -> None:
    """Goods cannot be divided more finely than their unit; of a service the quantity is told in words and the amount is exact."""
    with pytest.raises(Rejected) as refused:
        await simulated.ask(await simulated.order(line(1, "HW-GW", "1.5", "920.00", "1380.00")))
    assert (refused.value.code, refused.value.pointer) == ("quantity_not_divisible", "/order/lines/0/quantity")
    created = await simulated.ask(await simulated.order(line(1, "SUB-TEAM", "1.5", "42.00", "63.00")))
    assert created.total.amount == "63.00"


async def test_ended_sessions_are_renewed(simulated: World, simulation: Simulation) -> None:
    """After Tryton has ended all sessions the next call logs in and goes through."""
    await simulated.ask(FindTaxRates())
    ended = await simulator.ACTS["end_sessions"](simulation, {})
    assert ended["ended"] >= 1
    assert (await simulated.ask(FindTaxRates())).rates


async def test_method_that_is_not_open_is_misconfigured(simulated: World) -> None:
    """A call that Tryton does not open to clients is `Misconfigured`, after one new log-in."""
    with pytest.raises(Misconfigured) as refused:
        await simulated.books.press("sale.sale", "no_such_button", [1])
    assert refused.value.code == "forbidden"


async def test_unknown_field_is_our_bug(simulated: World) -> None:
    """A field that Tryton does not have is `Broken`: Tryton answers with a fault of its own."""
    with pytest.raises(Broken) as broken:
        await simulated.books.write("party.party", [1], {"no_such_field": 1})
    assert broken.value.code == "fault_in_tryton"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"external_tax": "No such tax"}, "external_tax_missing"),
        ({"companies": {"XX99": 1, "YY99": 1}}, "entity_without_company"),
    ],
)
async def test_missing_set_up_calls_someone(simulated: World, change: dict[str, Any], code: str) -> None:
    """What is not set up in Tryton or in the settings is `Misconfigured`, by name."""
    command = await simulated.order()
    stranger = World(msgspec.structs.replace(simulated.settings, **change))
    with pytest.raises(Misconfigured) as missing:
        await stranger.ask(command)
    await stranger.bench.aclose()
    assert missing.value.code == code


async def test_payment_term_must_exist(simulated: World) -> None:
    """An order on terms that Tryton does not have calls someone instead of falling due on another day."""
    command = await simulated.order()
    customer = msgspec.structs.replace(command.order.customer, payment_terms_days=33)
    other = msgspec.structs.replace(command, order=msgspec.structs.replace(command.order, customer=customer))
    with pytest.raises(Misconfigured) as missing:
        await simulated.ask(other)
    assert missing.value.code == "payment_term_missing"


async def test_payment_method_must_exist(simulated: World) -> None:
    """Money cannot be entered by a payment method that Tryton does not have."""
    stranger = World(msgspec.structs.replace(simulated.settings, payment_method="No such method"))
    with pytest.raises(Misconfigured) as missing:
        await stranger.ask(payment("10.00"))
    await stranger.bench.aclose()
    assert missing.value.code == "payment_method_missing"


async def test_people_post_by_the_act(simulated: World, simulation: Simulation) -> None:
    """The act `post_invoice` posts the invoice of an order, tax included; in a closed period it says why it cannot."""
    command, _ = await simulated.booked()
    told = await simulator.ACTS["post_invoice"](simulation, {"order_id": command.order.id})
    assert told == {"invoices": [{"number": "INV-TR-00001", "total": "499.80"}]}
    assert effects(simulation, "invoice", command.order.id) == 1
    other, _ = await simulated.booked()
    await simulator.ACTS["close_period"](simulation, {"until": "2030-12-31"})
    refused = await simulator.ACTS["post_invoice"](simulation, {"order_id": other.order.id})
    assert "must reopen the period" in refused["error"]


async def test_restarted_simulator_goes_on(tmp_path: Path) -> None:
    """What stood in the books before a restart stands there after it, and is carried on."""
    path = tmp_path / "tryton.jsonl"
    async with served(simulator.build(Simulation("tryton", path=path))) as url:
        world = World(simulator.simulated(url))
        command, created = await world.booked()
        await world.bench.aclose()
    simulation = Simulation("tryton", path=path)
    async with served(simulator.build(simulation)) as url:
        world = World(simulator.simulated(url))
        assert await world.ask(command) == created
        await world.post_invoice(created)
        await world.bench.aclose()
    assert effects(simulation, "sales_order", command.order.id) == 1


async def test_cancelling_what_is_not_there_is_done(simulated: World) -> None:
    """An order that was never booked, or withdrawn, counts as called off."""
    command = await simulated.order()
    reference = msgspec.structs.replace(command.customer, kind="sales_order", id="999999")
    reply = await simulated.ask(CancelSalesOrder(order_id=command.order.id, erp_ref=reference))
    assert reply.order_id == command.order.id


async def test_single_company_serves_calls_without_entity(simulated: World) -> None:
    """A poll names no entity: with one company there is no doubt whose books are meant."""
    assert simulated.bench.client.books("").company == simulated.bench.client.books(ENTITY).company
