"""Subscriptions: opened so that nothing is billed twice, closed so that nothing is billed any more."""

from collections.abc import Iterable
from typing import Any

from canonical.failures import Rejected
from canonical.subscription import BillingClosed, BillingOpened, CloseBilling, OpenBilling, Subscription
from system_apis.connector import Call
from system_apis.stripe import customers, prices
from system_apis.stripe.agreements import (
    PATHS,
    SCHEDULE,
    SHAPES,
    SUBSCRIPTION,
    Agreement,
    customer_of,
    differences,
    of_order,
    ref,
)
from system_apis.stripe.prices import Recurring
from system_apis.stripe.subscription_items import PARTS, Part, billed_lines, parts_of
from system_apis.stripe.wire import BUYER, CORRELATION, ENTITY, ORDER, PART

COMMENT_MAX = 500

# mapping --------------------------------------------------------------------------------------------------------------


def metadata_of(call: Call, subscription: Subscription, part: Part) -> dict[str, str]:
    """What ties the agreement to its deal, and lets us find it again."""
    return {
        ORDER: subscription.order_id,
        CORRELATION: call.correlation_id,
        ENTITY: subscription.entity,
        BUYER: subscription.customer.id,
        PART: part.name,
    }


def subscription_params(call: Call, subscription: Subscription, part: Part, customer_id: str) -> dict[str, Any]:
    """A subscription that starts now. The committed term is invoiced by the ERP, so until its end it is on trial."""
    return {
        "customer": customer_id,
        "description": f"Order {subscription.order_id}, {part.name}",
        "collection_method": "send_invoice",
        "days_until_due": subscription.customer.payment_terms_days,
        "items": [item.params() for item in part.items],
        "trial_end": part.first_bill(call.now.date()),
        "metadata": metadata_of(call, subscription, part),
    }


def schedule_params(call: Call, subscription: Subscription, part: Part, customer_id: str) -> dict[str, Any]:
    """A subscription that starts later: for terms that are longer than Stripe's longest trial."""
    metadata = metadata_of(call, subscription, part)
    recurring = part.items[0].price.recurring or Recurring()
    phase = {
        "description": f"Order {subscription.order_id}, {part.name}",
        "items": [item.params() for item in part.items],
        "duration": {"interval": recurring.interval, "interval_count": recurring.interval_count},
        "metadata": metadata,
    }
    return {
        "customer": customer_id,
        "start_date": part.first_bill(call.now.date()),
        "end_behavior": "release",  # after its first period the subscription goes on by itself
        "default_settings": {
            "collection_method": "send_invoice",
            "invoice_settings": {"days_until_due": subscription.customer.payment_terms_days},
        },
        "phases": [phase],
        "metadata": metadata,
        "expand": ["phases.items.price"],
    }


PARAMS = {SUBSCRIPTION: subscription_params, SCHEDULE: schedule_params}


def standing(found: Iterable[Agreement], part: str) -> Agreement | None:
    """The agreement of a part; one that still stands comes before one that has ended."""
    return min((a for a in found if a.part == part), key=lambda a: a.ended, default=None)


# operations -----------------------------------------------------------------------------------------------------------


async def create(call: Call, command: OpenBilling) -> BillingOpened:
    """Open what the order needs. Refused halfway, it leaves nothing standing."""
    subscription = command.subscription
    lines = billed_lines(subscription)
    priced = await prices.of_lines(call, lines, subscription.currency)
    parts = parts_of([line for _, line in lines], priced)
    customer, _ = await customers.obtain(call, subscription.customer)
    found = await of_order(call, customer.id, subscription.order_id)
    made: list[Agreement] = []
    try:
        for part in parts:
            agreement = standing(found, part.name) or await _open(call, subscription, part, customer.id)
            made.append(agreement)
            _check(call, agreement, subscription, part)
    except Rejected as refusal:
        for agreement in made:
            await cancel(call, agreement, f"order {subscription.order_id} refused: {refusal.code}")
        raise
    return BillingOpened(order_id=subscription.order_id, billing_ref=ref(call, made[0]))


