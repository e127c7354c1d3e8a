"""Customers are accounts; our id stands in Q2C_Id__c, and an account that does not carry it yet goes by its record id."""

import msgspec

from canonical.customer import Customer, CustomerFound, FindCustomer
from canonical.provenance import ExternalId, Provenance
from system_apis.connector import Call
from system_apis.salesforce.client import record_path
from system_apis.salesforce.reading import address, fit, is_record_id
from system_apis.salesforce.settings import SalesforceSettings
from system_apis.salesforce.soql import columns

# ---------------------------------------------------------------- wire shapes

ACCOUNT_PREFIX = "001"


class AccountRow(msgspec.Struct, rename="pascal"):
    """An account, as far as the house reads it."""

    id: str
    name: str
    currency_iso_code: str | None = None
    our_id: str | None = msgspec.field(name="Q2C_Id__c", default=None)
    email: str | None = msgspec.field(name="Q2C_Invoice_Email__c", default=None)
    tax_number: str | None = msgspec.field(name="Q2C_Tax_Number__c", default=None)
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


# ---------------------------------------------------------------- mapping


def account_path(customer_id: str) -> str:
    """Where the account of a customer is read: by record id where the id is one, else by our id."""
    if is_record_id(customer_id, ACCOUNT_PREFIX):
        return f"Account/{customer_id}"
    return record_path("Account", "Q2C_Id__c", customer_id)


def customer_values(row: AccountRow, settings: SalesforceSettings, connection: str) -> dict[str, object]:
    """The values of the canonical customer, still unchecked."""
    bill_to = billing_address(row, settings)
    values: dict[str, object] = {
        "id": row.our_id or row.id,
        "legal_name": row.name,
        "email": row.email or "",
        "bill_to": bill_to,
        "ship_to": shipping_address(row, settings) or bill_to,
        "external_ids": [ExternalId(connection=connection, kind="account", id=row.id)],
    }
    if row.currency_iso_code:
        values["currency"] = row.currency_iso_code
    if row.tax_number and bill_to:
        values["tax_registrations"] = [{"country": bill_to["country"], "number": row.tax_number}]
    return values


def billing_address(row: AccountRow, settings: SalesforceSettings) -> dict[str, str] | None:
    """Where the invoices go."""
    parts = {
        "street": row.billing_street,
        "city": row.billing_city,
        "region": row.billing_state,
        "postal_code": row.billing_postal_code,
        "country": row.billing_country,
    }
    return address(parts, settings.countries)


def shipping_address(row: AccountRow, settings: SalesforceSettings) -> dict[str, str] | None:
    """Where the goods go, which decides the taxes."""
    parts = {
        "street": row.shipping_street,
        "city": row.shipping_city,
        "region": row.shipping_state,
        "postal_code": row.shipping_postal_code,
        "country": row.shipping_country,
    }
    return address(parts, settings.countries)


# ---------------------------------------------------------------- operations


async def find(call: Call, command: FindCustomer) -> CustomerFound:
    """The customer by our id. Raises `Rejected("ambiguous_external_id")` where the org has the id twice."""
    row = await call.client.read(account_path(command.customer_id), columns(AccountRow), AccountRow)
    if row is None:
        return CustomerFound()
    seen = Provenance(
        source_system="salesforce", connection=call.connection, correlation_id=call.correlation_id, observed_at=call.now.isoformat()
    )
    values = {**customer_values(row, call.settings, call.connection), "provenance": seen}
    return CustomerFound(customer=fit(Customer, values, "customer_not_representable"))
