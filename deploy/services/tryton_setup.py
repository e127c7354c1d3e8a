"""Makes a fresh Tryton database an ERP one can sell and collect in; run by the Python of `.venv-tryton`, not by ours.

usage: tryton_setup.py CONFIGURATION DATABASE FACTS

It goes through proteus, Tryton's own client library, as a consultant would through the screens: company, chart of accounts, fiscal
years, taxes, payment terms and method, products with their stock, a customer, and a key for the REST interface. What callers need to
know about the result (ids, codes, the key) is written to FACTS as JSON. Amounts are made-up; the codes are those that the tests order,
and the catalogue is that of the simulated vendors, so that an entity may be bound to this server beside them.
"""

import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from proteus import Model, Wizard
from proteus import config as proteus_config

COMPANY = "Northwind Software GmbH"
CHART = "account.account_template_root_en"  # the small general chart that Tryton ships
FISCAL_YEARS = range(2025, 2031)
CLOSED_MONTH = date(2025, 1, 1)  # so that a posting into a closed period can be refused
USD_PER_EUR = Decimal("1.10")  # since the first day; a round number that is easy to check by hand
VAT_RATE = Decimal("0.19")
EXTERNAL_TAX = "Q2C external tax"  # books the tax that a tax engine has calculated: so many times a cent
TERM_DAYS = (14, 30, 60)

# code: name, type, list price in EUR (none: not sold in EUR), taxed, active
PRODUCTS: dict[str, tuple[str, str, str | None, bool, bool]] = {
    "SUB-TEAM": ("Team plan, per seat and month", "service", "42.00", False, True),
    "SUB-ENT": ("Enterprise plan, per seat and month", "service", "82.00", False, True),
    "SUB-ENT3": ("Enterprise plan, three years", "service", None, False, True),
    "SUB-OLD": ("Legacy plan", "service", "28.00", False, False),
    "USE-API": ("API calls, per thousand", "service", "0.0320", False, True),
    "USE-STO": ("Storage, per GB and month", "service", "0.1100", False, True),
    "SVC-ONB": ("Onboarding day", "service", "1450.00", False, True),
    "SVC-ARC": ("Architect day", "service", "1980.00", False, True),
    "SVC-DAY-DE": ("Consulting, per day, domestic", "service", "1200.00", True, True),
    "HW-GW": ("Edge gateway device", "goods", "920.00", False, True),
    "HW-RACK": ("Rack mount kit", "goods", "110.00", False, True),
    "LIC-PERP": ("Perpetual add-on licence", "service", "4600.00", False, True),
}
STOCK = {"HW-GW": 250, "HW-RACK": 3}
CUSTOMER_CODE, CUSTOMER, CUSTOMER_EMAIL = "C-MUSTER", "Muster Maschinenbau GmbH", "rechnung@muster.example"


def one(model: str, *domain: Any) -> Any:
    """The one record that matches; fails loudly when Tryton ships something else than expected."""
    (record,) = Model.get(model).find(list(domain))
    return record


def add_company(config: Any) -> Any:
    """The company, in EUR, with a rate for USD; from here on the context speaks for it."""
    euro, dollar = (currency(code, name, symbol) for code, name, symbol in (("EUR", "Euro", "€"), ("USD", "US dollar", "$")))
    for money, rate in ((euro, Decimal(1)), (dollar, USD_PER_EUR)):
        money.rates.new(date=date(FISCAL_YEARS[0], 1, 1), rate=rate)
        money.save()
    party = Model.get("party.party")(name=COMPANY)
    party.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party, wizard.form.currency = party, euro
    wizard.execute("add")
    config._context = Model.get("res.user").get_preferences(True, {})  # noqa: SLF001 - proteus has no other door to its context
    return one("company.company")


def currency(code: str, name: str, symbol: str) -> Any:
    """A currency; Tryton starts with none."""
    found = Model.get("currency.currency").find([("code", "=", code)])
    record = found[0] if found else Model.get("currency.currency")(name=name, symbol=symbol, code=code)
    record.rounding, record.digits = Decimal("0.01"), 2
    record.save()
    return record


def add_chart(company: Any, config: Any) -> dict[str, Any]:
    """The chart of accounts, and the accounts that the rest is booked on."""
    template = Model.get("account.account.template")(Model.get("ir.model.data").get_id(CHART, config.context))
    wizard = Wizard("account.create_chart")
    wizard.execute("account")
    wizard.form.account_template, wizard.form.company = template, company
    wizard.execute("create_account")
    accounts = {kind: account(f"type.{kind}", True) for kind in ("receivable", "payable", "revenue", "expense")}
    accounts |= {"cash": account("code", "1.1.1"), "tax": account("code", "6.3.6")}
    wizard.form.account_receivable, wizard.form.account_payable = accounts["receivable"], accounts["payable"]
    wizard.form.category_account_revenue, wizard.form.category_account_expense = accounts["revenue"], accounts["expense"]
    wizard.execute("create_properties")
    return accounts


def account(field: str, value: object) -> Any:
    """The first open account of that kind."""
    return Model.get("account.account").find([(field, "=", value), ("closed", "!=", True)], limit=1)[0]


def add_fiscal_year(year: int, company: Any) -> None:
    """A calendar year of twelve periods, with number sequences of its own for moves and invoices."""
    record = Model.get("account.fiscalyear")(
        name=str(year),
        start_date=date(year, 1, 1),
        end_date=date(year, 12, 31),
        company=company,
        move_sequence=sequence(year, "Account Move", company),
    )
    numbers = sequence(year, "Invoice", company)
    (invoices,) = record.invoice_sequences
    invoices.out_invoice_sequence = invoices.out_credit_note_sequence = numbers
    invoices.in_invoice_sequence = invoices.in_credit_note_sequence = numbers
    record.save()
    record.click("create_period")


