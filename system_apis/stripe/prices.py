"""Prices in Stripe: one per item and currency, found by its lookup key; a negotiated usage price is made once and found ever after."""

from decimal import Decimal

import msgspec

from canonical.failures import Rejected
from canonical.order import OrderLine
from system_apis.connector import Call
from system_apis.stripe.amounts import unit_amount
from system_apis.stripe.wire import Expandable, id_of

LOOKUP_KEYS_MAX = 10  # Stripe's limit for one request

# wire shapes ----------------------------------------------------------------------------------------------------------


class Recurring(msgspec.Struct, frozen=True, kw_only=True):
    """How often a price is charged, and whether by use. A word that Stripe adds later is kept as it is."""

    interval: str = "month"
    interval_count: int = 1
    usage_type: str = "licensed"
    meter: str | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A price as Stripe shows it; ``unit_amount_decimal`` is absent for tiered prices."""

    id: str
    currency: str = ""
    product: Expandable = None
    active: bool = True
    lookup_key: str | None = None
    unit_amount: int | None = None
    unit_amount_decimal: str | None = None
    recurring: Recurring | None = None

    @property
    def unit(self) -> Decimal | None:
        """The amount per unit in smallest units, where there is one."""
        text = self.unit_amount_decimal if self.unit_amount_decimal is not None else self.unit_amount
        return Decimal(text) if text is not None else None

    @property
    def metered(self) -> bool:
        return self.recurring is not None and self.recurring.usage_type == "metered"


# mapping --------------------------------------------------------------------------------------------------------------


def unit_of(line: OrderLine) -> str:
    """What the customer pays per unit, after discount, in smallest units."""
    return unit_amount(line.unit_price.number * (100 - line.discount.number) / 100, line.unit_price.currency)


def lookup_key(item_code: str, currency: str) -> str:
    """``SUB-TEAM_usd``."""
    return f"{item_code}_{currency.lower()}"


def negotiated_key(line: OrderLine, currency: str) -> str:
    """``USE-API_usd_at_3.2``: the same negotiated price is the same price, whoever asks."""
    return f"{lookup_key(line.item_code, currency)}_at_{unit_of(line)}"


def deviates(line: OrderLine, price: Price) -> bool:
    """Whether the customer pays something else per unit than the price list says; a tiered price never fits."""
    return price.unit != Decimal(unit_of(line))


def offered(line: OrderLine, position: int, currency: str, found: dict[str, Price]) -> Price:
    """The list price of a line's item. Raises `Rejected` where it is not sold, not in this currency, or not any more."""
    pointer = f"/subscription/lines/{position}/item_code"
    price = found.get(lookup_key(line.item_code, currency))
    if price is None or price.currency.upper() != currency:
        raise Rejected("plan_not_sold_in_currency", f"plan {line.item_code} is not sold in {currency}", pointer=pointer)
    if not price.active:
        raise Rejected("plan_not_sold_any_more", f"plan {line.item_code} is not sold any more", pointer=pointer)
    return price


# operations -----------------------------------------------------------------------------------------------------------


async def of_lines(call: Call, lines: list[tuple[int, OrderLine]], currency: str) -> dict[int, Price]:
    """The price to use for each line, by line number. ``lines`` come with their position in the command.

    Every line is looked at before anything is made. A licensed line that deviates is priced in the subscription itself; a metered one
    cannot be (inline prices know no meter), so its negotiated price is made as a price of its own.
    """
    wanted = {lookup_key(line.item_code, currency) for _, line in lines}
    wanted |= {negotiated_key(line, currency) for _, line in lines if line.charge_type == "usage"}
    found = await look_up(call, sorted(wanted))
    listed = {line.number: offered(line, position, currency, found) for position, line in lines}
    for _, line in lines:
        price = listed[line.number]
        if price.metered and deviates(line, price):
            key = negotiated_key(line, currency)
            found[key] = listed[line.number] = found.get(key) or await _negotiated(call, line, price, key)
    return listed


async def look_up(call: Call, keys: list[str]) -> dict[str, Price]:
    """Prices by lookup key; a key that nobody has is not among them."""
    found: dict[str, Price] = {}
    for start in range(0, len(keys), LOOKUP_KEYS_MAX):
        prices: list[Price] = await call.client.every("/v1/prices", Price, lookup_keys=keys[start : start + LOOKUP_KEYS_MAX])
        found.update({price.lookup_key: price for price in prices if price.lookup_key})
    return found


async def _negotiated(call: Call, line: OrderLine, base: Price, key: str) -> Price:
    recurring = base.recurring or Recurring(usage_type="metered")
    params = {
        "currency": base.currency,
        "product": id_of(base.product),
        "unit_amount_decimal": unit_of(line),
        "recurring": {
            "interval": recurring.interval,
            "interval_count": recurring.interval_count,
            "usage_type": "metered",
            "meter": recurring.meter,
        },
        "lookup_key": key,
        "nickname": f"{line.item_code}, negotiated",
    }

    async def again() -> Price | None:
        return (await look_up(call, [key])).get(key)

    price: Price = (await call.client.create("/v1/prices", params, key=f"price/{key}", shape=Price, find=again))[0]
    return price
