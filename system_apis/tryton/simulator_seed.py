"""What the simulated Tryton of Northwind Software GmbH holds before anyone calls: company, periods, terms, products, one customer."""

import calendar
import datetime as dt
from decimal import Decimal

from system_apis.tryton.simulator_tables import Tables
from system_apis.tryton.wire import pack

COMPANY, BANK, RECEIVABLE, TAX_ACCOUNT, JOURNAL = 1, 10, 20, 30, 3
RATES = {"EUR": "1", "USD": "1.10", "GBP": "0.85", "DKK": "7.46", "CHF": "0.95"}
TERM_DAYS = (0, 7, 10, 14, 15, 20, 30, 45, 60, 90)
COUNTRIES = ("AT", "CH", "DE", "DK", "FR", "GB", "NL", "US")
VAT_RATES = {"VAT 19 %": "0.19", "VAT 7 %": "0.07", "VAT 0 %": "0"}

# code: name, type, unit, list price in EUR (None: not sold in EUR), active, stock
PRODUCTS: dict[str, tuple[str, str, str, str | None, bool, int]] = {
    "SUB-TEAM": ("Team plan, per seat and month", "service", "Unit", "42.00", True, 0),
    "SUB-ENT": ("Enterprise plan, per seat and month", "service", "Unit", "82.00", True, 0),
    "SUB-ENT3": ("Enterprise plan, three years", "service", "Unit", None, True, 0),
    "SUB-OLD": ("Legacy plan", "service", "Unit", "28.00", False, 0),
    "USE-API": ("API calls, per thousand", "service", "Unit", "0.0320", True, 0),
    "USE-STO": ("Storage, per GB and month", "service", "Unit", "0.1100", True, 0),
    "SVC-ONB": ("Onboarding day", "service", "Day", "1450.00", True, 0),
    "SVC-ARC": ("Architect day", "service", "Day", "1980.00", True, 0),
    "HW-GW": ("Edge gateway device", "goods", "Unit", "920.00", True, 250),
    "HW-RACK": ("Rack mount kit", "goods", "Unit", "110.00", True, 3),
    "LIC-PERP": ("Perpetual add-on licence", "service", "Unit", "4600.00", True, 0),
}


def seed(tables: Tables) -> None:
    """Fill an empty database."""
    currencies = {code: _currency(tables, code, rate) for code, rate in RATES.items()}
    party = tables.create("party.party", {"name": "Northwind Software GmbH", "code": "1"})
    tables.create("company.company", {"party": party["id"], "currency": currencies["EUR"]})
    for code in COUNTRIES:
        tables.create("country.country", {"code": code, "name": code})
    tables.create("account.configuration", {"default_account_receivable": RECEIVABLE})
    tables.create("stock.location", {"name": "Warehouse", "code": "WH", "type": "warehouse"})
    _periods(tables)
    _terms_and_taxes(tables)
    _products(tables)
    _customer(tables)


def _currency(tables: Tables, code: str, rate: str) -> int:
    return int(tables.create("currency.currency", {"code": code, "name": code, "rate": pack(Decimal(rate))})["id"])


def _periods(tables: Tables) -> None:
    for year in range(2024, 2031):
        fiscal_year = tables.create("account.fiscalyear", {"name": str(year), "company": COMPANY})["id"]
        for month in range(1, 13):
            first, last = dt.date(year, month, 1), dt.date(year, month, calendar.monthrange(year, month)[1])
            days = {"start_date": pack(first), "end_date": pack(last)}
            tables.create("account.period", {"name": f"{year}-{month:02d}", "fiscalyear": fiscal_year, **days})


def _terms_and_taxes(tables: Tables) -> None:
    for days in TERM_DAYS:
        lines = [{"type": "remainder", "relativedeltas": [["create", [{"days": days}]]]}]
        tables.create("account.invoice.payment_term", {"name": f"{days} days", "lines": [["create", lines]]})
    accounts = {"company": COMPANY, "invoice_account": TAX_ACCOUNT, "credit_note_account": TAX_ACCOUNT}
    for name, rate in VAT_RATES.items():
        tables.create("account.tax", {"name": name, "description": name, "rate": pack(Decimal(rate)), **accounts})
    external = {"name": "Q2C external tax", "description": "Tax", "type": "fixed", "amount": pack(Decimal("0.01"))}
    tables.create("account.tax", {**external, **accounts})
    method = {"name": "Bank transfer", "company": COMPANY, "journal": JOURNAL, "debit_account": BANK, "credit_account": BANK}
    tables.create("account.invoice.payment.method", method)


def _products(tables: Tables) -> None:
    units = {name: tables.create("product.uom", {"name": name, "digits": digits})["id"] for name, digits in (("Unit", 0), ("Day", 2))}
    for code, (name, kind, unit, price, active, stock) in PRODUCTS.items():
        values = {"code": code, "name": name, "type": kind, "active": active, "quantity": stock, "sale_uom": units[unit]}
        tables.create("product.product", {**values, "list_price": pack(Decimal(price)) if price else None})


def _customer(tables: Tables) -> None:
    germany = next(c["id"] for c in tables.all("country.country") if c["code"] == "DE")
    address = {"street": "Werkstraße 1", "city": "Stuttgart", "postal_code": "70173", "country": germany, "invoice": True, "delivery": True}
    mail = {"type": "email", "value": "rechnung@muster.example"}
    links = {"addresses": [["create", [address]]], "contact_mechanisms": [["create", [mail]]]}
    tables.create("party.party", {"name": "Muster Maschinenbau GmbH", "code": "C-MUSTER", **links})
