"""Tax: estimated for a quote, committed for an order, voided when the order is undone."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from canonical.customer import Address, Customer
from canonical.messages import Command, Event
from canonical.money import AmountText, CurrencyCode, Money, Quantity
from canonical.order import Order, OrderLine
from canonical.provenance import Country, ExternalId, Id, Name, Text
from canonical.quote import Quote, QuoteLine


class TaxableLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line as a tax engine wants it: net amount before tax."""

    number: int
    item_code: Id
    tax_code: Text = ""
    quantity: Quantity
    amount: Money


class TaxDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be taxed. ``code`` is our document code: the same code is the same document."""

    code: Id
    entity: Id
    customer: Customer
    currency: CurrencyCode
    date: dt.date
    ship_to: Address | None = None
    lines: tuple[TaxableLine, ...]

    @classmethod
    def of(cls, sold: Quote | Order, code: str, date: dt.date) -> "TaxDocument":
        """The document that asks for the tax on a quote or an order, delivered to where the customer is."""
        sold_lines: Sequence[QuoteLine | OrderLine] = sold.lines
        return cls(
            code=code,
            entity=sold.entity,
            customer=sold.customer,
            currency=sold.currency,
            date=date,
            ship_to=sold.customer.ship_to or sold.customer.bill_to,
            lines=tuple(
                TaxableLine(
                    number=line.number, item_code=line.item_code, tax_code=line.tax_code, quantity=line.quantity, amount=line.net_total
                )
                for line in sold_lines
            ),
        )


class TaxLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tax on one line."""

    number: int
    tax: Money


class TaxEstimated(Event, frozen=True, kw_only=True):
    """An estimate; nothing was recorded."""

    total: Money
    lines: tuple[TaxLine, ...] = ()


class EstimateTax(Command[TaxEstimated], frozen=True, kw_only=True):
    """Calculate tax without recording it."""

    port = "tax"
    document: TaxDocument


class TaxCommitted(Event, frozen=True, kw_only=True):
    """The tax engine has recorded the document."""

    code: Id
    total: Money
    lines: tuple[TaxLine, ...] = ()
    tax_ref: ExternalId


class CommitTax(Command[TaxCommitted], frozen=True, kw_only=True):
    """Record the document in the tax engine; the same code again is the same document."""

    port = "tax"
    document: TaxDocument


class TaxVoided(Event, frozen=True, kw_only=True):
    """The document does not count any more."""

    code: Id


class VoidTax(Command[TaxVoided], frozen=True, kw_only=True):
    """Void a recorded document; one that is already void is a success."""

    port = "tax"
    code: Id
    entity: Id


class TaxRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax rate of the ERP; ``percent`` as text, e.g. "19" or "8.875"."""

    code: Name
    name: Name
    percent: AmountText
    country: Country | None = None
    active: bool = True
    external_id: ExternalId

    @property
    def number(self) -> Decimal:
        return Decimal(self.percent)


class TaxRatesFound(Event, frozen=True, kw_only=True):
    """The tax rates that the ERP holds."""

    rates: tuple[TaxRate, ...]


class FindTaxRates(Command[TaxRatesFound], frozen=True, kw_only=True):
    """Read the tax rates of the ERP."""

    port = "erp"
    active_only: bool = True
