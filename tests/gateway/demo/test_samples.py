"""The sample deals are what they say: prices of the catalogue, amounts right to the cent, outcomes that follow from what is paid."""

import datetime as dt
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from canonical.money import Money
from canonical.quote import Quote
from gateway.demo.deals import REJECTED, Deal, mentions, read_folder
from process_apis.quote_approval.rules import RULES, reasons

SAMPLES = Path(__file__).parents[3] / "deploy" / "samples"
DEALS = read_folder(SAMPLES, dt.date(2026, 1, 31))
BY_NAME = {deal.name: deal for deal in DEALS}
each_deal = pytest.mark.parametrize("name", BY_NAME)

# item: charge type, list price in dollars and euros ("": not sold); the catalogue of the simulated world
CATALOGUE = {
    "SUB-TEAM": ("recurring", "45", "42"),
    "SUB-ENT": ("recurring", "89", "82"),
    "SUB-ENT3": ("recurring", "69", ""),
    "SUB-OLD": ("recurring", "30", "28"),
    "USE-API": ("usage", "0.035", "0.032"),
    "USE-STO": ("usage", "0.12", "0.11"),
    "SVC-ONB": ("service", "1600", "1450"),
    "SVC-ARC": ("service", "2200", "1980"),
    "HW-GW": ("one_time", "990", "920"),
    "HW-RACK": ("one_time", "120", "110"),
    "LIC-PERP": ("one_time", "5000", "4600"),
}
TAX_PERCENT = {
    "US-CA": "8.625", "US-NY": "8.875", "US-TX": "8.25", "US-WA": "10.1", "US-IL": "10.25", "DE": "19", "AT": "20", "DK": "25",
}  # fmt: skip
CUSTOMERS = {
    "C-ACME": ("Acme Robotics Inc.", "USD"),
    "C-GLOBEX": ("Globex Corporation", "USD"),
    "C-HOLD": ("Hooli Holdings LLC", "USD"),
    "C-MUSTER": ("Muster Maschinenbau GmbH", "EUR"),
    "C-NORDIC": ("Nordic Shipping A/S", "EUR"),
    "C-ALPEN": ("Alpenblick Touristik GmbH", "EUR"),
    "C-INITECH": ("Initech LLC", "USD"),
    "C-UMBRELLA": ("Umbrella Health Inc.", "USD"),
    "C-SMALL": ("Smallco Ltd", "USD"),
}
ENTITY_OF = {"USD": "US01", "EUR": "DE01"}


def tax_of(deal: Deal) -> Money:
    """The tax by ship-to, line by line, rounded half up; services in the United States are not taxed."""
    place = deal.subject.customer.bill_to
    assert place is not None
    percent = Decimal(TAX_PERCENT[f"US-{place.region}" if place.country == "US" else place.country])
    taxed = [line.net_total for line in deal.subject.lines if not (line.tax_code == "S" and place.country == "US")]
    return Money.total((Money.rounded(net.number * percent / 100, net.currency) for net in taxed), deal.subject.currency)


def posted(deal: Deal) -> list[Money]:
    return [posting.total for posting in deal.invoices if posting.by == "erp"]


def open_after(deal: Deal) -> list[Money]:
    """What is open of each ERP invoice of a deal when all payments of all deals have been applied."""
    rest = posted(deal)
    for other in DEALS:
        for payment in other.payments:
            for share in payment.pays:
                ((owner, number),) = mentions(other, share.invoice)
                if owner == deal.id:
                    rest[number - 1] = rest[number - 1] - share.amount
    return rest


@each_deal
def test_amounts_are_right_to_the_cent(name: str) -> None:
    """Each line is price × quantity less its discount, and the total is the sum of the lines, in one currency."""
    sold = BY_NAME[name].subject
    for line in sold.lines:
        assert line.net_total == line.unit_price.times(line.quantity.number, line.discount.number)
        assert line.unit_price.currency == sold.currency
    assert Money.total((line.net_total for line in sold.lines), sold.currency) == sold.total


@each_deal
def test_prices_are_those_of_the_catalogue(name: str) -> None:
    """Every line has the charge type and list price of the catalogue, unless the deal must be refused for just that."""
    deal = BY_NAME[name]
    wrong = set()
    for line in deal.subject.lines:
        charge_type, *prices = CATALOGUE.get(line.item_code, (line.charge_type, "", ""))
        listed = prices[deal.subject.currency == "EUR"]
        assert line.charge_type == charge_type
        if line.item_code not in CATALOGUE:
            wrong |= {"item_unknown", "price_missing"}
        elif not listed:
            wrong.add("price_missing")
        elif line.unit_price.number != Decimal(listed):
            wrong.add("price_differs")
    if deal.expect.outcome == "rejected_in_booking":  # an order from elsewhere is not validated: billing itself says no
        assert wrong <= {"price_missing"}
    else:
        assert wrong == set(deal.expect.findings) & {"item_unknown", "price_missing", "price_differs"}


