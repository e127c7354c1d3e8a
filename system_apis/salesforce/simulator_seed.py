"""The master data of the simulated org: products and prices, customers, opportunities, and a few CPQ quotes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from canonical.money import plain
from system_apis.salesforce.simulator_org import Org, Record


class Product(NamedTuple):
    """A product: name, family, charge type of CPQ, list price in USD and EUR (empty: not sold), unit cost, unit of measure."""

    name: str
    family: str
    charge_type: str
    usd: str
    eur: str
    cost: str
    unit: str
    active: bool = True


PRODUCTS: dict[str, Product] = {
    "SUB-TEAM": Product("Team plan, per seat and month", "Subscriptions", "Recurring", "45.00", "42.00", "9.00", "seat"),
    "SUB-ENT": Product("Enterprise plan, per seat and month", "Subscriptions", "Recurring", "89.00", "82.00", "17.00", "seat"),
    "SUB-ENT3": Product("Enterprise plan, three years", "Subscriptions", "Recurring", "69.00", "", "17.00", "seat"),
    "SUB-OLD": Product("Legacy plan", "Subscriptions", "Recurring", "30.00", "28.00", "9.00", "seat", active=False),
    "USE-API": Product("API calls, per thousand", "Usage", "Usage", "0.0350", "0.0320", "", "thousand"),
    "USE-STO": Product("Storage, per GB and month", "Usage", "Usage", "0.1200", "0.1100", "", "GB"),
    "SVC-ONB": Product("Onboarding day", "Services", "One-Time", "1600.00", "1450.00", "700.00", "day"),
    "SVC-ARC": Product("Architect day", "Services", "One-Time", "2200.00", "1980.00", "950.00", "day"),
    "HW-GW": Product("Edge gateway device", "Hardware", "One-Time", "990.00", "920.00", "410.00", "each"),
    "HW-RACK": Product("Rack mount kit", "Hardware", "One-Time", "120.00", "110.00", "35.00", "each"),
    "LIC-PERP": Product("Perpetual add-on licence", "Licences", "One-Time", "5000.00", "4600.00", "", "each"),
}

CUSTOMERS: dict[str, tuple[str, ...]] = {  # legal name, currency, e-mail, street, city, state, postal code, country, tax number
    "C-ACME": ("Acme Robotics Inc.", "USD", "ap@acme.example", "1 Market Street", "San Francisco", "CA", "94105", "US", ""),
    "C-GLOBEX": ("Globex Corporation", "USD", "finance@globex.example", "40 Wall Street", "New York", "NY", "10001", "US", ""),
    "C-HOLD": ("Hooli Holdings LLC", "USD", "pay@hooli.example", "500 Congress Avenue", "Austin", "TX", "78701", "US", ""),
    "C-MUSTER": (
        *("Muster Maschinenbau GmbH", "EUR", "rechnung@muster.example", "Königstraße 1", "Stuttgart", "", "70173"),
        *("Germany", "DE123456789"),
    ),
    "C-NORDIC": ("Nordic Shipping A/S", "EUR", "ap@nordic.example", "Havnegade 2", "København", "", "1050", "DK", "DK12345678"),
    "C-ALPEN": (
        *("Alpenblick Touristik GmbH", "EUR", "buchhaltung@alpen.example", "Kärntner Ring 3", "Wien", "", "1010"),
        *("Austria", "ATU12345678"),
    ),
    "C-INITECH": ("Initech LLC", "USD", "billing@initech.example", "4120 Freidrich Lane", "Austin", "TX", "78701", "US", ""),
    "C-UMBRELLA": ("Umbrella Health Inc.", "USD", "ap@umbrella.example", "233 Wacker Drive", "Chicago", "IL", "60601", "US", ""),
    "C-SMALL": ("Smallco Ltd", "USD", "owner@small.example", "900 Pike Street", "Seattle", "WA", "98101", "US", ""),
}

OPPORTUNITIES = range(1001, 1061)


class Sold(NamedTuple):
    """A line of a seeded quote; a period begins and ends with the quote's where it is empty."""

    code: str
    quantity: str
    discount: str = "0"
    tax_code: str = ""
    optional: bool = False


QUOTES: dict[str, tuple[str, str, Mapping[str, Any], tuple[Sold, ...]]] = {  # number: customer, opportunity, more fields, lines
    "Q-00001": (
        "C-ACME",
        "OPP-1001",
        {"Q2C_Entity__c": "US01", "SBQQ__Status__c": "Presented", "SBQQ__PaymentTerms__c": "Net 30"},
        (Sold("SUB-ENT", "50", "10"), Sold("SVC-ONB", "3", tax_code="S"), Sold("HW-GW", "4", "5"), Sold("LIC-PERP", "1", optional=True)),
    ),
    "Q-00002": (
        "C-MUSTER",
        "OPP-1004",
        {"Q2C_Entity__c": "DE01", "SBQQ__Status__c": "Approved", "SBQQ__PaymentTerms__c": "Net 45", "Q2C_Version__c": "2"},
        (Sold("SUB-TEAM", "120"), Sold("USE-API", "500")),
    ),
    "Q-00003": (
        "C-NORDIC",
        "OPP-1005",
        {"Q2C_Entity__c": "DE01", "SBQQ__Status__c": "Draft", "SBQQ__PaymentTerms__c": "Due on Receipt"},
        (Sold("SVC-ARC", "5"), Sold("HW-RACK", "2", "15")),
    ),
    "Q-00004": (
        "C-UMBRELLA",
        "OPP-1008",
        {"Q2C_Entity__c": "US01", "SBQQ__Status__c": "In Review", "SBQQ__EndDate__c": None, "SBQQ__SubscriptionTerm__c": "36"},
        (Sold("SUB-ENT3", "200", "12.5"), Sold("USE-STO", "4000")),
    ),
}


