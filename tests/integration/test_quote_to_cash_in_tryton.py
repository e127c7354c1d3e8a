"""The whole gateway with one legal entity in a real Tryton server, the other vendors simulated over HTTP: from signed quote to cash."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from canonical.money import Money
from deploy.services.tryton import TrytonServer
from gateway.compose import Gateway
from gateway.running import development_token, migrate_store
from gateway.settings import Settings, load
from gateway.simulated import SIMULATORS
from gateway.simulated import settings as simulated
from system_apis.simulation import Simulation
from system_apis.tryton.sales_orders import Sale
from tests.integration.deals import DAYS, DEVICES, MUSTER, PLAN, TODAY, Sold, order, order_id, quote, signed
from tests.integration.doors import Answer, Door, kept
from tests.system_apis.harness import served
from tests.system_apis.tryton.worlds import World, real_settings

# The first test pays for building the database of the real server, where the machine has none yet.
pytestmark = [pytest.mark.tryton, pytest.mark.timeout(900)]

ACCOUNT = "DE89370400440532013000"


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A sale or an accounting entry in Tryton, read past the connector's own mapping."""

    id: int
    state: str
    description: str | None = None


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in Tryton, likewise."""

    id: int
    number: str
    state: str
    total_amount: Decimal
    amount_to_pay: Decimal


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's door, the ERP behind it as its own people see it, and the simulated vendors."""

    door: Door
    erp: World
    simulations: dict[str, Simulation]

    def books(self, vendor: str, *about: str) -> dict[tuple[str, str], int]:
        """How often a vendor's books have each effect that names one of these: others may sell in the same Tryton."""
        return {
            effect: times for effect, times in kept(self.simulations[vendor].ledger).items() if any(word in effect[1] for word in about)
        }

    async def sale(self, of_order: str) -> Sale:
        """The one sale under our order id."""
        (sale,) = await self.erp.sales(of_order)
        return sale

    async def invoice(self, sale: Sale) -> Invoice:
        (document,) = sale.invoices
        (found,) = await self.erp.books.rows("account.invoice", [["id", "=", document.id]], Invoice)
        return found

    async def entries_about(self, payment_id: str) -> list[Described]:
        """The entries of a payment."""
        return await self.erp.books.rows("account.move", [["description", "like", f"{payment_id} %"]], Described)


@pytest.fixture
async def company(tryton: TrytonServer, tmp_path: Path) -> AsyncIterator[Company]:
    """A gateway with all layers and its worker in this process, on the embedded store and bus."""
    async with contextlib.AsyncExitStack() as leaving:
        simulations, tree = {}, simulated("http://127.0.0.1:1")
        for one in SIMULATORS:
            if one.name == "tryton":
                own: msgspec.Struct = real_settings(tryton)
            else:
                simulations[one.name] = Simulation(one.name)
                own = one.simulated(await leaving.enter_async_context(served(one.build(simulations[one.name]))))
            tree["connections"][one.name]["settings"] = msgspec.to_builtins(own)
        settings = msgspec.structs.replace(load(None, base=tree, environment={}), data=str(tmp_path))
        url = await leaving.enter_async_context(running(settings))
        simulations["stripe"].webhook_url = f"{url}/webhooks/stripe"
        erp = World(real_settings(tryton))
        leaving.push_async_callback(erp.bench.aclose)
        door = await leaving.enter_async_context(Door(url, development_token(settings, "integration", "", 1)))
        yield Company(door=door, erp=erp, simulations=simulations)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """The gateway over HTTP."""
    await migrate_store(settings)
    gateway = Gateway(settings)
    try:
        await gateway.start(works=True)
        async with served(gateway.app()) as url:
            yield url
    finally:
        await gateway.stop()


def statement(amount: Money, payer: str, text: str) -> bytes:
    """A bank statement with one credit, as MT940."""
    day, paid = f"{TODAY:%y%m%d}", f"{amount.number:.2f}".replace(".", ",")
    fields = [
        ":20:STARTUMS",
        f":25:{ACCOUNT}",
        ":28C:00231/001",
        f":60F:C{day}EUR1000,00",
        f":61:{day}{TODAY:%m%d}C{paid}NTRFNONREF//{TODAY:%j}0815",
        f":86:166?00CREDIT TRANSFER?20SVWZ+{text}?32{payer}",
        f":62F:C{day}EUR{1000 + amount.number:.2f}".replace(".", ","),
        "-",
    ]
    return "\r\n".join([*fields, ""]).encode()


async def hand_in(door: Door, content: bytes, key: str) -> Answer:
    """Treasury uploads a statement."""
    return await door.post("/system/v1/bank/statements", content, key=key, content_type="text/plain")