@each_deal
def test_customers_and_entities_are_those_of_the_simulated_world(name: str) -> None:
    """Customers go by their name and currency, each currency is sold by its entity; only one deal's customer is unknown."""
    deal = BY_NAME[name]
    customer, sold = deal.subject.customer, deal.subject
    known = CUSTOMERS.get(customer.id)
    assert (known is None) == ("customer_unknown" in deal.expect.findings)
    assert known in {None, (customer.legal_name, sold.currency)}
    assert sold.entity == ENTITY_OF[sold.currency]
    assert 1001 <= int(sold.opportunity_id.removeprefix("OPP-")) <= 1060


@each_deal
def test_dates_are_valid_on_the_day_of_the_demo(name: str) -> None:
    """Only a quote that must be refused for it has expired; every recurring line has a term of whole months."""
    deal = BY_NAME[name]
    if isinstance(deal.subject, Quote):
        assert deal.subject.issued_on <= dt.date(2026, 1, 31)
        assert (deal.subject.expires_on < dt.date(2026, 1, 31)) == ("quote_expired" in deal.expect.findings)
    for line in deal.subject.lines:
        assert (line.term is not None) == (line.charge_type == "recurring")
        if line.term is not None:
            assert (line.term.start.day, (line.term.end + dt.timedelta(days=1)).day) == (1, 1)


@each_deal
def test_people_are_asked_where_the_rules_ask_for_them(name: str) -> None:
    """Somebody approves or rejects exactly where amount, discount or margin demand it, for the reasons that the file expects."""
    deal = BY_NAME[name]
    if not isinstance(deal.subject, Quote) or deal.expect.outcome == "rejected_by_validation":
        return
    why = "; ".join(reasons(deal.subject, RULES))
    assert bool(why) == any(person.does in {"approve", "reject"} for person in deal.people)
    assert bool(why) == bool(deal.expect.asked_because)
    assert all(part in why for part in deal.expect.asked_because)


@each_deal
def test_taxes_and_invoices_are_right_to_the_cent(name: str) -> None:
    """The expected tax is that of the tax table; what the ERP invoices comes to the order with its tax."""
    deal = BY_NAME[name]
    if deal.expect.outcome == "rejected_by_validation":
        assert deal.expect.tax is None
        return
    assert deal.expect.tax == tax_of(deal)
    if posted(deal):
        assert Money.total(posted(deal), deal.subject.currency) == deal.subject.total + tax_of(deal)


@each_deal
def test_the_outcome_follows_from_what_is_paid(name: str) -> None:
    """Paid is a deal whose invoices have nothing open, partially paid one that has less open than was invoiced, and so on."""
    deal = BY_NAME[name]
    if deal.expect.outcome in REJECTED:
        return
    invoiced, still_open = posted(deal), [amount for amount in open_after(deal) if amount]
    assert all(amount.number > 0 for amount in still_open)
    if any(payment.ends == "parked" for payment in deal.payments):
        expected = "parked"
    elif not invoiced:
        expected = "booked"
    elif not still_open:
        expected = "paid"
    else:
        expected = "invoiced" if still_open == invoiced else "partially_paid"
    assert deal.expect.outcome == expected


def test_amounts_tell_the_invoices_apart() -> None:
    """No two invoices have the same total: what is matched by amount alone must not depend on who comes first."""
    totals = Counter(str(total) for deal in DEALS for total in posted(deal))
    assert [total for total, times in totals.items() if times > 1] == []


def test_the_samples_cover_what_the_gateway_is_for() -> None:
    """Both entities, all charge types, all ways to pay and to be matched, troubles at every vendor, and many ways to be refused."""
    outcomes = Counter(deal.expect.outcome for deal in DEALS)
    assert len(DEALS) >= 24
    assert sum(outcomes[word] for word in REJECTED) >= 10
    assert set(outcomes) >= {"paid", "partially_paid", "parked", "booked", "invoiced", *REJECTED}
    assert {line.charge_type for deal in DEALS if deal.books for line in deal.subject.lines} == {
        "recurring",
        "usage",
        "one_time",
        "service",
    }
    assert {(deal.entity, deal.subject.currency) for deal in DEALS if deal.books} == {("US01", "USD"), ("DE01", "EUR")}
    assert {payment.by for deal in DEALS for payment in deal.payments} == {"card", "mt940", "camt053"}
    assert {payment.ends for deal in DEALS for payment in deal.payments} == {"applied", "not_applied", "parked"}
    assert {trouble.at for deal in DEALS for trouble in deal.troubles} == {
        "salesforce", "netsuite", "tryton", "stripe", "avalara", "kantata",
    }  # fmt: skip
    assert any(deal.order for deal in DEALS)
    assert any(deal.through == "portal" and deal.submitted > 1 for deal in DEALS)
    assert any(len(payment.pays) > 1 for deal in DEALS for payment in deal.payments)
    assert any(payment.clerk for deal in DEALS for payment in deal.payments)
