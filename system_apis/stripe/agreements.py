"""What bills an order in Stripe: a subscription, or a schedule that will become one. Both look alike from here."""

import datetime as dt
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.stripe.prices import Price
from system_apis.stripe.subscription_items import Part
from system_apis.stripe.wire import ORDER, PART, Expandable, Metadata, id_of

SUBSCRIPTION = "subscription"
SCHEDULE = "subscription_schedule"
PATHS = {SUBSCRIPTION: "/v1/subscriptions", SCHEDULE: "/v1/subscription_schedules"}
ENDED = {"canceled", "incomplete_expired"}
HANDED_OVER = {"released", "completed"}  # such a schedule bills nothing any more: its subscription does, and carries the same metadata

# wire shapes ----------------------------------------------------------------------------------------------------------


class SubscriptionItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a subscription or of a schedule's phase; there, the price is an id unless it was expanded."""

    price: Price | str
    quantity: int | None = None


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a subscription."""

    data: list[SubscriptionItem] = []


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of a schedule."""

    start_date: int = 0
    items: list[SubscriptionItem] = []


class _Agreement(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str = ""
    customer: Expandable = None
    metadata: Metadata = None

    @property
    def order_id(self) -> str:
        return (self.metadata or {}).get(ORDER, "")

    @property
    def part(self) -> str:
        return (self.metadata or {}).get(PART, "")

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class StripeSubscription(_Agreement, frozen=True, kw_only=True):
    """A subscription as Stripe shows it."""

    currency: str = ""
    trial_end: int | None = None
    items: ItemList = ItemList()

    kind: ClassVar[str] = SUBSCRIPTION

    @property
    def bills_from(self) -> int | None:
        return self.trial_end

    @property
    def shown(self) -> list[SubscriptionItem]:
        return self.items.data


class StripeSchedule(_Agreement, frozen=True, kw_only=True):
    """A schedule as Stripe shows it, its prices expanded."""

    phases: list[Phase] = []

    kind: ClassVar[str] = SCHEDULE

    @property
    def bills_from(self) -> int | None:
        return self.phases[0].start_date if self.phases else None

    @property
    def shown(self) -> list[SubscriptionItem]:
        return self.phases[0].items if self.phases else []


Agreement = StripeSubscription | StripeSchedule
SHAPES: dict[str, type[Agreement]] = {SUBSCRIPTION: StripeSubscription, SCHEDULE: StripeSchedule}

# mapping --------------------------------------------------------------------------------------------------------------


def ref(call: Call, agreement: Agreement) -> ExternalId:
    """The agreement as our side remembers it."""
    return ExternalId(connection=call.connection, kind=agreement.kind, id=agreement.id)


def differences(agreement: Agreement, order_id: str, part: Part, currency: str, today: dt.date) -> list[str]:
    """What Stripe shows otherwise than it was asked for, in words; nothing where all is as it should be."""
    shown = [item.price for item in agreement.shown if isinstance(item.price, Price)]
    currencies = {price.currency.upper() for price in shown}
    if isinstance(agreement, StripeSubscription):
        currencies.add(agreement.currency.upper())
    seen: dict[str, tuple[Any, Any]] = {
        "order": (order_id, agreement.order_id),
        "part": (part.name, agreement.part),
        "currency": ({currency}, currencies),
        "items": (sorted(map(_sortable, (item.shown for item in part.items))), sorted(map(_sortable, map(_seen, agreement.shown)))),
    }
    wrong = [f"{what} is {there}, not {here}" for what, (here, there) in seen.items() if here != there]
    if not part.may_bill_from(agreement.bills_from, today):
        wrong.append(f"the first bill is due at {agreement.bills_from}, not on {part.bills_from}")
    return wrong


def _seen(item: SubscriptionItem) -> tuple[Decimal | None, int | None]:
    price = item.price
    if isinstance(price, str):
        return None, item.quantity
    return price.unit, None if price.metered else item.quantity


def _sortable(shown: tuple[Decimal | None, int | None]) -> tuple[Decimal, int]:
    unit, quantity = shown
    return Decimal(-1) if unit is None else unit, -1 if quantity is None else quantity


# operations -----------------------------------------------------------------------------------------------------------


async def of_order(call: Call, customer_id: str, order_id: str) -> list[Agreement]:
    """All agreements of an order, ended ones too. Lists, unlike searches, show a record as soon as it is made."""
    subscriptions = await call.client.every(PATHS[SUBSCRIPTION], StripeSubscription, customer=customer_id, status="all")
    schedules = await call.client.every(PATHS[SCHEDULE], StripeSchedule, customer=customer_id, expand=["data.phases.items.price"])
    found: list[Agreement] = [*schedules, *subscriptions]
    return [a for a in found if a.order_id == order_id and a.status not in HANDED_OVER]


async def customer_of(call: Call, reference: ExternalId) -> str:
    """The customer behind a reference. Raises `Rejected("record_unknown")` where the account has no such agreement."""
    kind = reference.kind if reference.kind in PATHS else SUBSCRIPTION
    agreement = await call.client.read(f"{PATHS[kind]}/{reference.id}", SHAPES[kind])
    return id_of(agreement.customer)
