"""A simulated NetSuite account over real HTTP, and the deals that the tests put into it."""

import datetime as dt
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from canonical.customer import Address, Customer, EnsureCustomer
from canonical.money import Money, Percent, Price, Quantity
from canonical.order import CreateSalesOrder, Order, OrderLine
from canonical.payment import Allocation, ApplyPayment, Payment
from canonical.provenance import ExternalId
from canonical.quote import Term
from runtime.clock import SetClock
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable
from system_apis.netsuite.connector import NETSUITE
from system_apis.netsuite.simulator import build, simulated
from system_apis.simulation import Fault, FaultKind, Simulation
from tests.system_apis.harness import Bench, served

ACME = ExternalId(connection="vendor", kind="customer", id="1001", number="CUST1001")


def usd(amount: str) -> Money:
    return Money(amount, "USD")


class Account(Bench):
    """The account, the bench to ask it, and what only its own people can do."""

    def __init__(self, simulation: Simulation, base_url: str, **changes: Any) -> None:
        settings = msgspec.structs.replace(simulated(base_url), **changes)
        super().__init__(NETSUITE, settings)
        self.simulation = simulation
        self.base_url = base_url
        self.plain = HttpClient(base_url, failures=FailureTable({}))

    async def do(self, act: str, **wish: str) -> dict[str, Any]:
        answer = await self.plain.send("POST", f"/_sim/do/{act}", json=wish)
        found: dict[str, Any] = msgspec.json.decode(answer.body)
        return found

    def fault(self, kind: FaultKind, on: str = "", **more: Any) -> None:
        self.simulation.faults.append(Fault(kind=kind, on=on, **more))

    def booked(self, kind: str) -> list[str]:
        """The business keys of one kind in the vendor's own books."""
        return [effect.business_key for effect in self.simulation.ledger if effect.kind == kind]

    async def aclose(self) -> None:
        await super().aclose()
        await self.plain.aclose()


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    simulation = Simulation("netsuite", clock=SetClock())
    async with served(build(simulation)) as base_url:
        opened = Account(simulation, base_url)
        yield opened
        await opened.aclose()


def customer(customer_id: str = "C-INITECH", **changes: Any) -> Customer:
    return Customer(
        id=customer_id,
        legal_name=changes.pop("legal_name", "Initech LLC"),
        email=changes.pop("email", "billing@initech.example"),
        currency="USD",
        bill_to=Address(street="4120 Freidrich Ln", city="Austin", region="TX", postal_code="78701", country="US"),
        **changes,
    )


def ensure(customer_id: str = "C-INITECH", **changes: Any) -> EnsureCustomer:
    return EnsureCustomer(customer=customer(customer_id, **changes))


def line(number: int, code: str, quantity: str, price: str, total: str, **changes: Any) -> OrderLine:
    return OrderLine(
        number=number,
        item_code=code,
        charge_type=changes.pop("charge_type", "recurring"),
        quantity=Quantity(quantity),
        unit_price=Price(price, "USD"),
        net_total=usd(total),
        **changes,
    )


def order(order_id: str = "ORD-1001", lines: tuple[OrderLine, ...] = (), **changes: Any) -> CreateSalesOrder:
    """An order of 1,000.00 before tax, unless told otherwise."""
    term = Term(start=dt.date(2026, 2, 1), end=dt.date(2027, 1, 31))
    chosen = lines or (
        line(1, "SUB-TEAM", "20", "45.00", "810.00", discount=Percent("10"), term=term, tax_code="SW"),
        line(2, "HW-RACK", "2", "95.00", "190.00", charge_type="one_time"),
    )
    tax = changes.pop("tax_total", usd("86.25"))
    return CreateSalesOrder(
        order=Order(
            id=order_id,
            quote_id="Q-1001",
            quote_version=2,
            entity=changes.pop("entity", "US01"),
            customer=customer("C-ACME", legal_name="Acme Robotics Inc.", email="ap@acme.example"),
            opportunity_id="OPP-1001",
            currency="USD",
            ordered_on=changes.pop("ordered_on", dt.date(2026, 1, 15)),
            lines=chosen,
            total=Money.total((each.net_total for each in chosen), "USD"),
            purchase_order="PO-77",
        ),
        customer=changes.pop("customer", ACME),
        tax_total=tax,
    )


def payment(payment_id: str, amount: str, *parts: tuple[dict[str, Any], str], **changes: Any) -> ApplyPayment:
    """A payment, with the invoices (as `post_invoice` gave them) that it pays."""
    return ApplyPayment(
        payment=Payment(
            id=payment_id,
            entity="US01",
            source="bank_statement",
            received_on=changes.pop("received_on", dt.date(2026, 1, 15)),
            amount=usd(amount),
            payer=changes.pop("payer", "Acme Robotics Inc."),
            payer_account="DE89370400440532013000",
            references=("RE 77",),
            fee=usd("1.20"),
            remittance="invoice as agreed",
        ),
        allocations=tuple(
            Allocation(
                invoice_id=invoice["number"],
                invoice=ExternalId(connection="vendor", kind="invoice", id=invoice["invoice_id"], number=invoice["number"]),
                amount=usd(part),
            )
            for invoice, part in parts
        ),
    )


async def invoiced(account: Account, order_id: str = "ORD-1001", **changes: Any) -> dict[str, Any]:
    """Book an order and let somebody at the vendor bill it."""
    await account.ask(order(order_id, **changes))
    bill = await account.do("post_invoice", order_id=order_id)
    assert Decimal(bill["total"]) > 0
    return bill
