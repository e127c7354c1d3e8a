"""Payments in Tryton: each allocation goes through the wizard that pays an invoice, the rest onto the customer's account.

Every accounting entry of a payment begins its description with our payment id; that is how an attempt sees what an earlier one has
entered, and goes on with what is missing. What no invoice takes (an over-payment, or money whose payer nobody knows) is entered as a
credit on the party's receivable: Tryton offers it there for the next invoice. Money without any allocation goes to the party named like
the payer, else to the party for unidentified payers, which is made when it is first needed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from canonical.failures import Broken, Failure, Rejected
from canonical.money import Money
from canonical.payment import Allocation, ApplyPayment, Payment, PaymentApplied
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.tryton.accounts import Method, enter_on_account, payment_method
from system_apis.tryton.client import Books
from system_apis.tryton.customers import Currency
from system_apis.tryton.invoices import INVOICE

MOVE = "account.move"
PAY = "account.invoice.pay"
MARK = "/"

# wire shapes ----------------------------------------------------------------------------------------------------------


class MoveLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an entry; ``amount_second_currency`` is set where the entry is not in the company's currency."""

    id: int
    debit: Decimal = Decimal(0)
    amount_second_currency: Decimal | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """An accounting entry; ``origin`` names the invoice that it pays."""

    id: int
    number: str | None = None
    state: str = ""
    description: str | None = None
    origin: str | None = None
    lines: tuple[MoveLine, ...] = msgspec.field(name="lines.", default=())

    @property
    def received(self) -> Decimal:
        """The money that came in, in the currency of the payment."""
        foreign = [line.amount_second_currency for line in self.lines if line.amount_second_currency and line.debit]
        return sum(foreign or [line.debit for line in self.lines], Decimal(0))


class OpenInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as far as paying it goes."""

    id: int
    number: str | None = None
    state: str = ""
    amount_to_pay: Decimal = Decimal(0)
    party: int
    account: int
    currency: Currency = msgspec.field(name="currency.")


# mapping --------------------------------------------------------------------------------------------------------------


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the books of one payment: by invoice, and on account; drafts are entries that were not posted yet."""

    by_invoice: Mapping[int, Decimal]
    on_account: Decimal
    moves: tuple[Move, ...]

    @property
    def drafts(self) -> list[int]:
        return [move.id for move in self.moves if move.state == "draft"]


def entered_of(moves: list[Move], payment_id: str) -> Entered:
    """Sort the entries of a payment. Only those count whose description begins with exactly its id."""
    ours = tuple(move for move in moves if (move.description or "").split(" ")[0] == payment_id)
    by_invoice: dict[int, Decimal] = {}
    for move in ours:
        model, _, record_id = (move.origin or "").partition(",")
        if model == INVOICE and record_id.isdecimal():
            by_invoice[int(record_id)] = by_invoice.get(int(record_id), Decimal(0)) + move.received
    on_account = sum((move.received for move in ours if not (move.origin or "").startswith(INVOICE)), Decimal(0))
    return Entered(by_invoice=by_invoice, on_account=on_account, moves=ours)


def description_of(payment: Payment, correlation_id: str) -> str:
    """Our payment id, a mark that ends it, the correlation id, and what Tryton has no field for; in one line, as Tryton wants it."""
    fee = f"fee {payment.fee}" if payment.fee else ""
    told = " ".join((payment.id, MARK, correlation_id, fee, payment.payer, *payment.references))
    return " ".join(told.split())[:250]


def rest_of(command: ApplyPayment) -> Money:
    """What no invoice takes. Raises `Rejected` where the allocations take more than there is, or another currency."""
    payment = command.payment
    for index, allocation in enumerate(command.allocations):
        if allocation.amount.currency != payment.amount.currency:
            raise Rejected("currency_mismatch", f"{allocation.amount} of {payment.amount}", pointer=f"/allocations/{index}/amount")
        if allocation.amount.number <= 0:
            raise Rejected("allocation_not_positive", str(allocation.amount), pointer=f"/allocations/{index}/amount")
    rest = payment.amount - Money.total((a.amount for a in command.allocations), payment.amount.currency)
    if rest.number < 0:
        raise Rejected("over_allocated", f"the allocations exceed the payment by {-rest}", pointer="/allocations")
    if len({a.invoice.id for a in command.allocations}) != len(command.allocations):
        raise Rejected("invoice_twice", "one invoice is named in two allocations", pointer="/allocations")
    return rest


def refuse(allocation: Allocation, invoice: OpenInvoice | None, index: int) -> None:
    """Raise `Rejected` where the invoice cannot take what it is to get."""
    pointer = f"/allocations/{index}"
    if invoice is None:
        raise Rejected("invoice_unknown", f"Tryton has no invoice {allocation.invoice}", pointer=f"{pointer}/invoice")
    if invoice.currency.code != allocation.amount.currency:
        raise Rejected("currency_mismatch", f"{invoice.number} is in {invoice.currency.code}", pointer=f"{pointer}/amount")
    if invoice.state != "posted":
        raise Rejected("invoice_not_open", f"{invoice.number or invoice.id} is {invoice.state}", pointer=f"{pointer}/invoice")
    if allocation.amount.number > invoice.amount_to_pay:
        detail = f"{allocation.amount} for {invoice.number}, of which {invoice.amount_to_pay} is open"
        raise Rejected("more_than_open", detail, pointer=f"{pointer}/amount")


