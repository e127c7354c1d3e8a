"""The objects of the simulated org: which fields each has, and what Salesforce refuses when it is written."""

import datetime as dt
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from canonical.money import plain

STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost")
CURRENCIES = ("USD", "EUR", "GBP", "DKK", "CHF", "SEK", "JPY", "KWD")


class SalesforceError(Exception):
    """What the API answers instead: a status and one entry of the error array."""

    def __init__(self, status: int, code: str, message: str, *fields: str) -> None:
        super().__init__(message)
        self.status = status
        self.entries = [{"message": message, "errorCode": code, **({"fields": list(fields)} if fields else {})}]


class Field(msgspec.Struct, frozen=True):
    """A field: its kind, the length of a text, the decimals of a number, the values of a picklist, the object behind a lookup.

    ``read_only`` holds for formulas, summaries and what Salesforce sets itself.
    """

    kind: str = "text"
    length: int = 255
    scale: int = 2
    values: tuple[str, ...] = ()
    to: str = ""
    required: bool = False
    external_id: bool = False
    read_only: bool = False


class SObject(msgspec.Struct, frozen=True):
    """An object: the key prefix of its record ids, and its fields."""

    prefix: str
    fields: Mapping[str, Field]


TEXT, LONG, DATE, MONEY, CHECKBOX = Field(), Field(length=32768), Field("date"), Field("number"), Field("checkbox")
CURRENCY = Field("picklist", values=CURRENCIES)
FORMULA, SUMMARY = Field(read_only=True), Field("number", read_only=True)
SYSTEM = {"Id": Field(length=18, read_only=True), "CreatedDate": Field("datetime", read_only=True), "CurrencyIsoCode": CURRENCY}


def _sbqq(kinds: Mapping[Field, str]) -> dict[str, Field]:
    return {f"SBQQ__{name}__c": field for field, names in kinds.items() for name in names.split()}


def _address(pattern: str) -> dict[str, Field]:
    return {pattern.format(which + part): TEXT for which in ("Billing", "Shipping") for part in _ADDRESS}


_ADDRESS = ("Street", "City", "State", "PostalCode", "Country")
OUR_ID = Field(length=64, external_id=True)

OBJECTS: dict[str, SObject] = {
    "User": SObject("005", SYSTEM | {"Name": TEXT}),
    "Account": SObject(
        "001",
        SYSTEM
        | {"Name": Field(required=True), "Q2C_Id__c": OUR_ID, "Q2C_Invoice_Email__c": TEXT, "Q2C_Tax_Number__c": TEXT}
        | _address("{}"),
    ),
    "Pricebook2": SObject("01s", SYSTEM | {"Name": Field(required=True), "IsActive": CHECKBOX}),
    "Product2": SObject(
        "01t",
        SYSTEM | {"Name": Field(required=True), "ProductCode": TEXT, "IsActive": CHECKBOX, "QuantityUnitOfMeasure": TEXT, "Family": TEXT},
    ),
    "PricebookEntry": SObject(
        "01u",
        SYSTEM
        | {
            "Pricebook2Id": Field("lookup", to="Pricebook2", required=True),
            "Product2Id": Field("lookup", to="Product2", required=True),
            "ProductCode": FORMULA,
            "UnitPrice": Field("number", scale=4, required=True),
            "IsActive": CHECKBOX,
        },
    ),
    "Opportunity": SObject(
        "006",
        SYSTEM
        | {
            "Name": Field(length=120, required=True),
            "AccountId": Field("lookup", to="Account"),
            "StageName": Field("picklist", values=STAGES, required=True),
            "CloseDate": Field("date", required=True),
            "IsClosed": Field("checkbox", read_only=True),
            "IsWon": Field("checkbox", read_only=True),
            "Amount": MONEY,
            "Q2C_Id__c": OUR_ID,
            "Q2C_Order_Number__c": TEXT,
            "Q2C_ERP_Reference__c": TEXT,
            "Q2C_Order_Total__c": TEXT,
            "Q2C_Correlation_Id__c": TEXT,
        },
    ),
    "SBQQ__Quote__c": SObject(
        "a0q",
        SYSTEM
        | {"Name": Field(read_only=True), "Q2C_Entity__c": TEXT, "Q2C_Version__c": Field("number", scale=0)}
        | {
            "SBQQ__Account__c": Field("lookup", to="Account"),
            "SBQQ__Opportunity2__c": Field("lookup", to="Opportunity"),
            "SBQQ__PriceBook__c": Field("lookup", to="Pricebook2"),
            "SBQQ__SalesRep__c": Field("lookup", to="User"),
        }
        | _address("SBQQ__{}__c")
        | _sbqq({TEXT: "Status PaymentTerms", DATE: "ExpirationDate StartDate EndDate", MONEY: "SubscriptionTerm", SUMMARY: "NetAmount"}),
    ),
    "SBQQ__QuoteLine__c": SObject(
        "a0r",
        SYSTEM
        | {"SBQQ__Quote__c": Field("lookup", to="SBQQ__Quote__c"), "SBQQ__Product__c": Field("lookup", to="Product2")}
        | _sbqq(
            {
                TEXT: "ProductCode ProductName ProductFamily ChargeType SubscriptionPricing TaxCode",
                DATE: "StartDate EndDate",
                CHECKBOX: "Optional Taxable",
                Field("number", scale=4): "Number Quantity ListPrice UnitCost Discount TotalDiscountRate SubscriptionTerm",
                MONEY: "NetTotal",
            }
        ),
    ),
    "Q2C_Invoice__c": SObject(
        "a1i",
        SYSTEM
        | {
            "Name": Field(length=80),
            "Q2C_Invoice_Id__c": OUR_ID,
            "Q2C_Account__c": Field("lookup", to="Account"),
            "Q2C_Opportunity__c": Field("lookup", to="Opportunity"),
            "Q2C_Status__c": Field("picklist", values=("draft", "posted", "partially_paid", "paid", "void")),
            "Q2C_Total__c": MONEY,
            "Q2C_Tax_Total__c": MONEY,
            "Q2C_Open_Amount__c": MONEY,
            "Q2C_Paid_Amount__c": SUMMARY,
            "Q2C_Issued_On__c": DATE,
            "Q2C_Due_On__c": DATE,
            "Q2C_Order_Number__c": TEXT,
            "Q2C_Customer_Name__c": TEXT,
            "Q2C_Reference__c": LONG,
            "Q2C_ERP_Reference__c": TEXT,
            "Q2C_Correlation_Id__c": TEXT,
        },
    ),
    "Q2C_Payment__c": SObject(
        "a1p",
        SYSTEM
        | {
            "Name": Field(read_only=True),
            "Q2C_Payment_Key__c": Field(length=255, external_id=True),
            "Q2C_Payment_Id__c": TEXT,
            "Q2C_Invoice__c": Field("lookup", to="Q2C_Invoice__c", required=True),
            "Q2C_Amount__c": MONEY,
            "Q2C_Paid_On__c": DATE,
            "Q2C_Correlation_Id__c": TEXT,
        },
    ),
}


