"""How the simulated AvaTax calculates: checks of a request, and the tax by ship-to, rounded half up line by line."""

from decimal import Decimal
from typing import Any

import msgspec

from canonical.money import DECIMALS, Money
from canonical.provenance import Date

RATES_PERCENT: dict[str, str] = {
    "US-CA": "8.625",
    "US-NY": "8.875",
    "US-TX": "8.25",
    "US-WA": "10.1",
    "US-IL": "10.25",
    "DE": "19",
    "AT": "20",
    "DK": "25",
}
_NOT_TAXABLE = "NT"
_SERVICE = "S"  # not taxed in the United States, taxed elsewhere

NUMBERS: dict[str, int] = {
    "CompanyInvalidException": 3,
    "EntityNotFoundError": 4,
    "ValueRequiredError": 5,
    "StringLengthError": 13,
    "AuthenticationException": 30,
    "AuthenticationIncomplete": 34,
    "JsonFormatError": 47,
    "InvalidCountry": 125,
    "JurisdictionNotFoundError": 130,
    "InvalidEnumValue": 164,
    "TransactionAlreadyCancelled": 198,
    "DocumentCodeConflict": 303,
    "MissingAddress": 304,
    "MissingLine": 311,
    "CannotModifyLockedTransaction": 1100,
    "InvalidHTTPHeader": 3000,
    "NotFound": 4001,
}


class AvaTaxError(Exception):
    """An error as AvaTax words it; ``status`` is the HTTP status, ``refers_to`` the field in question."""

    def __init__(self, code: str, message: str, description: str = "", *, status: int = 400, refers_to: str = "") -> None:
        super().__init__(message)
        self.status = status
        detail = {
            "code": code,
            "number": NUMBERS[code],
            "message": message,
            "description": description or message,
            "faultCode": "Client",
            "helpLink": f"http://developer.avalara.com/avatax/errors/{code}",
            "severity": "Error",
            **({"refersTo": refers_to} if refers_to else {}),
        }
        self.body = {"error": {"code": code, "message": message, "target": "Unknown", "details": [detail]}}


class Address(msgspec.Struct, kw_only=True, rename="camel"):
    """AddressLocationInfo as it arrives."""

    line1: str = ""
    line2: str = ""
    line3: str = ""
    city: str = ""
    region: str = ""
    country: str = ""
    postal_code: str = ""


class Line(msgspec.Struct, kw_only=True, rename="camel"):
    """LineItemModel as it arrives."""

    amount: Decimal
    number: str = ""
    quantity: Decimal = Decimal(1)
    item_code: str = ""
    tax_code: str = "P0000000"
    description: str = ""


class Model(msgspec.Struct, kw_only=True, rename="camel"):
    """CreateTransactionModel as it arrives."""

    date: Date
    customer_code: str
    lines: list[Line]
    type: str = "SalesOrder"
    company_code: str = ""
    code: str = ""
    currency_code: str = "USD"
    commit: bool = False
    addresses: dict[str, Address] = {}
    reference_code: str = ""
    description: str = ""
    business_identification_no: str = ""


class CreateOrAdjust(msgspec.Struct, kw_only=True, rename="camel"):
    """CreateOrAdjustTransactionModel as it arrives."""

    create_transaction_model: Model
    adjustment_reason: str = "NotAdjusted"
    adjustment_description: str = ""


_LENGTHS = {"code": 50, "customerCode": 50, "companyCode": 25, "description": 2048, "referenceCode": 1024, "businessIdentificationNo": 25}
_LINE_LENGTHS = {"number": 50, "itemCode": 50, "taxCode": 25}
_ADDRESS_LENGTHS = {"line1": 50, "line2": 50, "line3": 50, "city": 50, "postalCode": 11}


def check(model: Model) -> None:
    """Raise what AvaTax would say of a request that it cannot calculate."""
    if model.type not in {"SalesOrder", "SalesInvoice"}:
        raise AvaTaxError("InvalidEnumValue", f"'{model.type}' is not simulated.", refers_to="type")
    if not model.customer_code:
        raise AvaTaxError("ValueRequiredError", "Field 'customerCode' is required.", refers_to="customerCode")
    if not model.lines:
        raise AvaTaxError("MissingLine", "Please provide at least one line in the transaction.", refers_to="lines")
    if model.currency_code not in DECIMALS:
        raise AvaTaxError("InvalidEnumValue", f"'{model.currency_code}' is not a valid currency.", refers_to="currencyCode")
    _check_lengths(model, _LENGTHS)
    for line in model.lines:
        _check_lengths(line, _LINE_LENGTHS)
    for address in model.addresses.values():
        _check_lengths(address, _ADDRESS_LENGTHS)


