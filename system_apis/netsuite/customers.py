"""Customers in NetSuite: found by our id, by tax number or by name and e-mail, and made only when nobody knows them."""

from typing import Any

import msgspec

from canonical.customer import Address, Customer, CustomerEnsured, EnsureCustomer
from canonical.failures import Broken, Misconfigured, Rejected
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.netsuite.client import NetSuiteClient, subsidiary
from system_apis.netsuite.settings import NetSuiteSettings
from system_apis.netsuite.wire import Ref, external_id, memo, quoted

RECORD = "customer"

# wire shapes ---------------------------------------------------------------------------------------------------------


class CustomerRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What we read of a customer. NetSuite leaves out what is empty."""

    id: str
    entity_id: str = ""
    company_name: str = ""
    email: str = ""
    comments: str = ""
    currency: Ref = Ref()


class CustomerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A customer in a query."""

    id: str
    entityid: str = ""
    externalid: str = ""


# mapping -------------------------------------------------------------------------------------------------------------


def to_record(customer: Customer, settings: NetSuiteSettings, entity: str, currency_id: str, comments: str) -> dict[str, Any]:
    """The customer as NetSuite wants it."""
    record: dict[str, Any] = {
        "isPerson": False,
        "companyName": customer.legal_name,
        "subsidiary": {"id": subsidiary(settings, entity)},
        "currency": {"id": currency_id},
        "comments": comments,
    }
    if customer.email:
        record["email"] = customer.email
    if settings.terms:
        record["terms"] = {"id": _terms(settings, customer.payment_terms_days)}
    if customer.tax_registrations:
        record["vatRegNumber"] = customer.tax_registrations[0].number
    if customer.bill_to or customer.ship_to:
        record["addressBook"] = {"items": _addresses(customer)}
    return record


def _terms(settings: NetSuiteSettings, days: int) -> str:
    if str(days) not in settings.terms:
        raise Misconfigured("terms_not_mapped", f"the connection has no payment terms of {days} days")
    return settings.terms[str(days)]


def _addresses(customer: Customer) -> list[dict[str, Any]]:
    same = customer.ship_to is None or customer.ship_to == customer.bill_to
    kinds = [(customer.bill_to, True, same), (None if same else customer.ship_to, customer.bill_to is None, True)]
    return [
        {"defaultBilling": billing, "defaultShipping": shipping, "addressBookAddress": _address(address, customer.legal_name)}
        for address, billing, shipping in kinds
        if address is not None
    ]


def _address(address: Address, addressee: str) -> dict[str, Any]:
    fields = {
        "addressee": addressee,
        "addr1": address.street,
        "city": address.city,
        "state": address.region,
        "zip": address.postal_code,
    }
    return {**{name: value for name, value in fields.items() if value}, "country": {"id": address.country}}


def to_reference(connection: str, internal_id: str, number: str) -> ExternalId:
    """The customer as this connection knows it."""
    return ExternalId(connection=connection, kind=RECORD, id=internal_id, number=number)


# operations ----------------------------------------------------------------------------------------------------------


async def ensure(call: Call, command: EnsureCustomer) -> CustomerEnsured:
    """Find the customer, link the one that was there before us, or create it under our id."""
    client: NetSuiteClient = call.client
    customer = command.customer
    known = await find_by_key(call, command)
    if known is not None:
        return msgspec.structs.replace(known, created=False)
    match = await _match(client, customer)
    if match is not None:
        if not match.externalid:
            await client.update(RECORD, match.id, {"externalId": external_id(customer.id)})
        return CustomerEnsured(customer=to_reference(call.connection, match.id, match.entityid), created=False)
    currency_id = await client.currency_id(customer.currency)
    body = to_record(customer, call.settings, call.entity, currency_id, memo(customer.id, call.correlation_id))
    await client.upsert(RECORD, customer.id, body, lines="addressBook")
    made = await client.read_back(RECORD, f"eid:{external_id(customer.id)}", CustomerRecord)
    if (made.company_name, made.currency.id) != (customer.legal_name, currency_id):
        raise Broken("read_back_differs", f"NetSuite keeps {made.company_name!r} with currency id {made.currency.id!r}")
    return CustomerEnsured(customer=to_reference(call.connection, made.id, made.entity_id), created=True)


async def find_by_key(call: Call, command: EnsureCustomer) -> CustomerEnsured | None:
    """The customer under our id; made within this deal where its comment carries the deal's name."""
    found = await call.client.read(RECORD, f"eid:{external_id(command.customer.id)}", CustomerRecord)
    if found is None:
        return None
    made_here = bool(call.correlation_id) and call.correlation_id in found.comments.split()
    return CustomerEnsured(customer=to_reference(call.connection, found.id, found.entity_id), created=made_here)


async def _match(client: NetSuiteClient, customer: Customer) -> CustomerRow | None:
    """The one customer with this tax number, else with this exact name and e-mail. Raises `Rejected` where there are several."""
    questions = [f"vatregnumber = {quoted(tax.number)}" for tax in customer.tax_registrations[:1]]
    if customer.email:
        same_name = f"LOWER(companyname) = LOWER({quoted(customer.legal_name)})"
        questions.append(f"{same_name} AND LOWER(email) = LOWER({quoted(customer.email)})")
    for condition in questions:
        query = f"SELECT id, entityid, externalid FROM customer WHERE {condition} AND isinactive = 'F' ORDER BY id"  # noqa: S608 - SuiteQL has no parameters; `quoted` doubles the quotes
        rows = await client.rows(query, CustomerRow, limit=3)
        if len(rows) > 1:
            raise Rejected("customer_ambiguous", f"NetSuite has several customers with {condition}")
        if rows:
            return rows[0]
    return None
