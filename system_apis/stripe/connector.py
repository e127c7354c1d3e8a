"""The card of Stripe: billing and payments."""

from datetime import timedelta

from canonical.customer import EnsureBillingCustomer
from canonical.subscription import CloseBilling, OpenBilling
from system_apis.connector import Connector, Limit, Once, Operation, Resource
from system_apis.stripe import customers, subscriptions
from system_apis.stripe.client import StripeClient
from system_apis.stripe.failures import FAILURES
from system_apis.stripe.settings import StripeSettings
from system_apis.stripe.webhooks import WEBHOOKS

# A second look after an unknown outcome is safe at once, because a second try under the same key is; this wait only saves it.
SETTLES_IN = timedelta(seconds=2)

STRIPE = Connector(
    name="stripe",
    title="Stripe (API 2026-10-28)",
    settings=StripeSettings,
    client=StripeClient,
    failures=FAILURES,
    limit=Limit(in_flight_max=20, per_minute_max=900),  # opening takes six to eight of the 100 requests a second that Stripe allows
    does={
        EnsureBillingCustomer: Operation(customers.ensure, once=Once.NATIVE_KEY, find=customers.find_by_key, settles_in=SETTLES_IN),
        OpenBilling: Operation(subscriptions.create, once=Once.NATIVE_KEY, find=subscriptions.find_by_key, settles_in=SETTLES_IN),
        # cancelling twice is refused and means done: the agreement's id is the handle
        CloseBilling: Operation(subscriptions.close, once=Once.EXTERNAL_ID_UPSERT, find=subscriptions.find_closed, settles_in=SETTLES_IN),
    },
    resources={
        "customers": Resource(post=EnsureBillingCustomer),
        "subscriptions": Resource(post=OpenBilling),
    },
    webhooks=WEBHOOKS,
)
