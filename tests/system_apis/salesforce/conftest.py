"""A simulated Salesforce org, served over HTTP, and a connection to it."""

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from canonical.invoice import Invoice, RecordInvoice
from canonical.money import Money
from canonical.order import MarkOrderBooked
from canonical.payment import Allocation, RecordPayment
from canonical.provenance import ExternalId
from runtime.clock import SetClock
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable
from system_apis.salesforce.connector import SALESFORCE
from system_apis.salesforce.simulator import build, simulated
from system_apis.simulation import Fault, Simulation
from tests.system_apis.harness import Bench, served

Plan = Callable[..., None]
Do = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def clock() -> SetClock:
    """A clock that only the test moves."""
    return SetClock()


@pytest.fixture
def simulation(clock: SetClock) -> Simulation:
    """The books of the simulated org."""
    return Simulation("salesforce", clock=clock)


@pytest.fixture
async def base_url(simulation: Simulation) -> AsyncIterator[str]:
    """Where the simulated org is served."""
    async with served(build(simulation)) as url:
        yield url


@pytest.fixture
async def bench(base_url: str) -> AsyncIterator[Bench]:
    """A connection to the org."""
    bench = Bench(SALESFORCE, simulated(base_url), "crm-main")
    yield bench
    await bench.aclose()


@pytest.fixture
def plan(simulation: Simulation) -> Plan:
    """Plan a misbehaviour of the org."""

    def make(kind: str, on: str = "", **more: Any) -> None:
        simulation.faults.append(Fault(kind=kind, on=on, **more))  # type: ignore[arg-type]

    return make


@pytest.fixture
async def do(base_url: str) -> AsyncIterator[Do]:
    """Let a person at the org do something."""
    http = HttpClient(base_url, failures=FailureTable({}))

    async def act(act_name: str, **said: Any) -> dict[str, Any]:
        answer: dict[str, Any] = (await http.send("POST", f"/_sim/do/{act_name}", json=said)).decode(dict[str, Any])
        return answer

    yield act
    await http.aclose()


def booked(order: str = "ORD-1001", opportunity: str = "OPP-1001", total: str = "12567.00") -> MarkOrderBooked:
    """The news that an order is booked in the ERP."""
    erp_ref = ExternalId(connection="netsuite-us", kind="sales_order", id="771", number="SO-771")
    return MarkOrderBooked(order_id=order, quote_id="Q-1", opportunity_id=opportunity, erp_ref=erp_ref, total=Money(total, "USD"))


def invoice(number: str = "INV-7001", **more: Any) -> RecordInvoice:
    """The news that an invoice was posted; further values go to the invoice, ``opportunity_id`` to the command."""
    opportunity = more.pop("opportunity_id", "")
    values: dict[str, Any] = {
        "issued_on": dt.date(2026, 1, 15),
        "due_on": dt.date(2026, 2, 14),
        "currency": "USD",
        "total": Money("1086.25", "USD"),
        "tax_total": Money("86.25", "USD"),
        "open_amount": Money("1086.25", "USD"),
        "status": "posted",
        "external_id": ExternalId(connection="netsuite-us", kind="invoice", id="990", number=number),
        **more,
    }
    return RecordInvoice(invoice=Invoice(id=number, **values), opportunity_id=opportunity)


def payment(payment_id: str = "pi_123", number: str = "INV-7001", amount: str = "500.00") -> RecordPayment:
    """The news that a part of a payment pays an invoice."""
    external = ExternalId(connection="netsuite-us", kind="invoice", id="990", number=number)
    allocation = Allocation(invoice_id=number, invoice=external, amount=Money(amount, "USD"))
    return RecordPayment(payment_id=payment_id, allocation=allocation, paid_on=dt.date(2026, 1, 20))