def fill(org: Org) -> None:
    """Fill an empty org."""
    book = org.create("Pricebook2", {"Name": "Standard Price Book", "IsActive": True})
    seller = org.create("User", {"Name": "Ines Ortega"})
    products = {code: _product(org, code, product, book) for code, product in PRODUCTS.items()}
    accounts = {customer: _account(org, customer, values) for customer, values in CUSTOMERS.items()}
    opportunities = {f"OPP-{number}": _opportunity(org, number, list(accounts.values())) for number in OPPORTUNITIES}
    for number, (customer, opportunity, fields, lines) in QUOTES.items():
        links = {
            "SBQQ__Account__c": accounts[customer]["Id"],
            "SBQQ__Opportunity2__c": opportunities[opportunity]["Id"],
            "SBQQ__PriceBook__c": book["Id"],
            "SBQQ__SalesRep__c": seller["Id"],
            "CurrencyIsoCode": accounts[customer]["CurrencyIsoCode"],
        }
        quote(org, number, {**links, **fields}, lines, products)


def quote(org: Org, number: str, fields: Mapping[str, Any], lines: tuple[Sold, ...], products: Mapping[str, Record]) -> Record:
    """A CPQ quote with its lines and CPQ's totals: net price to the cent, times quantity; optional lines do not count."""
    dates = {"SBQQ__StartDate__c": "2026-02-01", "SBQQ__EndDate__c": "2027-01-31", "SBQQ__ExpirationDate__c": "2027-12-31"}
    made = org.create("SBQQ__Quote__c", {"Name": number, **dates, **fields})
    total = Decimal(0)
    for position, sold in enumerate(lines, start=1):
        line = _line(sold, products[sold.code]["Id"], made, position)
        org.create("SBQQ__QuoteLine__c", line)
        total += Decimal(0) if sold.optional else Decimal(line["SBQQ__NetTotal__c"])
    return org.change("SBQQ__Quote__c", made, {"SBQQ__NetAmount__c": plain(total)})


def _line(sold: Sold, product_id: str, made: Record, position: int) -> Record:
    product = PRODUCTS[sold.code]
    price = Decimal(product.eur if made["CurrencyIsoCode"] == "EUR" else product.usd)
    net = (price * Decimal(sold.quantity) * (100 - Decimal(sold.discount)) / 100).quantize(Decimal("0.01"))
    return {
        "SBQQ__Quote__c": made["Id"],
        "SBQQ__Product__c": product_id,
        "CurrencyIsoCode": made["CurrencyIsoCode"],
        "SBQQ__Number__c": str(position),
        "SBQQ__ProductCode__c": sold.code,
        "SBQQ__ProductName__c": product.name,
        "SBQQ__ProductFamily__c": product.family,
        "SBQQ__ChargeType__c": product.charge_type,
        "SBQQ__SubscriptionPricing__c": "Fixed Price" if product.charge_type == "Recurring" else None,
        "SBQQ__Quantity__c": sold.quantity,
        "SBQQ__ListPrice__c": plain(price),
        "SBQQ__UnitCost__c": product.cost or None,
        "SBQQ__Discount__c": sold.discount,
        "SBQQ__TotalDiscountRate__c": sold.discount,
        "SBQQ__NetTotal__c": plain(net),
        "SBQQ__Optional__c": sold.optional,
        "SBQQ__Taxable__c": True,
        "SBQQ__TaxCode__c": sold.tax_code or None,
    }


def _product(org: Org, code: str, product: Product, book: Record) -> Record:
    kept = {"Name": product.name, "ProductCode": code, "IsActive": product.active, "QuantityUnitOfMeasure": product.unit}
    made = org.create("Product2", {**kept, "Family": product.family})
    for currency, price in (("USD", product.usd), ("EUR", product.eur)):
        if price:
            links = {"Pricebook2Id": book["Id"], "Product2Id": made["Id"], "ProductCode": code}
            org.create("PricebookEntry", {**links, "UnitPrice": price, "CurrencyIsoCode": currency, "IsActive": product.active})
    return made


def _account(org: Org, customer: str, values: tuple[str, ...]) -> Record:
    name, currency, email, street, city, state, postal_code, country, tax_number = values
    place = {"Street": street, "City": city, "State": state or None, "PostalCode": postal_code, "Country": country}
    billing = {f"Billing{part}": value for part, value in place.items()}
    ours = {"Q2C_Id__c": customer, "Q2C_Invoice_Email__c": email, "Q2C_Tax_Number__c": tax_number or None}
    return org.create("Account", {"Name": name, "CurrencyIsoCode": currency, **ours, **billing})


def _opportunity(org: Org, number: int, accounts: list[Record]) -> Record:
    account = accounts[(number - 1001) % len(accounts)]
    return org.create(
        "Opportunity",
        {
            "Name": f"{account['Name']} – deal {number}",
            "AccountId": account["Id"],
            "StageName": "Negotiation/Review",
            "CloseDate": "2026-03-31",
            "CurrencyIsoCode": account["CurrencyIsoCode"],
            "Q2C_Id__c": f"OPP-{number}",
        },
    )
