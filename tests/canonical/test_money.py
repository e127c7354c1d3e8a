"""Money: exact in every currency's minor units, and nothing else is money."""

from decimal import Decimal

import msgspec
import pytest

from canonical.money import Money


@pytest.mark.parametrize(("currency", "amount", "minor"), [("JPY", "1000", 1000), ("KWD", "1.234", 1234), ("EUR", "10.05", 1005)])
def test_each_currency_has_its_own_minor_unit(currency: str, amount: str, minor: int) -> None:
    """Yen have no decimals, dinars three, euros two; there and back is the same (M3)."""
    money = Money(amount, currency)
    assert (money.minor, Money.of_minor(minor, currency)) == (minor, money)


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "100"), ("KWD", "0.100"), ("EUR", "100.00"), ("EUR", "0.01")])
@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 2, 4], [0, 1, 1], [Decimal("0.1"), Decimal("0.2"), Decimal("0.7")]])
def test_parts_make_the_whole(currency: str, amount: str, weights: list[Decimal | int]) -> None:
    """However an amount is divided, its parts add up to it, to the last minor unit (M3, I4)."""
    whole = Money(amount, currency)
    parts = whole.allocate(weights)
    assert len(parts) == len(weights)
    assert Money.total(parts, currency) == whole
    assert all(part.currency == currency for part in parts)


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "sNaN", "1e999999", "1E5", "1_000", "١٢", " 1.00", "1.00 ", "", "0.001", "１.00"]
)
def test_what_is_no_amount_is_no_money(amount: str) -> None:
    """Not a number, exponents, other digits, blanks and more decimals than the currency has are refused, made or read (M13)."""
    with pytest.raises((ValueError, ArithmeticError)):
        Money(amount, "EUR")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({"amount": amount, "currency": "EUR"}), type=Money)


def test_currencies_do_not_mix() -> None:
    """Euros and dollars are neither added nor compared (M2)."""
    euro, dollar = Money("1.00", "EUR"), Money("1.00", "USD")
    with pytest.raises(ValueError, match="do not mix"):
        euro + dollar
    with pytest.raises(ValueError, match="do not mix"):
        euro < dollar  # noqa: B015 - likewise
