"""Stripe counts in the smallest unit of a currency, and its idea of that unit is not always ISO 4217's."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

from canonical.failures import Broken
from canonical.money import Money, decimals, plain

# Stripe keeps two decimals for ISK and UGX for the sake of old integrations, and none for MGA; everything else is as ISO 4217 has it.
PLACES = {"ISK": 2, "UGX": 2, "MGA": 0}
UNIT_DECIMALS_MAX = 12


def places(currency: str) -> int:
    """How many decimals Stripe's smallest unit of a currency stands for; `ValueError` for an unknown code."""
    return PLACES.get(currency, decimals(currency))


def unit_amount(price: Decimal, currency: str) -> str:
    """A price per unit in smallest units, at most twelve decimals: 0.035 USD is ``3.5``, 500 JPY is ``500``."""
    with localcontext() as context:
        context.prec = 50
        return plain(price.scaleb(places(currency)).quantize(Decimal(1).scaleb(-UNIT_DECIMALS_MAX), rounding=ROUND_HALF_UP))


def minor(amount: Money) -> int:
    """An amount in Stripe's smallest units."""
    return int(amount.number.scaleb(places(amount.currency)))


def money(units: int, currency: str) -> Money:
    """The amount behind a count of smallest units. Raises `Broken` for what is no amount of that currency."""
    code = currency.upper()
    try:
        return Money.of(Decimal(units).scaleb(-places(code)), code)
    except ValueError as error:
        raise Broken("unreadable_amount", f"{units} {currency[:8]}: {error}") from error