async def test_signed_quote_becomes_cash_in_the_erp(company: Company) -> None:
    """A signed quote of plans, days and devices is booked, invoiced by a person, paid by bank transfer and applied, everything once."""
    quoted = quote("DE01", MUSTER, PLAN, DAYS, DEVICES)
    known, wanted = order_id(quoted), f"q2c-{quoted.id}"
    accepted = await company.door.post("/process/v1/quotes", signed(quoted), key=f"submit-{quoted.id}", correlation_id=wanted)
    assert (accepted.status, accepted.body["correlation_id"]) == (202, wanted)

    await company.door.until(wanted, {"booked"})
    sale = await company.sale(known)
    assert (sale.state, sale.untaxed_amount, sale.tax_amount) == ("processing", Decimal("6568.00"), Decimal("1247.92"))
    (named,) = await company.erp.books.rows("sale.sale", [["id", "=", sale.id]], Described)
    assert (sale.reference, named.description) == (known, wanted)

    draft = next(iter(sale.invoices))
    await company.erp.books.press("account.invoice", "post", [draft.id])
    invoice = await company.invoice(sale)
    assert (invoice.state, invoice.total_amount) == ("posted", Decimal("7815.92"))
    await company.door.until(wanted, {"invoiced"})
    assert company.books("salesforce", invoice.number) == {("crm_invoice", invoice.number): 1}

    owed = Money.of(invoice.total_amount, "EUR")
    taken = await hand_in(company.door, statement(owed, MUSTER.legal_name, f"RECHNUNG {invoice.number}"), "statement-1")
    again = await hand_in(company.door, statement(owed, MUSTER.legal_name, f"RECHNUNG {invoice.number}"), "statement-2")
    assert [(a.status, a.body["taken"], a.body["new"]) for a in (taken, again)] == [(202, 1, 1), (202, 1, 0)]

    paid = await company.door.until(wanted, {"paid", "cash_applied"})
    (application,) = (i for i in paid.processes if i.process == "cash_application")
    (entry,) = await company.entries_about(application.key)
    invoice = await company.invoice(sale)
    assert (entry.state, invoice.state, invoice.amount_to_pay) == ("posted", "paid", Decimal(0))
    assert (await company.sale(known)).state == "processing"  # the devices are still to be shipped, by people
    assert company.books("salesforce", known, invoice.number) == {
        ("opportunity_won", known): 1,
        ("crm_invoice", invoice.number): 1,
        ("crm_payment", f"{application.key}|{invoice.number}"): 1,
    }
    assert company.books("avalara", known) == {("tax_document", known): 1}
    assert company.books("stripe", known) == {("subscription", known): 1}
    assert company.books("kantata", known) == {("project", known): 1, ("project_task", f"{known}:2"): 1}


async def test_refused_order_is_taken_back_in_the_erp(company: Company) -> None:
    """An order whose plan billing does not sell in euro is rejected: its sale is called off in Tryton, its tax is voided."""
    quoted = quote("DE01", MUSTER, Sold("SUB-ENT3", "recurring", "5", "64.00"), DEVICES)
    known = order_id(quoted)
    accepted = await company.door.post("/process/v1/orders", order(quoted), key=f"book-{known}")
    assert accepted.status == 202

    rejected = await company.door.until(accepted.body["correlation_id"], {"rejected"})
    sale = await company.sale(known)
    assert sale.called_off
    assert {invoice.state for invoice in sale.invoices} == {shipment.state for shipment in sale.shipments} == {"cancelled"}
    assert company.books("avalara", known) == {("tax_document", known): 1, ("tax_void", known): 1}
    assert not company.books("stripe", known) | company.books("salesforce", known)
    (booking,) = rejected.processes
    assert booking.status == "undone"
    assert [step.step for step in booking.steps if step.kind == "undo"] == ["book_in_erp", "commit_tax"]


async def test_order_submitted_twice_at_once_is_one_sale(company: Company) -> None:
    """Two programs that submit the same quote under the same key at the same moment make one transaction and one sale."""
    quoted = quote("DE01", MUSTER, DAYS)
    key, command = f"submit-{quoted.id}", signed(quoted)
    answers = await asyncio.gather(*(company.door.post("/process/v1/quotes", command, key=key) for _ in range(2)))
    taken = [answer for answer in answers if answer.status == 202]
    assert taken
    assert {answer.status for answer in answers} <= {202, 409}
    later = await company.door.post("/process/v1/quotes", command, key=key)
    assert {answer.body["correlation_id"] for answer in (*taken, later)} == {later.body["correlation_id"]}

    await company.door.until(later.body["correlation_id"], {"booked"})
    assert (await company.sale(order_id(quoted))).state == "processing"
    assert company.books("avalara", order_id(quoted)) == {("tax_document", order_id(quoted)): 1}
