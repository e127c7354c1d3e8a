"""Subscription: what the billing system charges again and again, or by use."""

import datetime as dt

import msgspec

from canonical.customer import Customer
from canonical.messages import Command, Event
from canonical.money import CurrencyCode
from canonical.order import OrderLine
from canonical.provenance import ExternalId, Id, Text


class Subscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recurring and usage lines of one order."""

    order_id: Id
    entity: Id
    customer: Customer
    currency: CurrencyCode
    starts_on: dt.date
    lines: tuple[OrderLine, ...]


class BillingOpened(Event, frozen=True, kw_only=True):
    """The billing system has the subscription."""

    order_id: Id
    billing_ref: ExternalId


class OpenBilling(Command[BillingOpened], frozen=True, kw_only=True):
    """Open the subscription; an item that is not sold in the currency is rejected with ``plan_not_sold_in_currency``."""

    port = "billing"
    subscription: Subscription


class BillingClosed(Event, frozen=True, kw_only=True):
    """The subscription will not be billed."""

    order_id: Id


class CloseBilling(Command[BillingClosed], frozen=True, kw_only=True):
    """Cancel the subscription; one that is already cancelled is a success."""

    port = "billing"
    order_id: Id
    billing_ref: ExternalId
    reason: Text = ""
