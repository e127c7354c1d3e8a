"""What each check of a quote asks, and every finding that it can have."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from canonical.customer import CheckCredit, CreditChecked, CustomerFound
from canonical.failures import Failure, Misconfigured, OutcomeUnknown, Rejected, Unavailable
from canonical.item import Item, ItemsFound, PriceBookEntry, PricesFound
from canonical.money import Money, Price, Quantity
from canonical.order import Order
from canonical.quote import Finding, Quote, QuoteValidated, ValidateQuote
from canonical.tax import TaxEstimated
from process_apis.quote_validation import checks as c
from process_apis.quote_validation.inquiry import QUOTE_VALIDATION
from tests.process_apis.deals import ACME, DAY, changed, line, quote


def asked(version: Quote, as_of: dt.date | None = DAY) -> ValidateQuote:
    return ValidateQuote(quote=version, as_of=as_of)


def codes(findings: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    return [(f.code, f.severity, f.pointer) for f in findings]


def usd(amount: str) -> Money:
    return Money(amount, "USD")


GOOD = quote()
BAD_TOTALS: list[tuple[str, Quote, list[tuple[str, str, str]]]] = [
    ("all is well", GOOD, []),
    ("a line's total", quote(line(1, net_total=usd("449.99"))), [("line_total_wrong", "error", "/quote/lines/0/net_total")]),
    (
        "the discount left out",
        quote(line(1, discount="10", net_total=usd("450.00"))),
        [("line_total_wrong", "error", "/quote/lines/0/net_total")],
    ),
    ("the total", changed(GOOD, total=usd("1.00")), [("total_wrong", "error", "/quote/total")]),
    ("the total's currency", changed(GOOD, total=Money("2430.00", "EUR")), [("currency_mismatch", "error", "/quote/total")]),
    ("a line's currency", quote(line(1, currency="EUR"), total=usd("450.00")), [("currency_mismatch", "error", "/quote/lines/0")]),
    ("a number twice", quote(line(1), line(1)), [("line_number_repeated", "error", "/quote/lines")]),
    (
        "everything",
        quote(line(1, net_total=usd("1.00")), line(1, currency="EUR"), total=Money("1.00", "EUR")),
        [
            ("line_total_wrong", "error", "/quote/lines/0/net_total"),
            ("currency_mismatch", "error", "/quote/lines/1"),
            ("currency_mismatch", "error", "/quote/total"),
            ("line_number_repeated", "error", "/quote/lines"),
        ],
    ),
]


@pytest.mark.parametrize(("text", "version", "expected"), BAD_TOTALS, ids=[row[0] for row in BAD_TOTALS])
def test_totals(text: str, version: Quote, expected: list[tuple[str, str, str]]) -> None:
    """Line totals follow from quantity, price and discount, the total from the lines, in one currency, and each line has its number."""
    assert codes(c.totals(asked(version)).findings) == expected


@pytest.mark.parametrize(
    ("quantity", "price", "discount", "total"),
    [("3", "0.035", "0", "0.11"), ("1", "0.005", "0", "0.01"), ("1", "0.004", "0", "0.00"), ("7", "19.99", "12.5", "122.44")],
)
def test_a_line_is_rounded_once_and_half_up(quantity: str, price: str, discount: str, total: str) -> None:
    """Price times quantity less discount is rounded at the end, commercially."""
    version = quote(line(1, quantity, price, discount=discount, net_total=usd(total)))
    assert c.totals(asked(version)).findings == ()


@pytest.mark.parametrize(("discount", "expected"), [("60", []), ("60.01", [("discount_too_deep", "error", "/quote/lines/0/discount")])])
def test_discounts(discount: str, expected: list[tuple[str, str, str]]) -> None:
    """A discount of sixty percent is the deepest that can be given at all."""
    assert codes(c.discounts(asked(quote(line(1, discount=discount)))).findings) == expected


@pytest.mark.parametrize(
    ("fields", "as_of", "expected"),
    [
        ({}, DAY, []),
        ({"expires_on": DAY}, DAY, []),
        ({"expires_on": DAY}, DAY + dt.timedelta(days=1), [("quote_expired", "error", "/quote/expires_on")]),
        ({"expires_on": DAY - dt.timedelta(days=1)}, DAY, [("expiry_before_issue", "error", "/quote/expires_on")]),
        ({"issued_on": dt.date(2000, 1, 1), "expires_on": dt.date(2000, 1, 2)}, None, [("quote_expired", "error", "/quote/expires_on")]),
        ({"expires_on": dt.date(9999, 12, 31)}, None, []),
    ],
)
def test_expiry(fields: dict[str, Any], as_of: dt.date | None, expected: list[tuple[str, str, str]]) -> None:
    """A quote holds on its last day, and on no day after it; without a day given, today is meant."""
    assert codes(c.expiry(asked(quote(**fields), as_of)).findings) == expected


def test_terms() -> None:
    """A recurring line needs a term, and no other line does."""
    version = quote(line(1, term=None), line(2, charge_type="one_time"), line(3))
    assert codes(c.terms(asked(version)).findings) == [("term_missing", "error", "/quote/lines/0/term")]


def entry(code: str = "SUB-TEAM", price: str = "45", currency: str = "USD", **fields: Any) -> PriceBookEntry:
    return PriceBookEntry(price_book="standard", item_code=code, unit_price=Price(price, currency), **fields)


def test_prices_are_asked_for_each_item_once() -> None:
    """The price book of the quote is asked, in its currency, for every item code once."""
    question = c.prices(asked(quote(line(1), line(2), line(3, item_code="HW-GW"), price_book="partner")))
    assert (question.price_book, question.currency, question.item_codes) == ("partner", "USD", ("SUB-TEAM", "HW-GW"))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((entry(),), []),
        ((entry(price="45.00"),), []),
        ((), [("price_missing", "error", "/quote/lines/0/item_code")]),
        ((entry("OTHER"),), [("price_missing", "error", "/quote/lines/0/item_code")]),
        ((entry(active=False),), [("price_inactive", "error", "/quote/lines/0/item_code")]),
        ((entry(price="44"),), [("price_differs", "error", "/quote/lines/0/unit_price")]),
        ((entry(currency="EUR"),), [("price_differs", "error", "/quote/lines/0/unit_price")]),
        ((entry(price="44", effective_to=DAY - dt.timedelta(days=1)), entry(effective_from=DAY)), []),
        ((entry(effective_from=DAY + dt.timedelta(days=1)),), [("price_missing", "error", "/quote/lines/0/item_code")]),
    ],
)
def test_prices(entries: tuple[PriceBookEntry, ...], expected: list[tuple[str, str, str]]) -> None:
    """The unit price is the active list price of the day on which the quote was issued."""
    assert codes(c.judge_prices(asked(quote(line(1))), PricesFound(entries=entries)).findings) == expected


def item(code: str = "SUB-TEAM", **fields: Any) -> Item:
    return Item(code=code, name=code, **fields)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((item(),), []),
        ((item(available=Quantity("10")),), []),
        ((), [("item_unknown", "error", "/quote/lines/0/item_code")]),
        ((item(active=False),), [("item_inactive", "error", "/quote/lines/0/item_code")]),
        ((item(available=Quantity("9.5")),), [("not_available", "warning", "/quote/lines/0/quantity")]),
    ],
)
def test_items(items: tuple[Item, ...], expected: list[tuple[str, str, str]]) -> None:
    """Every item is there and active; too little stock is a warning, for it may come in."""
    assert codes(c.judge_items(asked(quote(line(1))), ItemsFound(items=items)).findings) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (ACME, []),
        (type(ACME)(id="C-ACME", legal_name="ACME ROBOTICS INC."), []),
        (None, [("customer_unknown", "error", "/quote/customer/id")]),
        (type(ACME)(id="C-ACME", legal_name="Acme Holdings"), [("customer_name_differs", "warning", "/quote/customer/legal_name")]),
    ],
)
def test_customer(known: Any, expected: list[tuple[str, str, str]]) -> None:
    """The CRM knows the customer; another name there is a warning."""
    assert codes(c.judge_customer(asked(GOOD), CustomerFound(customer=known)).findings) == expected


@pytest.mark.parametrize(
    ("credit", "expected"),
    [
        (CreditChecked(known=False), []),
        (CreditChecked(known=True, limit=usd("2430.00")), []),
        (CreditChecked(known=True, limit=usd("2429.99")), [("credit_limit", "error", "/quote/total")]),
        (CreditChecked(known=True, limit=usd("3000.00"), open_balance=usd("570.01")), [("credit_limit", "error", "/quote/total")]),
        (CreditChecked(known=True, limit=usd("3000.00"), open_balance=Money("9000.00", "EUR")), []),
        (CreditChecked(known=True, limit=Money("1.00", "EUR")), []),
        (CreditChecked(known=True, on_hold=True, limit=usd("9999999.00")), [("credit_hold", "error", "/quote/customer")]),
    ],
)
def test_credit(credit: CreditChecked, expected: list[tuple[str, str, str]]) -> None:
    """A hold and a limit that would be exceeded are errors; a limit in another currency says nothing."""
    assert c.credit(asked(GOOD)) == CheckCredit(customer_id="C-ACME", customer_name="Acme Robotics Inc.", currency="USD")
    assert codes(c.judge_credit(asked(GOOD), credit).findings) == expected


def test_tax() -> None:
    """The estimate is asked for the version's lines and taken where it is in the quote's currency."""
    document = c.tax(asked(GOOD)).document
    assert (document.code, document.currency, [part.amount.amount for part in document.lines]) == ("Q-1.v1", "USD", ["450.00", "1980.00"])
    estimate = TaxEstimated(total=usd("12.34"), lines=())
    assert c.judge_tax(asked(GOOD), estimate).tax == usd("12.34")
    foreign = c.judge_tax(asked(GOOD), TaxEstimated(total=Money("12.34", "EUR"), lines=()))
    assert (foreign.tax, codes(foreign.findings)) == (None, [("tax_currency", "warning", "")])


@pytest.mark.parametrize(
    ("failure", "expected", "made"),
    [
        (Rejected("no_tax_code", "no such code", pointer="/lines/0"), ("no_tax_code", "error", "/lines/0"), True),
        (Misconfigured("bad_key", "wrong key"), ("bad_key", "error", ""), False),
        (Unavailable("away", "not reachable"), ("not_checked", "warning", ""), False),
        (OutcomeUnknown("no_answer", "no answer from 10.0.0.7"), ("not_checked", "warning", ""), False),
    ],
    ids=lambda value: getattr(value, "word", None),
)
def test_missed(failure: Failure, expected: tuple[str, str, str], made: bool) -> None:
    """Refused and misconfigured is an error, away or slow a warning; what was not made makes the answer incomplete."""
    verdict = c.missed(asked(GOOD), "tax", failure)
    assert (codes(verdict.findings), verdict.made) == ([expected], made)
    assert verdict.findings[0].check == "tax"
    tells = isinstance(failure, Rejected | Misconfigured)
    assert (failure.detail in verdict.findings[0].message) is tells  # of what is away or slow nothing of the inside shows


def test_conclude_sorts_errors_first() -> None:
    """The answer has errors before warnings, each in table order, and is valid only without errors."""
    warning, error = (c.Verdict(findings=(Finding(code=s, severity=s, message=s),)) for s in ("warning", "error"))
    reply = c.conclude(asked(GOOD), [warning, c.Verdict(tax=usd("1.00")), error, warning])
    assert isinstance(reply, QuoteValidated)
    assert ([f.code for f in reply.findings], reply.valid, reply.complete) == (["error", "warning", "warning"], False, True)
    assert (reply.tax_estimate, reply.total) == (usd("1.00"), usd("2430.00"))


def test_conclude_says_that_something_was_not_checked() -> None:
    """A quote with warnings only is valid; it is complete only where every check was made."""
    reply = c.conclude(asked(GOOD), [c.missed(asked(GOOD), "tax", Unavailable("away"))])
    assert isinstance(reply, QuoteValidated)
    assert (reply.valid, reply.complete, reply.tax_estimate) == (True, False, None)


HUGE = "999999999999999999"


@pytest.mark.parametrize(
    ("version", "pointer"),
    [
        (quote(line(1, HUGE, HUGE, net_total=usd("1.00")), total=usd("1.00")), "/quote/lines/0"),
        (quote(line(1, "1", HUGE), line(2, "1", HUGE), total=usd("1.00")), "/quote/total"),
    ],
    ids=["a line", "the total"],
)
def test_what_no_amount_can_hold_is_an_error(version: Quote, pointer: str) -> None:
    """Quantities and prices whose product or sum has more digits than an amount may have do not slip through as unchecked."""
    assert codes(c.totals(asked(version)).findings) == [("amount_too_large", "error", pointer)]


def test_an_order_without_lines_does_not_add_up() -> None:
    """Nothing cannot be ordered, although its lines come to its total."""
    empty = msgspec.structs.replace(Order.of_quote(GOOD, "ORD-1", DAY), lines=(), total=usd("0.00"))
    assert codes(c.add_up(empty, "/order")) == [("no_lines", "error", "/order/lines")]


def test_every_check_of_the_table_has_a_name_of_its_own() -> None:
    """The nine checks are those that the issue names."""
    assert [check.name for check in QUOTE_VALIDATION.checks] == [
        "totals",
        "discounts",
        "expiry",
        "terms",
        "prices",
        "items",
        "customer",
        "credit",
        "tax",
    ]
