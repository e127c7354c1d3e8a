"""A CPQ quote (SBQQ__Quote__c with its SBQQ__QuoteLine__c) as the house has it.

What CPQ says is taken over, not calculated again: net totals and the discount rate are CPQ's own, so that validation judges what the
customer was shown. Optional lines are left out, as CPQ leaves them out of its totals. CPQ knows no versions; the org's field Q2C_Version__c
counts them (empty: 1), and Q2C_Entity__c names the legal entity that sells (empty: the one on whose behalf the quote is read).
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from canonical.failures import Rejected
from canonical.item import ChargeType
from canonical.quote import FetchQuote, Quote, QuoteFetched
from system_apis.connector import Call
from system_apis.salesforce.customers import AccountRow, customer_values
from system_apis.salesforce.reading import address, day, fit, is_record_id, months_later, number_text
from system_apis.salesforce.settings import SalesforceSettings
from system_apis.salesforce.soql import literal

# ---------------------------------------------------------------- wire shapes

NOT_TAXABLE = "NT"
TERM_DAYS_DEFAULT = 30
_NET_DAYS = re.compile(r"^net\s*(\d{1,3})$", re.IGNORECASE)


class NameRow(msgspec.Struct, rename="pascal"):
    """A parent record of which only the name is read."""

    name: str | None = None


class OpportunityRef(msgspec.Struct, rename="pascal"):
    """The quote's opportunity."""

    id: str
    our_id: str | None = msgspec.field(name="Q2C_Id__c", default=None)


def _sbqq(field: str) -> str:
    words = {"country": "Country", "opportunity": "Opportunity2__r", "account": "Account__r", "price_book": "PriceBook__r"}
    known = words.get(field) or "".join(word.capitalize() for word in field.split("_"))
    return f"SBQQ__{known}" if known.endswith("__r") else f"SBQQ__{known}__c"


class QuoteRow(msgspec.Struct, rename=_sbqq):
    """A quote, as far as the house reads it."""

    id: str = msgspec.field(name="Id")
    number: str = msgspec.field(name="Name")
    created: str = msgspec.field(name="CreatedDate")
    currency: str = msgspec.field(name="CurrencyIsoCode")
    our_entity: str | None = msgspec.field(name="Q2C_Entity__c", default=None)
    our_version: Decimal | None = msgspec.field(name="Q2C_Version__c", default=None)
    account: AccountRow | None = None
    opportunity: OpportunityRef | None = None
    price_book: NameRow | None = None
    sales_rep: NameRow | None = msgspec.field(name="SBQQ__SalesRep__r", default=None)
    net_amount: Decimal | None = None
    expiration_date: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    subscription_term: Decimal | None = None
    payment_terms: str | None = None
    billing_street: str | None = None
    billing_city: str | None = None
    billing_state: str | None = None
    billing_postal_code: str | None = None
    billing_country: str | None = None
    shipping_street: str | None = None
    shipping_city: str | None = None
    shipping_state: str | None = None
    shipping_postal_code: str | None = None
    shipping_country: str | None = None


class UnitRow(msgspec.Struct, rename="pascal"):
    """The line's product."""

    quantity_unit_of_measure: str | None = None


class LineRow(msgspec.Struct, rename=_sbqq):
    """A quote line, as far as the house reads it."""

    number: Decimal | None = None
    product: UnitRow | None = msgspec.field(name="SBQQ__Product__r", default=None)
    product_code: str | None = None
    product_name: str | None = None
    product_family: str | None = None
    charge_type: str | None = None
    subscription_pricing: str | None = None
    quantity: Decimal | None = None
    list_price: Decimal | None = None
    unit_cost: Decimal | None = None
    discount: Decimal | None = None
    total_discount_rate: Decimal | None = None
    net_total: Decimal | None = None
    start_date: str | None = None
    end_date: str | None = None
    subscription_term: Decimal | None = None
    optional: bool | None = None
    taxable: bool | None = None
    tax_code: str | None = None


# ---------------------------------------------------------------- mapping


def charge_type(line: LineRow, settings: SalesforceSettings, number: int) -> ChargeType:
    """Services by product family, the rest by CPQ's charge type.

    Without a charge type, what has subscription pricing recurs and the rest does not.
    """
    if line.product_family in settings.service_families:
        return "service"
    if line.charge_type:
        known = settings.charge_types.get(line.charge_type)
        if known is None:
            raise Rejected("unknown_charge_type", f"line {number}: add {line.charge_type!r} to `charge_types` in settings")
        return known
    return "recurring" if line.subscription_pricing else "one_time"


def term(line: LineRow, quote: QuoteRow, kind: ChargeType) -> dict[str, Any] | None:
    """The line's own period, else (for what recurs or is metered) the quote's; an end that is not given follows from the months."""
    lasts = kind in {"recurring", "usage"}
    start = line.start_date or (quote.start_date if lasts else None)
    if start is None:
        return None
    end = line.end_date or (quote.end_date if lasts else None)
    if end is not None:
        return {"start": day(start), "end": day(end)}
    months = line.subscription_term or quote.subscription_term
    return {"start": day(start), "end": months_later(day(start), int(months))} if months and 0 < months < 1200 else None


