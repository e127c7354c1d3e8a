"""Customers, prices and quotes as the CRM has them."""

import datetime as dt
from decimal import Decimal

import msgspec
import pytest

from canonical.customer import FindCustomer
from canonical.failures import Rejected
from canonical.item import FindPrices
from canonical.money import Money, Price
from canonical.quote import FetchQuote
from system_apis.salesforce.quotes import LineRow, QuoteRow, charge_type, term, terms_days
from system_apis.salesforce.reading import months_later
from system_apis.simulation import Simulation
from tests.system_apis.harness import NOW, Bench


async def test_a_customer_is_found_by_our_id(bench: Bench) -> None:
    """The account that carries our id is the customer, with address, tax number and where the news came from."""
    found = (await bench.ask(FindCustomer(customer_id="C-MUSTER"))).customer
    assert (found.id, found.legal_name, found.currency, found.email) == (
        "C-MUSTER",
        "Muster Maschinenbau GmbH",
        "EUR",
        "rechnung@muster.example",
    )
    assert (found.bill_to.country, found.bill_to.city, found.ship_to) == ("DE", "Stuttgart", found.bill_to)
    assert [(t.country, t.number) for t in found.tax_registrations] == [("DE", "DE123456789")]
    assert (found.provenance.source_system, found.provenance.observed_at) == ("salesforce", NOW.isoformat())


async def test_a_customer_is_found_by_record_id(bench: Bench, simulation: Simulation) -> None:
    """An account's own record id, long or short, names the same customer."""
    account = simulation.find("Account", Q2C_Id__c="C-ACME")
    assert account is not None
    for record_id in (account["Id"], account["Id"][:15]):
        assert (await bench.ask(FindCustomer(customer_id=record_id))).customer.id == "C-ACME"


async def test_an_unknown_customer_is_no_failure(bench: Bench) -> None:
    """Where the CRM knows no such customer the answer is None; ids are compared with their case."""
    assert (await bench.ask(FindCustomer(customer_id="C-NOBODY"))).customer is None
    assert (await bench.ask(FindCustomer(customer_id="c-acme"))).customer is None


async def test_an_id_that_two_accounts_carry_is_refused(bench: Bench, simulation: Simulation) -> None:
    """Salesforce answers 300 where an external id is not unique; the house does not choose for it."""
    for account in simulation.all("Account")[:2]:
        await bench.client.write(f"Account/{account['Id']}", {"Q2C_Id__c": "C-TWICE"})
    with pytest.raises(Rejected) as refused:
        await bench.ask(FindCustomer(customer_id="C-TWICE"))
    assert refused.value.code == "ambiguous_external_id"


async def test_a_country_that_nobody_knows_is_named(bench: Bench, simulation: Simulation) -> None:
    """A country in words that settings do not know is refused with those words."""
    account = simulation.find("Account", Q2C_Id__c="C-ACME")
    assert account is not None
    simulation.put("Account", account["Id"], {**account, "BillingCountry": "Freedonia"})
    with pytest.raises(Rejected, match=r"unknown_country.*Freedonia"):
        await bench.ask(FindCustomer(customer_id="C-ACME"))


async def test_prices_are_read_in_one_currency(bench: Bench) -> None:
    """Only entries of the asked codes in the asked currency come back; an inactive product's price is not active; prices are exact."""
    codes = ("SUB-ENT3", "SUB-OLD", "USE-API", "NO-SUCH")
    euro = (await bench.ask(FindPrices(price_book="standard", currency="EUR", item_codes=codes))).entries
    assert {(e.item_code, e.unit_price, e.active) for e in euro} == {
        ("SUB-OLD", Price("28", "EUR"), False),
        ("USE-API", Price("0.032", "EUR"), True),
    }
    dollar = (await bench.ask(FindPrices(price_book="standard", currency="USD", item_codes=codes))).entries
    assert {e.item_code for e in dollar} == {"SUB-ENT3", "SUB-OLD", "USE-API"}
    assert {e.price_book for e in dollar} == {"standard"}


async def test_prices_are_compared_with_case(bench: Bench) -> None:
    """SOQL finds SUB-TEAM for sub-team; the house does not."""
    assert (await bench.ask(FindPrices(price_book="standard", currency="USD", item_codes=("sub-team",)))).entries == ()


