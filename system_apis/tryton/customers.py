"""Customers in Tryton: parties, found by our id (their unique code), tax number, or exact name and e-mail, else made; never twice."""

from decimal import Decimal
from typing import Any

import msgspec

from canonical.customer import Address, CheckCredit, CreditChecked, Customer, CustomerEnsured, EnsureCustomer, TaxRegistration
from canonical.failures import Rejected, Unavailable
from canonical.money import Money
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.tryton.client import EITHER, Books
from system_apis.tryton.failures import CODE_TAKEN

PARTY = "party.party"

# wire shapes ----------------------------------------------------------------------------------------------------------


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """A party as we need it to recognise a customer."""

    id: int
    code: str | None = None
    name: str | None = None
    active: bool = True


class PartyAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What a party owes the company, in the company's currency; unapplied payments are deducted."""

    id: int
    code: str | None = None
    active: bool = True
    receivable: Decimal = Decimal(0)


class Currency(msgspec.Struct, frozen=True, kw_only=True):
    """A currency of the database."""

    id: int
    code: str = ""


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """The company, for the currency in which it keeps its books."""

    id: int
    currency: Currency = msgspec.field(name="currency.")


class Country(msgspec.Struct, frozen=True, kw_only=True):
    """A country, where the database has them (they are imported separately)."""

    id: int
    code: str | None = None


# mapping --------------------------------------------------------------------------------------------------------------

_EU_MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
_EU = frozenset(_EU_MEMBERS.split())


def searches(customer: Customer, connection: str) -> list[list[Any]]:
    """How a customer is recognised, the surest way first: Tryton's own id, our id, a tax number, exact name and e-mail."""
    known = [int(e.id) for e in customer.external_ids if e.connection == connection and e.id.isdecimal()]
    numbers = sorted({n for r in customer.tax_registrations for n in (compact(r), compact(r).removeprefix(r.country))})
    ways: list[list[Any]] = [[["id", "in", known]]] if known else []
    ways.append([["code", "=", customer.id]])
    if numbers:
        ways.append([["identifiers.code", "in", numbers]])
    if customer.email:
        mechanism = ["contact_mechanisms", "where", [["type", "=", "email"], ["value", "=", customer.email]]]
        ways.append([["name", "=", customer.legal_name], mechanism])
    return [[*way, EITHER] for way in ways]


def compact(registration: TaxRegistration) -> str:
    """A tax number without blanks and dots; a VAT number of the EU begins with its country."""
    number = "".join(c for c in registration.number.upper() if c.isalnum())
    european = registration.scheme == "vat" and registration.country in _EU
    return number if not european or number.startswith(registration.country) else registration.country + number


def values_of(customer: Customer, countries: dict[str, int]) -> dict[str, Any]:
    """What Tryton is told of a new customer. A country that the database does not have stands in the address as text."""
    values: dict[str, Any] = {
        "name": customer.legal_name,
        "code": customer.id,
        "addresses": [["create", _addresses(customer, countries)]],
    }
    if customer.email:
        values["contact_mechanisms"] = [["create", [{"type": "email", "value": customer.email}]]]
    if customer.tax_registrations:
        values["identifiers"] = [["create", [_identifier(r) for r in customer.tax_registrations]]]
    return values


def _identifier(registration: TaxRegistration) -> dict[str, str]:
    european = registration.scheme == "vat" and registration.country in _EU
    kind = {"type": "eu_vat"} if european else {}  # without a type Tryton keeps the number and does not check it
    return {**kind, "code": compact(registration)}


def _addresses(customer: Customer, countries: dict[str, int]) -> list[dict[str, Any]]:
    bill_to, ship_to = customer.bill_to or customer.ship_to, customer.ship_to or customer.bill_to
    if bill_to is None or ship_to is None:
        return [{"invoice": True, "delivery": True}]  # a sale cannot be quoted without an address
    if bill_to == ship_to:
        return [{**_address(bill_to, countries), "invoice": True, "delivery": True}]
    return [{**_address(bill_to, countries), "invoice": True}, {**_address(ship_to, countries), "delivery": True}]


def _address(address: Address, countries: dict[str, int]) -> dict[str, Any]:
    country = countries.get(address.country)
    lines = [address.street, address.region, "" if country else address.country]
    placed = {"street": "\n".join(line for line in lines if line), "city": address.city, "postal_code": address.postal_code}
    return {**placed, **({"country": country} if country else {})}


# operations -----------------------------------------------------------------------------------------------------------


async def ensure(call: Call, command: EnsureCustomer) -> CustomerEnsured:
    """Find the customer or make it. Two callers at once make one: Tryton refuses the second code, and then the first is found."""
    books, customer = call.client.books(call.entity), command.customer
    found = await _found(books, customer, call.connection)
    if found is not None:
        return CustomerEnsured(customer=reference(call, found), created=False)
    values = values_of(customer, await _countries(books, customer))
    try:
        party_id = await books.create(PARTY, values)
    except Unavailable as race:
        made = await _found(books, customer, call.connection) if race.code == CODE_TAKEN else None
        if made is None:
            raise
        return CustomerEnsured(customer=reference(call, made), created=False)
    return CustomerEnsured(customer=reference(call, Party(id=party_id, code=customer.id)), created=True)


async def find_by_key(call: Call, command: EnsureCustomer) -> CustomerEnsured | None:
    """Whether the customer is there now. It was not when we began to write, so one with our code counts as made by us."""
    found = await _found(call.client.books(call.entity), command.customer, call.connection)
    return CustomerEnsured(customer=reference(call, found), created=found.code == command.customer.id) if found else None


async def check_credit(call: Call, command: CheckCredit) -> CreditChecked:
    """What Tryton knows of a customer's credit: the open balance, and whether people have deactivated the party (that is a hold).

    Tryton's core has no credit limit, so `limit` is always None. The balance is the party's receivable, kept in the company's currency;
    in another currency none is given rather than a converted one.
    """
    books = call.client.books(call.entity)
    parties = await books.rows(PARTY, [["code", "=", command.customer_id], EITHER], PartyAccount)
    parties = parties or await books.rows(PARTY, [["name", "=", command.customer_name], EITHER], PartyAccount)
    if len(parties) != 1:
        return CreditChecked(known=False)  # several of one name are as good as none
    party = parties[0]
    company = await books.lookup("company.company", [["id", "=", books.company]], Company)
    same = company is not None and company.currency.code == command.currency
    balance = Money.rounded(party.receivable, command.currency) if same else None
    return CreditChecked(known=True, on_hold=not party.active, open_balance=balance)


def reference(call: Call, party: Party) -> ExternalId:
    """How the party is known to us."""
    return ExternalId(connection=call.connection, kind="party", id=str(party.id), number=party.code or "")


async def _found(books: Books, customer: Customer, connection: str) -> Party | None:
    for domain in searches(customer, connection):
        parties = await books.rows(PARTY, domain, Party)
        if len(parties) > 1:
            names = ", ".join(f"{p.name} [{p.code}]" for p in parties[:5])
            raise Rejected("customer_ambiguous", f"several parties could be {customer.legal_name}: {names}", pointer="/customer")
        if parties:
            return parties[0]
    return None


async def _countries(books: Books, customer: Customer) -> dict[str, int]:
    codes = {address.country for address in (customer.bill_to, customer.ship_to) if address}
    found = {code: await books.lookup("country.country", [["code", "=", code]], Country) for code in sorted(codes)}
    return {code: country.id for code, country in found.items() if country}
