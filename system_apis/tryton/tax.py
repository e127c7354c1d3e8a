"""Tax rates of the ERP: the percentage taxes of the company's chart."""

from decimal import Decimal

import msgspec

from canonical.money import plain
from canonical.provenance import ExternalId
from canonical.tax import FindTaxRates, TaxRate, TaxRatesFound
from system_apis.connector import Call
from system_apis.tryton.client import EITHER

# wire shapes ----------------------------------------------------------------------------------------------------------


class Tax(msgspec.Struct, frozen=True, kw_only=True):
    """A tax. ``rate`` is a fraction: 0.19 is nineteen per cent."""

    id: int
    name: str
    description: str | None = None
    rate: Decimal | None = None
    active: bool = True


# mapping --------------------------------------------------------------------------------------------------------------


def rate_of(tax: Tax, connection: str) -> TaxRate:
    """A tax as a rate in per cent. Tryton's taxes carry no country."""
    return TaxRate(
        code=tax.description or tax.name,
        name=tax.name,
        percent=plain((tax.rate or Decimal(0)) * 100),
        active=tax.active,
        external_id=ExternalId(connection=connection, kind="tax", id=str(tax.id), number=tax.name),
    )


# operations -----------------------------------------------------------------------------------------------------------


async def find_rates(call: Call, command: FindTaxRates) -> TaxRatesFound:
    """Read the percentage taxes; groups and fixed amounts have no rate."""
    books = call.client.books(call.entity)
    domain = [["type", "=", "percentage"], ["company", "=", books.company], *([] if command.active_only else [EITHER])]
    return TaxRatesFound(rates=tuple(rate_of(tax, call.connection) for tax in await books.rows("account.tax", domain, Tax)))