async def test_an_unknown_price_book_has_no_prices(bench: Bench) -> None:
    """A book that the CRM has not simply holds no entries."""
    assert (await bench.ask(FindPrices(price_book="partner", currency="USD", item_codes=("SUB-TEAM",)))).entries == ()


async def test_many_codes_are_asked_in_several_queries(bench: Bench) -> None:
    """500 codes do not fit into one URL; all of them are asked nevertheless."""
    codes = (*(f"X-{'9' * 50}-{n}" for n in range(499)), "SUB-TEAM")
    entries = (await bench.ask(FindPrices(price_book="standard", currency="USD", item_codes=codes))).entries
    assert [e.item_code for e in entries] == ["SUB-TEAM"]


async def test_a_quote_is_read_with_customer_lines_and_totals(bench: Bench) -> None:
    """The whole quote comes over: amounts, charge types, discounts, term, opportunity, customer; optional lines stay behind."""
    quote = (await bench.ask(FetchQuote(quote_id="Q-00001"))).quote
    assert (quote.id, quote.version, quote.entity, quote.opportunity_id, quote.currency) == ("Q-00001", 1, "US01", "OPP-1001", "USD")
    assert (quote.customer.id, quote.customer.payment_terms_days, quote.customer.bill_to.region) == ("C-ACME", 30, "CA")
    assert (quote.issued_on, quote.expires_on, quote.owner) == (dt.date(2026, 1, 15), dt.date(2027, 12, 31), "Ines Ortega")
    assert [(n.item_code, n.charge_type, n.tax_code) for n in quote.lines] == [
        ("SUB-ENT", "recurring", ""),
        ("SVC-ONB", "service", "S"),
        ("HW-GW", "one_time", ""),
    ]
    plan = quote.lines[0]
    assert (plan.quantity.amount, plan.quantity.unit, plan.unit_price, plan.unit_cost) == (
        "50",
        "seat",
        Price("89", "USD"),
        Price("17", "USD"),
    )
    assert (plan.discount.percent, plan.net_total, quote.total) == ("10", Money("4005.00", "USD"), Money("12567.00", "USD"))
    assert (plan.term.start, plan.term.end) == (dt.date(2026, 2, 1), dt.date(2027, 1, 31))
    assert quote.lines[2].term is None


@pytest.mark.parametrize("number", ["Q-00001", "Q-00002", "Q-00003", "Q-00004"])
async def test_every_quote_of_the_org_adds_up(bench: Bench, number: str) -> None:
    """Quantity, list price and discount give the net total of each line, and the lines give the quote's."""
    quote = (await bench.ask(FetchQuote(quote_id=number))).quote
    for line in quote.lines:
        assert line.unit_price.times(line.quantity.number, line.discount.number) == line.net_total
    assert Money.total((line.net_total for line in quote.lines), quote.currency) == quote.total


async def test_a_quote_read_twice_is_the_same_quote(bench: Bench) -> None:
    """What was signed is proved by a hash, so reading again must not change it."""
    first = (await bench.ask(FetchQuote(quote_id="Q-00002"), now=NOW)).quote
    again = (await bench.ask(FetchQuote(quote_id="Q-00002"), now=NOW + dt.timedelta(days=1), correlation_id="q2c-other")).quote
    assert first.version == 2
    assert first.fingerprint == again.fingerprint


async def test_a_quote_is_found_by_record_id(bench: Bench, simulation: Simulation) -> None:
    """A quote's record id names it as well as its number."""
    record = simulation.find("SBQQ__Quote__c", Name="Q-00003")
    assert record is not None
    assert (await bench.ask(FetchQuote(quote_id=record["Id"]))).quote.id == "Q-00003"


async def test_an_unknown_quote_is_no_failure(bench: Bench) -> None:
    """Where the CRM has no such quote the answer is None."""
    assert (await bench.ask(FetchQuote(quote_id="Q-99999"))).quote is None


