"""When a person has to approve: by amount, by discount, by margin; and that rules are settings that are checked."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canonical.money import Money, Percent
from canonical.quote import Quote
from process_apis.quote_approval.rules import RULES, Rules, margin_percent, reasons
from tests.process_apis.deals import line, quote

CASES: list[tuple[str, Quote, tuple[str, ...]]] = [
    ("small", quote(), ()),
    ("at the limit", quote(line(1, "1", "50000")), ()),
    ("above the limit", quote(line(1, "1", "50000.01")), ("total 50000.01 USD is above 50000 USD",)),
    (
        "a currency without a limit",
        quote(line(1, "1", "1", currency="SEK"), currency="SEK"),
        ("quotes in SEK are always approved by a person",),
    ),
    ("a discount at the limit", quote(line(1, discount="15")), ()),
    ("a discount above it", quote(line(1), line(2, discount="15.5")), ("discount of 15.5 % on line 2 is above 15 %",)),
    ("a margin at the limit", quote(line(1, "1", "100", cost="60")), ()),
    ("a margin below it", quote(line(1, "1", "100", cost="60.01")), ("margin of 40.0 % is below 40 %",)),
    ("a loss", quote(line(1, "1", "100", cost="150")), ("margin of -50.0 % is below 40 %",)),
    (
        "all of it",
        quote(line(1, "1000", "100", discount="50", cost="45")),
        ("discount of 50 % on line 1 is above 15 %", "margin of 10.0 % is below 40 %"),
    ),
]


@pytest.mark.parametrize(("text", "version", "expected"), CASES, ids=[row[0] for row in CASES])
def test_reasons(text: str, version: Quote, expected: tuple[str, ...]) -> None:
    """A quote is approved by rule exactly where none of the three limits is passed; the reasons say which were."""
    assert reasons(version, RULES) == expected


def test_rules_are_settings() -> None:
    """Another installation has other limits."""
    rules = Rules(amount_max={"USD": "100"}, discount_max=Percent("0"), margin_min=Percent("0"))
    assert reasons(quote(line(1, "1", "100.01", discount="1", net_total=Money("100.01", "USD"))), rules) == (
        "total 100.01 USD is above 100 USD",
        "discount of 1 % on line 1 is above 0 %",
    )


@pytest.mark.parametrize("limits", [{"USD": "a lot"}, {"USD": "1e9"}, {"USD": "NaN"}, {"XXQ": "1"}, {"USD": "1.005"}])
def test_limits_that_are_no_amounts_are_refused(limits: dict[str, str]) -> None:
    """A limit that is not an amount of its currency is refused when the settings are read, not when the first quote comes."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"amount_max": limits}, Rules)


def test_the_margin_counts_only_lines_with_a_known_cost() -> None:
    """Lines without a cost, or with one in another currency, neither help nor hurt."""
    free = quote(line(1, "1", "100"))
    assert margin_percent(free) is None
    assert margin_percent(quote(line(1, "1", "100", cost="25"), line(2, "1", "900"))) == Decimal(75)
    foreign = msgspec.structs.replace(line(1, "1", "100"), unit_cost=line(1, currency="EUR", cost="1").unit_cost)
    assert margin_percent(quote(foreign)) is None


def test_a_gift_has_no_margin() -> None:
    """Where nothing is charged there is no margin to speak of."""
    assert margin_percent(quote(line(1, "1", "100", discount="100", cost="10"))) is None


@given(st.integers(1, 10**7), st.integers(0, 10**7))
def test_a_deeper_discount_never_makes_approval_unnecessary(cents: int, cost: int) -> None:
    """Whatever amount and cost: a quote that needs approval still needs it with a deeper discount, as long as the total stays the same."""
    price, unit_cost = str(Money.of_minor(cents, "USD").amount), str(Money.of_minor(cost, "USD").amount)
    mild = quote(line(1, "1", price, cost=unit_cost))
    total = mild.total
    deep = quote(line(1, "1", price, discount="20", cost=unit_cost, net_total=total))
    assert len(reasons(deep, RULES)) == len(reasons(mild, RULES)) + 1