def sequence(year: int, kind: str, company: Any) -> Any:
    """A gapless number sequence, prefixed with its year."""
    record = Model.get("ir.sequence.strict")(
        name=f"{kind} {year}", sequence_type=one("ir.sequence.type", ("name", "=", kind)), company=company, prefix=f"{year}-", padding=5
    )
    record.save()
    return record


def close_period(first_day: date) -> str:
    """Closes one month and names it."""
    period = one("account.period", ("start_date", "=", first_day))
    period.click("close")
    return str(period.name)


def add_taxes(accounts: dict[str, Any]) -> Any:
    """German VAT on sales, and the tax by which calculated tax is booked; gives the first."""
    vat = Model.get("account.tax")(name="VAT 19 %", description="VAT 19 %", type="percentage", rate=VAT_RATE)
    calculated = Model.get("account.tax")(name=EXTERNAL_TAX, description="Tax", type="fixed", amount=Decimal("0.01"))
    for tax in (vat, calculated):
        tax.invoice_account = tax.credit_note_account = accounts["tax"]
        tax.save()
    return vat


def add_currency_exchange() -> None:
    """Where the differences go when an invoice in a foreign currency is paid at another rate."""
    configuration = Model.get("account.configuration")(1)
    configuration.currency_exchange_journal = one("account.journal", ("type", "=", "write-off"))
    result = account("type.statement", "income")
    configuration.currency_exchange_credit_account = configuration.currency_exchange_debit_account = result
    configuration.save()


def add_payment(accounts: dict[str, Any]) -> tuple[dict[int, Any], Any]:
    """The payment terms of orders, by days, and the method by which the wizard of an invoice takes money in."""
    terms = {}
    for days in TERM_DAYS:
        terms[days] = Model.get("account.invoice.payment_term")(name=f"{days} days")
        terms[days].lines.new(type="remainder").relativedeltas.new(days=days)
        terms[days].save()
    method = Model.get("account.invoice.payment.method")(
        name="Bank transfer",
        journal=one("account.journal", ("type", "=", "cash")),
        debit_account=accounts["cash"],
        credit_account=accounts["cash"],
    )
    method.save()
    return terms, method


def add_products(accounts: dict[str, Any], tax: Any) -> tuple[dict[bool, Any], dict[str, int]]:
    """The accounting categories (by taxed or not) and the products; their ids by code."""
    categories = {}
    for taxed, name in ((False, "Sales"), (True, "Sales with VAT")):
        category = Model.get("product.category")(name=name, accounting=True)
        category.account_revenue, category.account_expense = accounts["revenue"], accounts["expense"]
        if taxed:
            category.customer_taxes.append(tax)
        category.save()
        categories[taxed] = category
    unit, products = one("product.uom", ("name", "=", "Unit")), {}
    for code, (name, kind, price, taxed, active) in PRODUCTS.items():
        template = Model.get("product.template")(name=name, code=code, type=kind, default_uom=unit, salable=True)
        template.list_price, template.account_category = Decimal(price) if price else None, categories[taxed]
        template.save()
        products[code] = template.products[0].id
        if not active:
            template.active = False
            template.save()
    return categories, products


def add_stock(products: dict[str, int]) -> None:
    """What is in the warehouse, counted on the first day."""
    inventory = Model.get("stock.inventory")(location=one("stock.location", ("code", "=", "STO")), date=date(FISCAL_YEARS[0], 1, 1))
    for code, count in STOCK.items():
        inventory.lines.new(product=Model.get("product.product")(products[code]), quantity=count)
    inventory.save()
    inventory.click("confirm")


def add_customer() -> None:
    """A customer who was there before anybody booked."""
    party = Model.get("party.party")(name=CUSTOMER, code=CUSTOMER_CODE)
    (address,) = party.addresses or [party.addresses.new()]
    address.street, address.postal_code, address.city = "Werkstraße 1\nDE", "70173", "Stuttgart"
    address.invoice = address.delivery = True
    party.contact_mechanisms.new(type="email", value=CUSTOMER_EMAIL)
    party.save()


def set_up(config: Any) -> dict[str, object]:
    """Everything in order, and what callers need to know about it."""
    company = add_company(config)
    accounts = add_chart(company, config)
    for year in FISCAL_YEARS:
        add_fiscal_year(year, company)
    tax = add_taxes(accounts)
    add_currency_exchange()
    terms, method = add_payment(accounts)
    categories, products = add_products(accounts, tax)
    add_stock(products)
    add_customer()
    key = Model.get("res.user.application")(user=Model.get("res.user")(config.user), application="rest")
    key.save()
    return {
        "company_id": company.id,
        "currency_ids": {record.code: record.id for record in Model.get("currency.currency").find([])},
        "application_key": key.key,
        "payment_term_id": terms[30].id,
        "payment_method_id": method.id,
        "account_category_id": categories[False].id,
        "account_category_taxed_id": categories[True].id,
        "tax_id": tax.id,
        "unit_id": one("product.uom", ("name", "=", "Unit")).id,
        "product_ids": products,
        "closed_period": close_period(CLOSED_MONTH),
    }


def main() -> None:
    """Sets up the database that trytond-admin has created."""
    configuration, database, facts = sys.argv[1:]
    config = proteus_config.set_trytond(database, config_file=configuration)
    Path(facts).write_text(json.dumps(set_up(config), indent=2))


if __name__ == "__main__":
    main()