def applied(call: Call, command: ApplyPayment, entered: Entered) -> PaymentApplied:
    """The reply, once all that was asked for stands in the books. Raises `Broken` where something else stands there."""
    rest = rest_of(command)
    wanted = {int(a.invoice.id): a.amount.number for a in command.allocations}
    if dict(entered.by_invoice) != wanted or entered.on_account != rest.number:
        raise Broken("read_back_differs", f"the books hold {dict(entered.by_invoice)} and {entered.on_account} on account, not as asked")
    first = entered.moves[0]
    reference = ExternalId(connection=call.connection, kind="payment", id=str(first.id), number=first.number or "")
    return PaymentApplied(payment_id=command.payment.id, erp_ref=reference, allocations=command.allocations, unapplied=rest)


# operations -----------------------------------------------------------------------------------------------------------


async def apply(call: Call, command: ApplyPayment) -> PaymentApplied:
    """Enter the payment, or what an interrupted attempt has left out. All is checked before the first entry is made."""
    books: Books = call.client.books(call.entity)
    rest = rest_of(command)
    entered = await _entered(books, command.payment.id)
    invoices = await _invoices(books, command)
    missing = [a for a in command.allocations if int(a.invoice.id) not in entered.by_invoice]
    for index, allocation in enumerate(command.allocations):
        if allocation in missing:
            refuse(allocation, invoices.get(int(allocation.invoice.id)), index)
    method = await payment_method(books, call.settings.payment_method)
    for allocation in missing:
        await _pay(call, books, command.payment, allocation, invoices[int(allocation.invoice.id)], method)
    if entered.drafts:
        await books.press(MOVE, "post", entered.drafts)
    if rest and not entered.on_account:
        holder = next(((i.party, i.account) for i in invoices.values()), None)
        await enter_on_account(call, books, command.payment, rest, holder, method, description_of(command.payment, call.correlation_id))
    return applied(call, command, await _entered(books, command.payment.id))


async def find_by_key(call: Call, command: ApplyPayment) -> PaymentApplied | None:
    """Whether the whole payment stands in the books. Half of one is a no: `apply` then enters the rest."""
    entered = await _entered(call.client.books(call.entity), command.payment.id)
    missing = {int(a.invoice.id) for a in command.allocations} - set(entered.by_invoice)
    incomplete = missing or entered.drafts or (rest_of(command) and not entered.on_account) or not entered.moves
    return None if incomplete else applied(call, command, entered)


async def _entered(books: Books, payment_id: str) -> Entered:
    domain = [["description", "like", f"{payment_id} {MARK}%"], ["company", "=", books.company]]
    return entered_of(await books.rows(MOVE, domain, Move), payment_id)


async def _invoices(books: Books, command: ApplyPayment) -> dict[int, OpenInvoice]:
    ids = [int(a.invoice.id) for a in command.allocations]
    found = await books.rows(INVOICE, [["id", "in", ids], ["company", "=", books.company]], OpenInvoice) if ids else []
    return {invoice.id: invoice for invoice in found}


async def _pay(call: Call, books: Books, payment: Payment, allocation: Allocation, invoice: OpenInvoice, method: Method) -> None:
    """Go through the wizard: it asks back only when the amount does not pay the invoice in full, and then we mean a partial payment."""
    on = (INVOICE, invoice.id)
    session, *_ = await books.wizard(PAY, "create", [], on=on, writes=False)
    start = {
        "payee": invoice.party,
        "amount": allocation.amount.number,
        "currency": invoice.currency.id,
        "company": books.company,
        "invoice_account": invoice.account,
        "payment_method": method.id,
        "date": payment.received_on,
        "description": description_of(payment, call.correlation_id),
    }
    try:
        asked_back = await books.wizard(PAY, "execute", [session, {"start": start}, "choice"], on=on, writes=True)
        if view := (asked_back or {}).get("view"):
            ask = {name: value for name, value in view.get("defaults", {}).items() if not name.endswith(".")}
            await books.wizard(PAY, "execute", [session, {"ask": {**ask, "type": "partial"}}, "pay"], on=on, writes=True)
    except Rejected:
        await _close(books, session, on)
        raise
    await _close(books, session, on)


async def _close(books: Books, session: Any, on: tuple[str, int]) -> None:
    """Close the wizard. One that stays open disturbs nobody: what counts is how the payment itself went."""
    try:
        await books.wizard(PAY, "delete", [session], on=on, writes=False)
    except Failure:
        return
