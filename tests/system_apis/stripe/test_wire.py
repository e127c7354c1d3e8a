from decimal import Decimal

import pytest

from canonical.failures import Broken
from canonical.money import Money
from system_apis.stripe.amounts import minor, money, unit_amount
from system_apis.stripe.simulator_wire import nested
from system_apis.stripe.wire import form, id_of


def test_nested_values_are_bracketed() -> None:
    """Lists, records and booleans are written as Stripe reads them; what is None is not written."""
    values = {
        "items": [{"price": "price_1", "quantity": 2}, {"price": "price_2"}],
        "prorate": False,
        "trial_end": None,
        "metadata": {"a b": "ü"},
    }
    assert form(values) == {
        "items[0][price]": "price_1",
        "items[0][quantity]": "2",
        "items[1][price]": "price_2",
        "prorate": "false",
        "metadata[a b]": "ü",
    }
    assert nested(form(values).items())["items"] == [{"price": "price_1", "quantity": "2"}, {"price": "price_2"}]


def test_a_float_is_refused() -> None:
    """No amount is ever written as a float."""
    with pytest.raises(TypeError):
        form({"amount": 1.5})


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("19.99", "EUR", 1999),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("5", "ISK", 500),
        ("5", "UGX", 500),
        ("7.00", "MGA", 7),
        ("0", "USD", 0),
    ],
)
def test_amounts_are_counted_in_stripes_own_smallest_unit(amount: str, currency: str, units: int) -> None:
    """Zero-decimal currencies are whole, and ISK, UGX and MGA are as Stripe has them, not as ISO 4217."""
    assert minor(Money(amount, currency)) == units
    assert money(units, currency.lower()) == Money(amount, currency)


@pytest.mark.parametrize(
    ("price", "currency", "units"),
    [("0.035", "USD", "3.5"), ("45.00", "USD", "4500"), ("500", "JPY", "500"), ("0.0000001234567891", "EUR", "0.000012345679")],
)
def test_prices_may_be_finer_than_the_smallest_unit(price: str, currency: str, units: str) -> None:
    """A price per call is a fraction of a cent, at most twelve decimals of it."""
    assert unit_amount(Decimal(price), currency) == units


@pytest.mark.parametrize(("units", "currency"), [(100, "xxx"), (100, ""), (550, "isk"), (10**30, "usd")])
def test_what_is_no_amount_is_broken(units: int, currency: str) -> None:
    """An unknown currency or a fraction that the currency does not have is not guessed at."""
    with pytest.raises(Broken, match="unreadable_amount"):
        money(units, currency)


def test_a_reference_is_read_whether_expanded_or_not() -> None:
    """An id, a whole record, or nothing."""
    assert (id_of("cus_1"), id_of({"id": "cus_1", "name": "Acme"}), id_of(None)) == ("cus_1", "cus_1", "")
