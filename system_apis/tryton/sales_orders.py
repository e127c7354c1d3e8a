"""Sales in Tryton: drafted, quoted, confirmed, processed. Our order id is the sale's reference, and always looked for first.

Tryton has no idempotency key and takes four calls for one sale. So every attempt begins by looking for the reference and goes on from
the state in which it finds the sale. Should two attempts draft at the same time, the older draft is carried on and the younger deleted;
a draft binds nobody. A sale that Tryton refuses on the way is taken away again, so that a refusal leaves nothing behind.
"""

from decimal import Decimal
from typing import Any

import msgspec

from canonical.failures import Broken, Misconfigured, Rejected
from canonical.money import Money
from canonical.order import CreateSalesOrder, Order, SalesOrderCreated
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.tryton.client import EITHER, Books
from system_apis.tryton.customers import PARTY, Currency
from system_apis.tryton.failures import NOT_IN_THIS_STATE
from system_apis.tryton.items import named
from system_apis.tryton.sales_order_lines import FixedTax, lines_of, tax_line
from system_apis.tryton.settings import TrytonSettings

SALE = "sale.sale"
BOOKED = frozenset({"processing", "done"})
# The button that brings a sale one state further. Confirming processes at once; a sale that is still `confirmed` was interrupted, or
# could not be processed: pressing `process` then says why.
NEXT = {"draft": "quote", "quotation": "confirm", "confirmed": "process"}

# wire shapes ----------------------------------------------------------------------------------------------------------


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice or a shipment of a sale."""

    id: int
    state: str = ""


class SaleLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line, for its stock moves."""

    id: int
    moves: tuple[int, ...] = ()


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A sale as far as its course and its amounts go."""

    id: int
    number: str | None = None
    reference: str | None = None
    state: str
    comment: str | None = None
    untaxed_amount: Decimal | None = None
    tax_amount: Decimal | None = None
    currency: Currency = msgspec.field(name="currency.")
    invoices: tuple[Document, ...] = msgspec.field(name="invoices.", default=())
    invoices_ignored: tuple[int, ...] = ()
    shipments: tuple[Document, ...] = msgspec.field(name="shipments.", default=())
    lines: tuple[SaleLine, ...] = msgspec.field(name="lines.", default=())

    @property
    def called_off(self) -> bool:
        """Whether nothing will be delivered or invoiced any more: cancelled, or processed with all its invoices cancelled and ignored."""
        ignored = self.invoices and all(i.state == "cancelled" and i.id in self.invoices_ignored for i in self.invoices)
        return self.state == "cancelled" or bool(ignored)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address of a party and what it is used for."""

    id: int
    invoice: bool | None = None
    delivery: bool | None = None


class PartyAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """A party with its addresses."""

    id: int
    addresses: tuple[Address, ...] = msgspec.field(name="addresses.", default=())


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """A time span in a payment term; only plain days are understood."""

    id: int
    days: int | None = None
    months: int | None = None
    weeks: int | None = None
    day: int | None = None


class TermLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a payment term."""

    id: int
    type: str = ""
    relativedeltas: tuple[Delta, ...] = msgspec.field(name="relativedeltas.", default=())


class PaymentTerm(msgspec.Struct, frozen=True, kw_only=True):
    """A payment term."""

    id: int
    lines: tuple[TermLine, ...] = msgspec.field(name="lines.", default=())

    def is_net(self, days: int) -> bool:
        """Whether it says: everything, after so many days."""
        deltas = [delta for line in self.lines for delta in line.relativedeltas]
        plain = not any(delta.months or delta.weeks or delta.day for delta in deltas)
        return [line.type for line in self.lines] == ["remainder"] and plain and sum(delta.days or 0 for delta in deltas) == days


# mapping --------------------------------------------------------------------------------------------------------------


def values_of(order: Order, party: PartyAddresses, correlation_id: str, settings: TrytonSettings) -> dict[str, Any]:
    """The head of the sale. What has no field of its own stands in the comment."""
    if not party.addresses:
        raise Rejected("customer_without_address", f"party {party.id} has no address to invoice", pointer="/customer")
    remarks = {
        "Quote": f"{order.quote_id} v{order.quote_version}",
        "Purchase order": order.purchase_order,
        "Opportunity": order.opportunity_id,
    }
    return {
        "reference": order.id,
        "description": correlation_id,
        "comment": "\n".join(f"{name}: {text}" for name, text in remarks.items() if text),
        "party": party.id,
        "invoice_address": next((a.id for a in party.addresses if a.invoice), party.addresses[0].id),
        "shipment_address": next((a.id for a in party.addresses if a.delivery), party.addresses[0].id),
        "sale_date": order.ordered_on,
        "invoice_method": "order",
        "shipment_method": settings.shipment_method,
    }


def difference(command: CreateSalesOrder, sale: Sale) -> str:
    """What of the sale is not as ordered; empty where all is."""
    order, currency = command.order, sale.currency.code
    wanted = (order.id, order.currency, order.total.number, command.tax_total.number if command.tax_total else Decimal(0))
    kept = (sale.reference, currency, sale.untaxed_amount, sale.tax_amount)
    names = ("reference", "currency", "net", "tax")
    return "; ".join(f"{name} is {is_}, not {should}" for name, should, is_ in zip(names, wanted, kept, strict=True) if is_ != should)


def created(call: Call, sale: Sale) -> SalesOrderCreated:
    """The reply; the order id comes from Tryton, the total is net of tax as in the order."""
    return SalesOrderCreated(
        order_id=sale.reference or "",
        erp_ref=ExternalId(connection=call.connection, kind="sales_order", id=str(sale.id), number=sale.number or ""),
        total=Money.of(sale.untaxed_amount or Decimal(0), sale.currency.code),
    )


# operations -----------------------------------------------------------------------------------------------------------


async def create(call: Call, command: CreateSalesOrder) -> SalesOrderCreated:
    """Book the order, or finish what an interrupted attempt has begun."""
    books: Books = call.client.books(call.entity)
    sale = await _live(books, command.order.id) or await _drafted(call, books, command)
    if differs := difference(command, sale):
        if sale.state in NEXT:
            await _withdraw(books, sale.id)
            raise Rejected("read_back_differs", f"Tryton did not keep the order as sent: {differs}")
        raise Broken("read_back_differs", f"sale {sale.number or sale.id} is not the order: {differs}")
    try:
        while button := NEXT.get(sale.state):
            sale = await _advanced(books, sale, button)
    except Rejected:
        await _withdraw(books, sale.id)
        raise
    return created(call, sale)


async def find_by_key(call: Call, command: CreateSalesOrder) -> SalesOrderCreated | None:
    """Whether the order is booked. A sale that stopped on the way is not: `create` carries it on."""
    sales = await under_reference(call.client.books(call.entity), command.order.id)
    sale = next((s for s in sales if s.state in BOOKED and not s.called_off), None)
    if sale is not None and (differs := difference(command, sale)):
        raise Broken("read_back_differs", f"sale {sale.number or sale.id} is not the order: {differs}")
    return created(call, sale) if sale else None


async def under_reference(books: Books, order_id: str) -> list[Sale]:
    """The sales with our order id, oldest first."""
    return await books.rows(SALE, [["reference", "=", order_id], ["company", "=", books.company]], Sale)


async def sale_by_id(books: Books, sale_id: int) -> Sale | None:
    """The sale as it is now."""
    return next(iter(await books.rows(SALE, [["id", "=", sale_id]], Sale)), None)


async def _live(books: Books, order_id: str) -> Sale | None:
    sales = await under_reference(books, order_id)
    if sales and all(sale.called_off for sale in sales):
        raise Rejected("order_was_cancelled", f"{order_id} was booked and called off; a new booking needs a new order")
    return next((sale for sale in sales if not sale.called_off), None)


async def _drafted(call: Call, books: Books, command: CreateSalesOrder) -> Sale:
    """Draft the sale; where another attempt drafted first, delete ours and go on with that one."""
    values = await _values(call, books, command)
    ours = await books.create(SALE, values)
    domain = ["OR", ["id", "=", ours], [["reference", "=", command.order.id], ["company", "=", books.company]]]
    first, *_ = await books.rows(SALE, domain, Sale)
    if first.id != ours:
        await books.press(SALE, "delete", [ours])
    return first


async def _values(call: Call, books: Books, command: CreateSalesOrder) -> dict[str, Any]:
    order, settings = command.order, call.settings
    products = await named(books, tuple(line.item_code for line in order.lines))
    lines = lines_of(order, products, settings.unit_price_digits)
    if command.tax_total:
        lines.append(tax_line(command.tax_total, await _external_tax(books, settings.external_tax)))
    party = next(iter(await books.rows(PARTY, [["id", "=", int(command.customer.id)], EITHER], PartyAddresses)), None)
    if party is None:
        raise Rejected("customer_unknown", f"Tryton has no party {command.customer}", pointer="/customer")
    currency = await books.lookup("currency.currency", [["code", "=", order.currency]], Currency)
    if currency is None:
        raise Rejected("currency_unknown", f"Tryton has no currency {order.currency}", pointer="/order/currency")
    term = await _payment_term(books, order.customer.payment_terms_days)
    head = values_of(order, party, call.correlation_id, settings)
    return {**head, "company": books.company, "currency": currency.id, "payment_term": term.id, "lines": [["create", lines]]}


async def _external_tax(books: Books, name: str) -> FixedTax:
    tax = await books.lookup("account.tax", [["name", "=", name], ["type", "=", "fixed"], ["company", "=", books.company]], FixedTax)
    if tax is None:
        raise Misconfigured(
            "external_tax_missing", f"Tryton has no tax {name!r} of type fixed; make one with amount 0.01 on the tax account"
        )
    return tax


async def _payment_term(books: Books, days: int) -> PaymentTerm:
    terms = await books.rows("account.invoice.payment_term", [], PaymentTerm)
    term = next((t for t in terms if t.is_net(days)), None)
    if term is None:
        raise Misconfigured("payment_term_missing", f"Tryton has no payment term that says: all after {days} days")
    return term


async def _advanced(books: Books, sale: Sale, button: str) -> Sale:
    """The sale one state further. That another attempt was faster is no failure."""
    refused: Rejected | None = None
    try:
        await books.press(SALE, button, [sale.id])
    except Rejected as no:
        if no.code != NOT_IN_THIS_STATE:
            raise
        refused = no
    now = await sale_by_id(books, sale.id)
    if now is None or now.state == sale.state:
        raise refused or Broken("sale_does_not_advance", f"{button} left sale {sale.id} in state {sale.state}")
    return now


async def _withdraw(books: Books, sale_id: int) -> None:
    """Take a sale away that was refused before it was processed."""
    sale = await sale_by_id(books, sale_id)
    if sale is None or sale.state not in NEXT:
        return
    if sale.state != "draft":
        await books.press(SALE, "draft", [sale_id])
    await books.press(SALE, "delete", [sale_id])
