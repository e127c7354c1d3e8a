"""The lines of an order as the items of a subscription: which price, how many, and what the answer must show."""

import calendar
import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec

from canonical.failures import Rejected
from canonical.order import OrderLine
from canonical.subscription import Subscription
from system_apis.stripe.prices import Price, Recurring, deviates, unit_of
from system_apis.stripe.wire import id_of

PARTS = {"recurring": "recurring", "usage": "usage"}  # charge type: the part of the order that bills it
TRIAL_DAYS_MAX = 729  # Stripe's limit is two years to the second; a day less is always within it


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a subscription; several lines of the same price are one item. ``quantity`` None: charged by use."""

    lines: tuple[int, ...]
    code: str
    price: Price
    unit: str
    quantity: int | None
    inline: bool
    tax_code: str = ""

    def params(self) -> dict[str, Any]:
        recurring = self.price.recurring or Recurring()
        inline = {
            "currency": self.price.currency,
            "product": id_of(self.price.product),
            "recurring": {"interval": recurring.interval, "interval_count": recurring.interval_count},
            "unit_amount_decimal": self.unit,
        }
        return {
            **({"price_data": inline} if self.inline else {"price": self.price.id}),
            "quantity": self.quantity,
            "metadata": {
                "q2c_item": self.code,
                "q2c_lines": ",".join(map(str, self.lines)),
                "q2c_tax_code": self.tax_code or None,
            },
        }

    @property
    def shown(self) -> tuple[Decimal, int | None]:
        """What the answer must show of this item: amount per unit, and quantity."""
        return Decimal(self.unit), self.quantity


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one agreement in Stripe covers: the recurring lines, or the usage lines.

    ``bills_from`` is the day after the latest term: until then the ERP has invoiced everything. None: from the beginning.
    """

    name: str
    items: tuple[Item, ...]
    bills_from: dt.date | None = None

    def first_bill(self, today: dt.date) -> int | None:
        """When Stripe begins to bill, in its time; None where that is at once."""
        return moment(self.bills_from) if self.bills_from is not None and self.bills_from > today else None

    def is_far(self, today: dt.date) -> bool:
        """Whether the first bill is too far away for a trial."""
        return self.bills_from is not None and (self.bills_from - today).days > TRIAL_DAYS_MAX

    def may_bill_from(self, shown: int | None, today: dt.date) -> bool:
        """Whether an answer shows the right beginning; a day that has come since may be shown or not."""
        return shown == self.first_bill(today) or (self.bills_from is not None and shown == moment(self.bills_from))


def billed_lines(subscription: Subscription) -> list[tuple[int, OrderLine]]:
    """The lines that are billed here, with their positions. Raises `Rejected` where one cannot be, or none is."""
    lines = [(position, line) for position, line in enumerate(subscription.lines) if line.charge_type in PARTS]
    if not lines:
        detail = f"order {subscription.order_id} has no recurring and no usage line"
        raise Rejected("nothing_to_bill", detail, pointer="/subscription/lines")
    for position, line in lines:
        if line.unit_price.currency != subscription.currency:
            detail = f"line {line.number} is priced in {line.unit_price.currency}, the order in {subscription.currency}"
            raise Rejected("currency_differs", detail, pointer=f"/subscription/lines/{position}/unit_price/currency")
        if line.charge_type == "recurring" and line.quantity.number % 1:
            detail = f"line {line.number}: {line.quantity.amount} {line.quantity.unit} is not a whole number, and Stripe charges whole ones"
            raise Rejected("quantity_not_whole", detail, pointer=f"/subscription/lines/{position}/quantity")
    return lines


def parts_of(lines: list[OrderLine], prices: dict[int, Price]) -> list[Part]:
    """The one or two agreements that an order needs, recurring first."""
    parts = []
    for name in dict.fromkeys(PARTS.values()):
        own = [line for line in lines if PARTS[line.charge_type] == name]
        if own:
            parts.append(Part(name=name, items=_items(own, prices), bills_from=_bills_from(own) if name == "recurring" else None))
    return parts


def _items(lines: list[OrderLine], prices: dict[int, Price]) -> tuple[Item, ...]:
    """Stripe refuses one price twice in a subscription, so lines of one price are added up; inline prices never collide."""
    items: dict[str, Item] = {}
    for line in lines:
        price = prices[line.number]
        inline = deviates(line, price) and not price.metered
        slot = f"line {line.number}" if inline else price.id
        before = items.get(slot)
        already = (before.quantity or 0) if before else 0
        items[slot] = Item(
            lines=(*(before.lines if before else ()), line.number),
            code=line.item_code,
            price=price,
            unit=unit_of(line),
            quantity=None if price.metered else already + int(line.quantity.number),
            inline=inline,
            tax_code=line.tax_code,
        )
    return tuple(items.values())


def _bills_from(lines: list[OrderLine]) -> dt.date | None:
    ends = [line.term.end for line in lines if line.term is not None]
    return max(ends) + dt.timedelta(days=1) if ends else None


def moment(day: dt.date) -> int:
    """The beginning of a day, UTC, as Stripe counts time."""
    return calendar.timegm(day.timetuple())
