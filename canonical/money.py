"""Money: a decimal amount and its ISO 4217 currency, checked against the minor unit. No float, ever.

Amounts travel and are stored as text, because JSON numbers become floats in half of the world's parsers and msgspec's own
Decimal accepts NaN, Infinity, 1e999999 and non-ASCII digits. The constructors below refuse all of those; arithmetic goes through
`Money`'s operators, which refuse to mix currencies.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from typing import Annotated

import msgspec

from canonical.currencies import DECIMALS

AMOUNT_PATTERN = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,6})?$"
_AMOUNT = re.compile(AMOUNT_PATTERN)

AmountText = Annotated[str, msgspec.Meta(max_length=26, description="decimal number as text: up to 18 digits before the point, 6 after")]
CurrencyCode = Annotated[str, msgspec.Meta(min_length=3, max_length=3, description="ISO 4217 code")]


def decimal_of(text: str) -> Decimal:
    """The number behind a piece of text. Raises `ValueError` for anything but plain ASCII digits with a sign and a point."""
    if not _AMOUNT.match(text) or text.endswith("\n"):
        raise ValueError(f"{text[:30]!r} is not a decimal number: use digits and a point, such as '1250.00'")
    return Decimal(text)


def plain(number: Decimal) -> str:
    """A decimal as canonical text: no exponent, no trailing zeros, no negative zero."""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def decimals(currency: str) -> int:
    """How many decimals the minor unit of a currency has. Raises `ValueError` for an unknown code."""
    try:
        return DECIMALS[currency]
    except KeyError:
        raise ValueError(f"{currency[:8]!r} is not an ISO 4217 currency") from None


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in one currency, e.g. ``{"amount": "1250.00", "currency": "EUR"}``.

    The amount is normalised to the currency's minor unit ("5" EUR becomes "5.00"); more decimals than that are refused.
    """

    amount: AmountText
    currency: CurrencyCode

    def __post_init__(self) -> None:
        number, places = decimal_of(self.amount), decimals(self.currency)
        exponent = Decimal(1).scaleb(-places)
        with localcontext() as context:
            context.prec = 40
            exact = number.quantize(exponent)
            if exact != number:
                raise ValueError(f"{self.currency} has {places} decimals; {self.amount} has more")
        msgspec.structs.force_setattr(self, "amount", f"{exact or abs(exact):f}")

    @classmethod
    def of(cls, number: Decimal | int | str, currency: str) -> "Money":
        """Money from an exact number; raises `ValueError` where the number has more decimals than the currency."""
        return cls(plain(Decimal(number)), currency)

    @classmethod
    def rounded(cls, number: Decimal, currency: str, rounding: str = ROUND_HALF_UP) -> "Money":
        """Money rounded to the minor unit: commercial rounding, half away from zero, unless told otherwise."""
        with localcontext() as context:
            context.prec = 40
            return cls(plain(number.quantize(Decimal(1).scaleb(-decimals(currency)), rounding=rounding)), currency)

    @classmethod
    def zero(cls, currency: str) -> "Money":
        return cls("0", currency)

    @classmethod
    def of_minor(cls, units: int, currency: str) -> "Money":
        """Money from a count of minor units: 1999 EUR cents, 500 JPY."""
        return cls(plain(Decimal(units).scaleb(-decimals(currency))), currency)

    @classmethod
    def total(cls, amounts: Iterable["Money"], currency: str) -> "Money":
        """The sum; an empty one is zero of `currency`. Raises `ValueError` on another currency among them."""
        result = cls.zero(currency)
        for amount in amounts:
            result = result + amount
        return result

    @property
    def number(self) -> Decimal:
        return Decimal(self.amount)

    @property
    def minor(self) -> int:
        """The amount as a whole number of minor units."""
        return int(self.number.scaleb(decimals(self.currency)))

    def __add__(self, other: "Money") -> "Money":
        return Money.of(self.number + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money.of(self.number - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money.of(-self.number, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.number < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.number <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.number > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.number >= self._same(other)

    def __bool__(self) -> bool:
        return bool(self.number)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def _same(self, other: "Money") -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other.number

    def allocate(self, weights: Sequence[Decimal | int]) -> list["Money"]:
        """Split into parts by weight so that the parts sum to the whole: largest remainder, earlier parts first on a tie."""
        total = sum(Decimal(w) for w in weights)
        if not weights or total <= 0 or any(Decimal(w) < 0 for w in weights):
            raise ValueError("weights must be non-negative and not all zero")
        units = self.minor
        sign, units = (-1, -units) if units < 0 else (1, units)
        shares = [Decimal(units) * Decimal(w) / total for w in weights]
        parts = [int(share) for share in shares]
        by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - shares[i], i))
        for index in by_remainder[: units - sum(parts)]:
            parts[index] += 1
        return [Money.of_minor(sign * part, self.currency) for part in parts]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price per unit; may be finer than the minor unit (0.0035 USD for one call), up to six decimals."""

    amount: AmountText
    currency: CurrencyCode

    def __post_init__(self) -> None:
        decimals(self.currency)
        msgspec.structs.force_setattr(self, "amount", plain(decimal_of(self.amount)))

    @property
    def number(self) -> Decimal:
        return Decimal(self.amount)

    def times(self, quantity: Decimal, discount_percent: Decimal = Decimal(0)) -> Money:
        """Price × quantity less a discount in percent, rounded once, half up."""
        return Money.rounded(self.number * quantity * (100 - discount_percent) / 100, self.currency)

    def __str__(self) -> str:
        places = max(len(self.amount.partition(".")[2]), decimals(self.currency))
        return f"{self.number:.{places}f} {self.currency}"


class Quantity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quantity with its unit of measure, e.g. ``{"amount": "10", "unit": "seat"}``; never negative."""

    amount: AmountText
    unit: str = "each"

    def __post_init__(self) -> None:
        number = decimal_of(self.amount)
        if number < 0:
            raise ValueError(f"a quantity cannot be negative: {self.amount}")
        msgspec.structs.force_setattr(self, "amount", plain(number))

    @property
    def number(self) -> Decimal:
        return Decimal(self.amount)


class Percent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A percentage between 0 and 100, as text: ``{"percent": "12.5"}``."""

    percent: AmountText = "0"

    def __post_init__(self) -> None:
        number = decimal_of(self.percent)
        if not 0 <= number <= 100:
            raise ValueError(f"a percentage lies between 0 and 100, not at {self.percent}")
        msgspec.structs.force_setattr(self, "percent", plain(number))

    @property
    def number(self) -> Decimal:
        return Decimal(self.percent)


__all__ = ["DECIMALS", "ROUND_HALF_EVEN", "Money", "Percent", "Price", "Quantity", "decimal_of", "decimals", "plain"]