def sobject(name: str) -> SObject:
    """The object. Raises the API's 404 for one that the org has not."""
    try:
        return OBJECTS[name]
    except KeyError:
        raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist") from None


def checked(name: str, body: bytes, *, creating: bool) -> dict[str, Any]:
    """The fields of a write as they are kept: texts, truth values, and numbers as text, rounded to the field's scale.

    Raises `SalesforceError` for what Salesforce refuses.
    """
    try:
        raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise SalesforceError(400, "JSON_PARSER_ERROR", str(error)) from error
    fields = sobject(name).fields
    kept: dict[str, Any] = {}
    for field_name, value in raw.items():
        field = fields.get(field_name)
        if field is None:
            raise SalesforceError(400, "INVALID_FIELD", f"No such column '{field_name}' on sobject of type {name}")
        if field.read_only:
            message = f"Unable to create/update fields: {field_name}. Please check the security settings of this field."
            raise SalesforceError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, field_name)
        kept[field_name] = _kept(field_name, field, bytes(value))
    missing = [n for n, f in fields.items() if f.required and (kept.get(n) is None if creating else n in kept and kept[n] is None)]
    if missing:
        raise SalesforceError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", *missing)
    return kept


def _kept(name: str, field: Field, raw: bytes) -> Any:
    try:
        value = msgspec.json.decode(raw, type=_SHAPES.get(field.kind, str) | None)
        if field.kind == "date" and value is not None:
            dt.date.fromisoformat(value)
    except ValueError as error:
        raise SalesforceError(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {field.kind} from {raw.decode()[:80]}") from error
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() > 15:
            raise SalesforceError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"{name}: value outside of valid range: {value}", name)
        return plain(value.quantize(Decimal(1).scaleb(-field.scale), rounding=ROUND_HALF_UP))
    if not isinstance(value, str):
        return value
    if field.values and value not in field.values:
        message = f"{name}: bad value for restricted picklist field: {value}"
        raise SalesforceError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, name)
    text = value.strip()
    if len(text) > field.length:
        raise SalesforceError(400, "STRING_TOO_LONG", f"{name}: data value too large: {text[:40]} (max length={field.length})", name)
    return text or None


_SHAPES: dict[str, Any] = {"number": Decimal, "checkbox": bool}