def _check_lengths(part: msgspec.Struct, lengths: dict[str, int]) -> None:
    values: dict[str, Any] = msgspec.to_builtins(part)
    for field, length_max in lengths.items():
        if len(values[field]) > length_max:
            raise AvaTaxError("StringLengthError", f"Field '{field}' must be no longer than {length_max} characters.", refers_to=field)


def destination(model: Model) -> Address:
    """Where it goes to. Raises `MissingAddress` where the request does not say."""
    address = model.addresses.get("shipTo") or model.addresses.get("singleLocation")
    if address is None or not ("shipFrom" in model.addresses or "singleLocation" in model.addresses):
        raise AvaTaxError("MissingAddress", "One or more addresses are missing.", refers_to="addresses")
    if not address.country:
        raise AvaTaxError("InvalidCountry", "The country code could not be recognized.", refers_to="country")
    return address


def calculate(model: Model) -> dict[str, Any]:
    """The taxed transaction as AvaTax shows it, amounts as text (they become JSON numbers when it is sent)."""
    check(model)
    address = destination(model)
    jurisdiction = f"US-{address.region.upper()}" if address.country == "US" else address.country
    rate_percent = RATES_PERCENT.get(jurisdiction)
    if rate_percent is None:
        raise AvaTaxError(
            "JurisdictionNotFoundError",
            "Unable to determine the taxing jurisdictions.",
            f"No jurisdiction was found for {address.city}, {address.region} {address.postal_code}, {address.country}.",
            refers_to="addresses",
        )
    lines = [_taxed(line, index, model, address, Decimal(rate_percent)) for index, line in enumerate(model.lines, start=1)]
    return {
        "code": model.code,
        "date": model.date,
        "status": "Temporary",
        "type": model.type,
        "currencyCode": model.currency_code,
        "customerCode": model.customer_code,
        "referenceCode": model.reference_code,
        "description": model.description,
        "businessIdentificationNo": model.business_identification_no,
        "country": address.country,
        "region": address.region or address.country,
        "totalAmount": _sum(lines, "lineAmount", model.currency_code),
        "totalExempt": _sum(lines, "exemptAmount", model.currency_code),
        "totalTax": _sum(lines, "tax", model.currency_code),
        "totalTaxCalculated": _sum(lines, "tax", model.currency_code),
        "totalTaxable": _sum(lines, "taxableAmount", model.currency_code),
        "taxDate": f"{model.date}T00:00:00",
        "lines": lines,
        "locked": False,
        "version": 1,
    }


def _taxed(line: Line, index: int, model: Model, address: Address, rate_percent: Decimal) -> dict[str, Any]:
    exempt = line.tax_code == _NOT_TAXABLE or (line.tax_code == _SERVICE and address.country == "US")
    amount = _amount(line.amount, model.currency_code)
    taxable = Money.zero(model.currency_code) if exempt else amount
    tax = Money.rounded(taxable.number * rate_percent / 100, model.currency_code).amount
    detail = {
        "country": address.country,
        "region": address.region or address.country,
        "jurisType": "STA" if address.country == "US" else "CNT",
        "jurisName": address.region or address.country,
        "rate": f"{rate_percent / 100:f}",
        "tax": tax,
        "taxableAmount": taxable.amount,
        "taxName": f"{address.region or address.country} TAX",
    }
    return {
        "lineNumber": line.number or str(index),
        "itemCode": line.item_code,
        "taxCode": line.tax_code,
        "quantity": f"{line.quantity:f}",
        "lineAmount": amount.amount,
        "exemptAmount": (amount - taxable).amount,
        "taxableAmount": taxable.amount,
        "isItemTaxable": not exempt,
        "tax": tax,
        "taxCalculated": tax,
        "details": [detail],
    }


def _amount(number: Decimal, currency: str) -> Money:
    try:
        return Money.of(number, currency)
    except ValueError as error:
        raise AvaTaxError("StringLengthError", str(error), refers_to="lines.amount") from error


def _sum(lines: list[dict[str, Any]], field: str, currency: str) -> str:
    return Money.total((Money(line[field], currency) for line in lines), currency).amount
