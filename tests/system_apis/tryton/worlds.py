"""A Tryton to test against, real or simulated, behind one face: the card, and what people do in Tryton by its own calls."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import msgspec

from canonical.customer import Address, Customer, EnsureCustomer
from canonical.invoice import FindOpenInvoices, Invoice
from canonical.money import Money, Percent, Price, Quantity
from canonical.order import CreateSalesOrder, Order, OrderLine, SalesOrderCreated
from canonical.payment import Allocation, ApplyPayment, Payment
from canonical.provenance import ExternalId
from deploy.services.tryton import TrytonServer
from system_apis.tryton.client import Books
from system_apis.tryton.connector import TRYTON
from system_apis.tryton.sales_orders import Sale, sale_by_id, under_reference
from system_apis.tryton.settings import TrytonSettings
from tests.system_apis.harness import Bench

ENTITY = "DE01"
CLOSED_DAY = dt.date(2025, 1, 10)


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice says, read past the connector's own mapping."""

    id: int
    state: str
    number: str | None = None
    untaxed_amount: Decimal
    tax_amount: Decimal
    total_amount: Decimal


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What a party owes."""

    id: int
    receivable: Decimal


def fresh(prefix: str) -> str:
    """An id that nobody has used yet: a real server is shared by all tests."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def line(number: int, code: str, quantity: str, price: str, net: str, currency: str = "EUR", **more: Any) -> OrderLine:
    """An order line; the net total is given, as the order gives it."""
    return OrderLine(
        number=number,
        item_code=code,
        description=f"{code} as ordered",
        charge_type="service",
        quantity=Quantity(quantity),
        unit_price=Price(price, currency),
        net_total=Money(net, currency),
        **more,
    )


class World:
    """One Tryton with a connection to it."""

    def __init__(self, settings: TrytonSettings) -> None:
        self.bench = Bench(TRYTON, settings, "tryton-de")
        self.settings = settings

    @property
    def books(self) -> Books:
        books: Books = self.bench.client.books(ENTITY)
        return books

    async def ask(self, command: Any, key: str = "process/K-1/step", **options: Any) -> Any:
        return await self.bench.ask(command, key, entity=ENTITY, **options)

    async def find(self, command: Any, key: str = "process/K-1/step") -> Any:
        return await self.bench.find(command, key, entity=ENTITY)

    def customer(self, **more: Any) -> Customer:
        customer_id = fresh("C")
        address = Address(street="Kai 1", city="Hamburg", postal_code="20457", country="DE")
        return Customer(
            id=customer_id, legal_name=f"Reederei {customer_id}", email=f"ap@{customer_id}.example".lower(), bill_to=address, **more
        )

    async def ensured(self) -> tuple[Customer, ExternalId]:
        """A new customer, and how Tryton knows it."""
        customer = self.customer()
        return customer, (await self.ask(EnsureCustomer(customer=customer))).customer

    async def order(self, *lines: OrderLine, tax: str = "79.80", currency: str = "EUR") -> CreateSalesOrder:
        """A command to book an order of a new customer."""
        customer, party = await self.ensured()
        ordered = lines or (line(1, "SUB-TEAM", "10", "42.00", "420.00", currency, discount=Percent("0")),)
        order = Order(
            id=fresh("ORD"),
            quote_id="Q-1001",
            quote_version=2,
            entity=ENTITY,
            customer=customer,
            opportunity_id="OPP-1001",
            currency=currency,
            ordered_on=dt.date(2026, 1, 15),
            lines=ordered,
            total=Money.total((one.net_total for one in ordered), currency),
            purchase_order="PO 4711",
        )
        return CreateSalesOrder(order=order, customer=party, tax_total=Money(tax, currency))

    async def booked(self, *lines: OrderLine, tax: str = "79.80", currency: str = "EUR") -> tuple[CreateSalesOrder, SalesOrderCreated]:
        """An order that is booked."""
        command = await self.order(*lines, tax=tax, currency=currency)
        return command, await self.ask(command)

    async def sales(self, order_id: str) -> list[Sale]:
        return await under_reference(self.books, order_id)

    async def sale(self, created: SalesOrderCreated) -> Sale:
        found = await sale_by_id(self.books, int(created.erp_ref.id))
        assert found is not None
        return found

    async def invoice_amounts(self, created: SalesOrderCreated) -> Amounts:
        (invoice,) = (await self.sale(created)).invoices
        return (await self.books.rows("account.invoice", [["id", "=", invoice.id]], Amounts))[0]

    async def post_invoice(self, created: SalesOrderCreated) -> Amounts:
        """The finance person presses Post."""
        (invoice,) = (await self.sale(created)).invoices
        await self.books.press("account.invoice", "post", [invoice.id])
        return await self.invoice_amounts(created)

    async def invoiced(self, *lines: OrderLine, tax: str = "79.80", currency: str = "EUR") -> tuple[SalesOrderCreated, Invoice]:
        """An order with its invoice posted, and the invoice as the connector finds it."""
        command, created = await self.booked(*lines, tax=tax, currency=currency)
        await self.post_invoice(created)
        (invoice,) = (await self.ask(FindOpenInvoices(references=(command.order.id,)))).invoices
        return created, invoice

    async def receivable(self, party: ExternalId) -> Decimal:
        return (await self.books.rows("party.party", [["id", "=", int(party.id)]], Balance))[0].receivable


def real_settings(server: TrytonServer) -> TrytonSettings:
    """Settings for the real server."""
    return TrytonSettings(
        base_url=server.url,
        database=server.database,
        user=server.user,
        password=server.password,
        companies={ENTITY: server.company_id},
    )


def payment(amount: str, *allocations: tuple[Invoice, str], currency: str = "EUR", received_on: dt.date | None = None) -> ApplyPayment:
    """A payment with what each invoice gets of it; received on the day of the first invoice."""
    day = received_on or (allocations[0][0].issued_on if allocations else dt.date(2026, 2, 2))
    received = Payment(
        id=fresh("PAY"),
        entity=ENTITY,
        source="bank_statement",
        received_on=day,
        amount=Money(amount, currency),
        payer=f"Payer {fresh('P')}",
    )
    parts = tuple(
        Allocation(invoice_id=invoice.id, invoice=invoice.external_id, amount=Money(part, currency)) for invoice, part in allocations
    )
    return ApplyPayment(payment=received, allocations=parts)
