"""Customer: whom we sell to, with the legal entity that sells, the credit that we give, and how taxes see them."""

from typing import Literal

import msgspec

from canonical.messages import Command, Event
from canonical.money import CurrencyCode, Money
from canonical.provenance import Country, ExternalId, Id, Name, Provenance, Text


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A postal address."""

    street: Text = ""
    city: Text = ""
    region: Text = ""
    postal_code: Text = ""
    country: Country


class TaxRegistration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax number and who issued it, e.g. DE / vat / DE123456789."""

    country: Country
    scheme: Literal["vat", "gst", "ein", "other"] = "vat"
    number: Name


class Customer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A business partner on the selling side. ``id`` is ours; what vendors call it stands in links."""

    id: Id
    legal_name: Name
    email: Text = ""
    currency: CurrencyCode = "EUR"
    party_type: Literal["customer", "vendor", "both", "prospect"] = "customer"
    bill_to: Address | None = None
    ship_to: Address | None = None
    tax_registrations: tuple[TaxRegistration, ...] = ()
    payment_terms_days: int = 30
    external_ids: tuple[ExternalId, ...] = ()
    provenance: Provenance | None = None


class CustomerEnsured(Event, frozen=True, kw_only=True):
    """The customer exists at the connection under this reference; ``created`` says whether it is new there."""

    customer: ExternalId
    created: bool


class EnsureCustomer(Command[CustomerEnsured], frozen=True, kw_only=True):
    """Find the customer by external id, tax number or exact name and e-mail, or create it; never a duplicate."""

    port = "erp"
    customer: Customer


class EnsureBillingCustomer(Command[CustomerEnsured], frozen=True, kw_only=True):
    """The same for the billing system."""

    port = "billing"
    customer: Customer


class CustomerFound(Event, frozen=True, kw_only=True):
    """The customer as the connection knows it; ``customer`` is None where it knows none."""

    customer: Customer | None = None


class FindCustomer(Command[CustomerFound], frozen=True, kw_only=True):
    """Look a customer up by our id; answers None, not a failure, where there is none."""

    port = "crm"
    customer_id: Id


class CreditChecked(Event, frozen=True, kw_only=True):
    """What the ERP says of a customer's credit. ``limit`` None: no limit is set there."""

    known: bool
    on_hold: bool = False
    limit: Money | None = None
    open_balance: Money | None = None


class CheckCredit(Command[CreditChecked], frozen=True, kw_only=True):
    """Ask for credit limit, hold and open balance, in `currency`."""

    port = "erp"
    customer_id: Id
    customer_name: Name
    currency: CurrencyCode
