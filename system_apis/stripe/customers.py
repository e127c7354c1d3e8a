"""Customers in Stripe: found by our id, adopted by exact name and e-mail, else created; never twice."""

import re

import msgspec

from canonical.customer import Address, Customer, CustomerEnsured, EnsureBillingCustomer, TaxRegistration
from canonical.failures import Broken, Unavailable
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.stripe.wire import CUSTOMER, Metadata

# wire shapes ----------------------------------------------------------------------------------------------------------


class StripeCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer as Stripe shows it."""

    id: str
    name: str | None = None
    email: str | None = None
    metadata: Metadata = None
    created: int = 0
    deleted: bool = False

    @property
    def our_id(self) -> str:
        return (self.metadata or {}).get(CUSTOMER, "")


# mapping --------------------------------------------------------------------------------------------------------------

_EU = re.findall("..", "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK")
TAX_ID_TYPES: dict[tuple[str, str], str] = {
    **{(country, "vat"): "eu_vat" for country in _EU},
    ("GB", "vat"): "gb_vat",
    ("CH", "vat"): "ch_vat",
    ("NO", "vat"): "no_vat",
    ("US", "ein"): "us_ein",
    ("IN", "gst"): "in_gst",
    ("NZ", "gst"): "nz_gst",
    ("CA", "gst"): "ca_gst_hst",
}


def params_of(customer: Customer) -> dict[str, object]:
    """What Stripe is told of a new customer.

    The correlation id is not among it: a customer outlives a transaction, and two orders of one customer must ask for the same thing.
    """
    return {
        "name": customer.legal_name,
        "email": customer.email or None,
        "address": _address(customer.bill_to),
        "shipping": {"name": customer.legal_name, "address": _address(customer.ship_to)} if customer.ship_to else None,
        "tax_id_data": [tax_id for r in customer.tax_registrations if (tax_id := _tax_id(r))],
        "metadata": {CUSTOMER: customer.id},
    }


def _address(address: Address | None) -> dict[str, str | None] | None:
    if address is None:
        return None
    return {
        "line1": address.street or None,
        "city": address.city or None,
        "state": address.region or None,
        "postal_code": address.postal_code or None,
        "country": address.country,
    }


def _tax_id(registration: TaxRegistration) -> dict[str, str] | None:
    kind = TAX_ID_TYPES.get((registration.country, registration.scheme))
    return {"type": kind, "value": registration.number} if kind else None


def ref(call: Call, found: StripeCustomer) -> ExternalId:
    """The customer as our side remembers it."""
    return ExternalId(connection=call.connection, kind="customer", id=found.id)


# operations -----------------------------------------------------------------------------------------------------------


async def ensure(call: Call, command: EnsureBillingCustomer) -> CustomerEnsured:
    """Find or create the customer."""
    found, created = await obtain(call, command.customer)
    return CustomerEnsured(customer=ref(call, found), created=created)


async def find_by_key(call: Call, command: EnsureBillingCustomer) -> CustomerEnsured | None:
    """Whether the customer is there. It was not when we began to write, so it counts as created."""
    found = await known(call, command.customer)
    return CustomerEnsured(customer=ref(call, found), created=True) if found else None


async def obtain(call: Call, customer: Customer) -> tuple[StripeCustomer, bool]:
    """The customer, and whether it is new."""
    listed = await _same_email(call, customer)
    found = await _carrier(call, customer, listed) or await _adopted(call, customer, listed)
    return (found, False) if found else await _made(call, customer)


async def known(call: Call, customer: Customer) -> StripeCustomer | None:
    """The customer that carries our id, if there is one."""
    return await _carrier(call, customer, await _same_email(call, customer))


async def _carrier(call: Call, customer: Customer, listed: list[StripeCustomer]) -> StripeCustomer | None:
    """First the list by e-mail, which is always up to date, then the search, which lags but needs no e-mail."""
    ours = [c for c in listed if c.our_id == customer.id]
    if not ours:
        quoted = customer.id.replace("\\", "\\\\").replace("'", "\\'")
        hits = await call.client.search("/v1/customers", f"metadata['{CUSTOMER}']:'{quoted}'", StripeCustomer)
        ours = [c for c in hits if c.our_id == customer.id and not c.deleted]
    return min(ours, key=lambda c: (c.created, c.id), default=None)


async def _same_email(call: Call, customer: Customer) -> list[StripeCustomer]:
    if not customer.email:
        return []
    return [c for c in await call.client.every("/v1/customers", StripeCustomer, email=customer.email) if not c.deleted]


async def _adopted(call: Call, customer: Customer, listed: list[StripeCustomer]) -> StripeCustomer | None:
    """A customer that people made in Stripe, with exactly this name and e-mail and no id of ours: from now on it carries one."""
    same = [c for c in listed if c.name == customer.legal_name and not c.our_id]
    if not same:
        return None
    chosen = min(same, key=lambda c: (c.created, c.id))
    params = {"metadata": {CUSTOMER: customer.id}}
    adopted, _ = await call.client.write(f"/v1/customers/{chosen.id}", params, key=f"customer/{customer.id}/adopt", shape=StripeCustomer)
    return _checked(adopted, customer)


async def _made(call: Call, customer: Customer) -> tuple[StripeCustomer, bool]:
    """A new customer. The key is the customer's own, not the order's: two first orders at once make one customer."""
    try:
        made, replayed = await call.client.create(
            "/v1/customers",
            params_of(customer),
            key=f"customer/{customer.id}",
            shape=StripeCustomer,
            find=lambda: known(call, customer),
        )
    except Broken as failure:
        if failure.code != "idempotency_key_reused":
            raise
        # another order has just made the customer with other details; the list or, a little later, the search will show it
        found = await known(call, customer)
        if found is None:
            raise Unavailable("customer_settling", f"customer {customer.id} was made a moment ago and does not show yet") from failure
        return found, False
    return _checked(made, customer), not replayed


def _checked(answer: StripeCustomer, customer: Customer) -> StripeCustomer:
    if answer.our_id != customer.id:
        raise Broken("read_back_differs", f"Stripe did not keep our id {customer.id} on customer {answer.id}")
    return answer