async def find_by_key(call: Call, command: OpenBilling) -> BillingOpened | None:
    """Whether everything that the order needs is there and stands."""
    subscription = command.subscription
    customer = await customers.known(call, subscription.customer)
    if customer is None:
        return None
    found = await of_order(call, customer.id, subscription.order_id)
    wanted = {PARTS[line.charge_type] for _, line in billed_lines(subscription)}
    there = [a for name in PARTS.values() if name in wanted and (a := standing(found, name)) is not None and not a.ended]
    if len(there) < len(wanted):
        return None
    return BillingOpened(order_id=subscription.order_id, billing_ref=ref(call, there[0]))


async def close(call: Call, command: CloseBilling) -> BillingClosed:
    """Cancel all agreements of the order."""
    for agreement in await of_order(call, await customer_of(call, command.billing_ref), command.order_id):
        await cancel(call, agreement, command.reason)
    return BillingClosed(order_id=command.order_id)


async def find_closed(call: Call, command: CloseBilling) -> BillingClosed | None:
    """Whether nothing of the order stands any more."""
    found = await of_order(call, await customer_of(call, command.billing_ref), command.order_id)
    return BillingClosed(order_id=command.order_id) if all(agreement.ended for agreement in found) else None


async def cancel(call: Call, agreement: Agreement, reason: str = "") -> None:
    """Cancel one agreement without a last invoice. Stripe refuses to cancel twice, which for us is a success."""
    if agreement.ended:
        return
    path = f"{PATHS[agreement.kind]}/{agreement.id}"
    shape = SHAPES[agreement.kind]
    quiet = {"invoice_now": False, "prorate": False}
    try:
        if agreement.kind == SCHEDULE:
            answer = (await call.client.write(f"{path}/cancel", quiet, key=f"{call.key}/cancel/{agreement.id}", shape=shape))[0]
        else:
            comment = {"cancellation_details": {"comment": reason[:COMMENT_MAX]}} if reason else {}
            answer = await call.client.delete(path, shape, **quiet, **comment)
    except Rejected:
        answer = await call.client.read(path, shape)
        if not answer.ended:
            raise
    if not answer.ended:
        raise Rejected("read_back_differs", f"{agreement.kind} {agreement.id} is {answer.status} after it was cancelled")


async def _open(call: Call, subscription: Subscription, part: Part, customer_id: str) -> Agreement:
    """Make an agreement under a key of its own. What a replay shows may be long past, so it is read again."""
    kind = SCHEDULE if part.is_far(call.now.date()) else SUBSCRIPTION
    # the key tells apart what another day would ask for differently: a trial, a schedule, or a bill from now on
    overdue = part.bills_from is not None and part.first_bill(call.now.date()) is None
    how = "-later" if kind == SCHEDULE else "-now" if overdue else ""
    params = PARAMS[kind](call, subscription, part, customer_id)

    async def again() -> Agreement | None:
        return standing(await of_order(call, customer_id, subscription.order_id), part.name)

    path, shape = PATHS[kind], SHAPES[kind]
    made, replayed = await call.client.create(path, params, key=f"{call.key}/{part.name}{how}", shape=shape, find=again)
    if replayed:
        expand = ["phases.items.price"] if kind == SCHEDULE else None
        made = await call.client.read(f"{path}/{made.id}", shape, expand=expand)
    agreement: Agreement = made
    return agreement


def _check(call: Call, agreement: Agreement, subscription: Subscription, part: Part) -> None:
    if agreement.ended:
        detail = f"the {part.name} {agreement.kind} {agreement.id} of order {subscription.order_id} has been cancelled in Stripe"
        raise Rejected("subscription_cancelled", detail)
    wrong = differences(agreement, subscription.order_id, part, subscription.currency, call.now.date())
    if wrong:
        raise Rejected("read_back_differs", f"{agreement.kind} {agreement.id}: {'; '.join(wrong)}")