async def test_a_quote_of_many_lines_comes_in_batches(bench: Bench, simulation: Simulation) -> None:
    """Salesforce may cut an answer into batches; all lines are read, in order."""
    quote = simulation.find("SBQQ__Quote__c", Name="Q-00003")
    line = simulation.find("SBQQ__QuoteLine__c", SBQQ__Quote__c=quote and quote["Id"])
    assert quote is not None
    assert line is not None
    for number in range(3, 451):
        record_id = f"a0r9{number:011d}AAA"
        simulation.put("SBQQ__QuoteLine__c", record_id, {**line, "Id": record_id, "SBQQ__Number__c": str(number)})
    small = Bench(bench.card, msgspec.structs.replace(bench.settings, query_batch=200))
    found = (await small.ask(FetchQuote(quote_id="Q-00003"))).quote
    await small.aclose()
    assert [n.number for n in found.lines] == list(range(1, 451))


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("SBQQ__ExpirationDate__c", None, "quote_incomplete"),
        ("SBQQ__Account__c", None, "quote_incomplete"),
        ("SBQQ__NetAmount__c", None, "quote_incomplete"),
        ("SBQQ__NetAmount__c", "1.005", "quote_not_representable"),
        ("SBQQ__BillingCountry__c", "Freedonia", "unknown_country"),
    ],
)
async def test_a_quote_that_cannot_be_held_is_refused(
    bench: Bench, simulation: Simulation, field: str, value: str | None, code: str
) -> None:
    """What is missing in the CRM, or does not fit the language of the house, is said and not made up."""
    record = simulation.find("SBQQ__Quote__c", Name="Q-00001")
    assert record is not None
    simulation.put("SBQQ__Quote__c", record["Id"], {**record, field: value})
    with pytest.raises(Rejected) as refused:
        await bench.ask(FetchQuote(quote_id="Q-00001"))
    assert refused.value.code == code


async def test_the_quotes_own_address_goes_before_the_accounts(bench: Bench, simulation: Simulation) -> None:
    """A quote made for another address is invoiced there; without a ship-to of its own it is shipped where it was."""
    record = simulation.find("SBQQ__Quote__c", Name="Q-00001")
    assert record is not None
    own = {"SBQQ__BillingCity__c": "Paris", "SBQQ__BillingCountry__c": "France"}
    simulation.put("SBQQ__Quote__c", record["Id"], {**record, **own})
    customer = (await bench.ask(FetchQuote(quote_id="Q-00001"))).quote.customer
    assert (customer.bill_to.city, customer.bill_to.country, customer.ship_to.city) == ("Paris", "FR", "San Francisco")


async def test_a_new_charge_type_is_refused_by_name(bench: Bench, simulation: Simulation) -> None:
    """A picklist value that settings do not map stops the quote and says what to add."""
    record = simulation.find("SBQQ__QuoteLine__c", SBQQ__ProductCode__c="SUB-ENT")
    assert record is not None
    simulation.put("SBQQ__QuoteLine__c", record["Id"], {**record, "SBQQ__ChargeType__c": "Milestone"})
    with pytest.raises(Rejected, match=r"unknown_charge_type.*Milestone"):
        await bench.ask(FetchQuote(quote_id="Q-00001"))


def test_charge_types_follow_from_family_type_and_pricing(bench: Bench) -> None:
    """Services by family; CPQ's charge type; else subscription pricing decides."""
    cases = [
        (LineRow(product_family="Services", charge_type="One-Time"), "service"),
        (LineRow(charge_type="Usage"), "usage"),
        (LineRow(subscription_pricing="Fixed Price"), "recurring"),
        (LineRow(), "one_time"),
    ]
    assert [charge_type(line, bench.settings, 1) for line, _ in cases] == [expected for _, expected in cases]


def test_a_term_without_an_end_follows_from_its_months() -> None:
    """Thirty-six months from the first of February end on the last of January; what is sold once has no term of its own."""
    quote = QuoteRow(id="a0q", number="Q", created="2026-01-15", currency="USD", start_date="2026-02-01", subscription_term=Decimal("36.0"))
    assert term(LineRow(), quote, "recurring") == {"start": dt.date(2026, 2, 1), "end": dt.date(2029, 1, 31)}
    assert term(LineRow(), quote, "one_time") is None
    assert months_later(dt.date(2026, 1, 31), 1) == dt.date(2026, 2, 27)
    assert months_later(dt.date(2024, 2, 29), 12) == dt.date(2025, 2, 27)


def test_terms_of_payment_are_read_from_their_words() -> None:
    """Net 45, due on receipt, and the usual thirty days for words that nobody knows."""
    assert [terms_days(words) for words in ("Net 45", "Due on Receipt", "When it suits", None)] == [45, 0, 30, 30]