def line_values(line: LineRow, quote: QuoteRow, settings: SalesforceSettings, position: int) -> dict[str, Any]:
    """One line, still unchecked. The total discount rate counts all kinds of discount; the plain discount is but the seller's own."""
    number = int(line.number) if line.number is not None else position
    kind = charge_type(line, settings, number)
    rate = line.total_discount_rate if line.total_discount_rate is not None else line.discount
    values: dict[str, Any] = {
        "number": number,
        "item_code": line.product_code,
        "description": line.product_name or "",
        "charge_type": kind,
        "quantity": {"amount": number_text(line.quantity), "unit": (line.product and line.product.quantity_unit_of_measure) or "each"},
        "unit_price": {"amount": number_text(line.list_price), "currency": quote.currency},
        "discount": {"percent": number_text(rate)},
        "net_total": {"amount": number_text(line.net_total), "currency": quote.currency},
        "term": term(line, quote, kind),
        "tax_code": line.tax_code or (NOT_TAXABLE if line.taxable is False else ""),
    }
    if line.unit_cost is not None:
        values["unit_cost"] = {"amount": number_text(line.unit_cost), "currency": quote.currency}
    return values


def quote_of(quote: QuoteRow, lines: list[LineRow], call: Call) -> Quote:
    """The canonical quote. Raises `Rejected`: quote_incomplete, unknown_charge_type, unknown_country, quote_not_representable."""
    settings: SalesforceSettings = call.settings
    sold = [line for line in lines if not line.optional]
    needed = {"account": quote.account, "net amount": quote.net_amount, "expiration date": quote.expiration_date, "lines": sold}
    missing = [name for name, value in needed.items() if value is None or value == []]
    if missing or quote.account is None:
        raise Rejected("quote_incomplete", f"quote {quote.number} has no {', no '.join(missing)}")
    books = {theirs: ours for ours, theirs in settings.price_books.items()}
    book = quote.price_book.name if quote.price_book else None
    values = {
        "id": quote.number,
        "version": int(quote.our_version or 1),
        "entity": quote.our_entity or call.entity,
        "customer": _customer(quote, quote.account, call),
        "opportunity_id": (quote.opportunity.our_id or quote.opportunity.id) if quote.opportunity else "",
        "currency": quote.currency,
        "price_book": books.get(book, book) if book else "standard",
        "issued_on": day(quote.created),
        "expires_on": day(quote.expiration_date or ""),
        "lines": [line_values(line, quote, settings, position) for position, line in enumerate(sold, start=1)],
        "total": {"amount": number_text(quote.net_amount), "currency": quote.currency},
        "owner": (quote.sales_rep and quote.sales_rep.name) or "",
    }
    return fit(Quote, values, "quote_not_representable")


def _customer(quote: QuoteRow, account: AccountRow, call: Call) -> dict[str, object]:
    """The account, with the addresses that the quote was made for and its terms of payment. No provenance: a quote's hash must not
    change from one reading to the next.
    """
    values = customer_values(account, call.settings, call.connection)
    bill_to = address(_parts(quote, "billing"), call.settings.countries) or values["bill_to"]
    ship_to = address(_parts(quote, "shipping"), call.settings.countries) or values["ship_to"] or bill_to
    return values | {"bill_to": bill_to, "ship_to": ship_to, "payment_terms_days": terms_days(quote.payment_terms)}


def _parts(quote: QuoteRow, which: str) -> Mapping[str, str | None]:
    named = {"street": "street", "city": "city", "region": "state", "postal_code": "postal_code", "country": "country"}
    return {ours: getattr(quote, f"{which}_{theirs}") for ours, theirs in named.items()}


def terms_days(words: str | None) -> int:
    """``Net 45`` is 45 days, ``Due on Receipt`` none; other words mean the usual 30."""
    text = (words or "").strip()
    net = _NET_DAYS.match(text)
    if net:
        return int(net[1])
    return 0 if text.lower() == "due on receipt" else TERM_DAYS_DEFAULT


# ---------------------------------------------------------------- operations


async def fetch(call: Call, command: FetchQuote) -> QuoteFetched:
    """The quote by number or record id. Raises `Rejected` where the org has the number twice, or the quote cannot be held."""
    by_record = is_record_id(command.quote_id, "a")
    condition = f"{'Id' if by_record else 'Name'} = {literal(command.quote_id)}"
    rows: list[QuoteRow] = await call.client.query(QuoteRow, "SBQQ__Quote__c", condition)
    exact = [row for row in rows if by_record or row.number == command.quote_id]
    if not exact:
        return QuoteFetched()
    if len(exact) > 1:
        raise Rejected("ambiguous_external_id", f"{len(exact)} quotes are called {command.quote_id}")
    of_quote = f"SBQQ__Quote__c = {literal(exact[0].id)}"
    lines: list[LineRow] = await call.client.query(LineRow, "SBQQ__QuoteLine__c", of_quote, order_by="SBQQ__Number__c")
    return QuoteFetched(quote=quote_of(exact[0], lines, call))
