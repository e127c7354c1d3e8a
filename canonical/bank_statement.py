"""Bank statement: what a bank says has happened on an account, line by line."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from canonical.money import CurrencyCode, Money
from canonical.provenance import Id, Text

Direction = Literal["credit", "debit"]
Status = Literal["booked", "pending", "information"]
Remittance = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*$")]


class Counterparty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is on the other side; ``ultimate_name`` is for whom they paid, where the bank tells. Empty where it does not."""

    name: Text = ""
    account: Text = ""
    bank: Text = ""
    ultimate_name: Text = ""


class BankReferences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The references of a line. ``creditor`` holds structured creditor references (RF…, ISR, QRR), ``documents`` invoice numbers.

    ``end_to_end_id`` is given by who pays, ``customer`` by the owner of the account, ``bank`` and ``transaction_id`` by banks.
    """

    end_to_end_id: Text = ""
    customer: Text = ""
    bank: Text = ""
    creditor: tuple[Text, ...] = ()
    documents: tuple[Text, ...] = ()
    mandate_id: Text = ""
    transaction_id: Text = ""

    def every(self) -> tuple[str, ...]:
        """All references that are given, each once, those that name an invoice most directly first."""
        own = (*self.creditor, *self.documents, self.end_to_end_id, self.customer, self.mandate_id, self.transaction_id, self.bank)
        return tuple(dict.fromkeys(reference for reference in own if reference))


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The collective booking that a line belongs to: part ``position`` of ``transactions``; position 0 is the booking as a whole."""

    position: int
    transactions: int
    amount: Money
    entry_reference: Text = ""
    message_id: Text = ""
    payment_id: Text = ""


class BankLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One movement. ``direction`` says which way the money went, also on a reversal; the amount itself is never negative.

    ``id`` is made from what the bank wrote: the same file read twice gives the same ids, and two truly identical lines of one
    statement get different ones. ``booking_text`` is the bank's own word for the kind of movement. Only ``booked`` lines are cash;
    ``information`` lines never become it.
    """

    id: Id
    booking_date: dt.date | None
    value_date: dt.date | None
    amount: Money
    direction: Direction
    reversal: bool = False
    status: Status = "booked"
    counterparty: Counterparty = Counterparty()
    references: BankReferences = BankReferences()
    remittance_text: Remittance = ""
    booking_text: Text = ""
    transaction_code: Text = ""
    batch: Batch | None = None

    def __post_init__(self) -> None:
        if self.amount.number < 0:
            raise ValueError(f"the amount of a bank line is never negative: {self.amount}; its direction says which way it went")

    @property
    def signed_minor(self) -> int:
        """The movement in minor units: credits positive, debits negative."""
        return self.amount.minor if self.direction == "credit" else -self.amount.minor


class Balance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was on the account at the start or end of a day; negative is overdrawn."""

    amount: Money
    on: dt.date | None = None


class BankStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One statement of one account. ``format`` is ``mt940``, ``mt942`` or e.g. ``camt.053.001.08``; ``reference`` names the bank's message.

    ``currency`` is None only where a statement without balances and lines names none. ``complete`` is False where the bank says that
    it has more lines than are in the file. ``warnings`` are for people: the statement was read, but something about it is odd.
    """

    format: str
    account: Text
    account_owner: Text = ""
    currency: CurrencyCode | None
    reference: Text = ""
    number: Text = ""
    opening: Balance | None = None
    closing: Balance | None = None
    from_date: dt.date | None = None
    to_date: dt.date | None = None
    lines: tuple[BankLine, ...] = ()
    complete: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def balanced(self) -> bool | None:
        """Whether opening balance + booked lines = closing balance; None where balances or lines are missing to tell."""
        booked = [line for line in self.lines if line.status == "booked"]
        if self.opening is None or self.closing is None or not self.complete:
            return None
        if {self.opening.amount.currency, self.closing.amount.currency, *(line.amount.currency for line in booked)} != {self.currency}:
            return None
        return self.opening.amount.minor + sum(line.signed_minor for line in booked) == self.closing.amount.minor

    def turnover(self, direction: Direction) -> tuple[Money, ...]:
        """The sum of all lines in one direction, one amount a currency. Raises `ValueError` beyond 18 digits."""
        sums: dict[str, int] = {}
        for line in self.lines:
            if line.direction == direction:
                sums[line.amount.currency] = sums.get(line.amount.currency, 0) + line.amount.minor
        return tuple(Money.of_minor(units, currency) for currency, units in sums.items())
