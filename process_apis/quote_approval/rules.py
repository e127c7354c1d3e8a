"""When a person has to approve: by amount, by discount, by margin. Rules are data, kept by each instance that began under them."""

from decimal import Decimal

import msgspec

from canonical.money import AmountText, Money, Percent
from canonical.quote import Quote


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``amount_max``: above this total, by currency (a currency that is not listed always needs approval); ``discount_max``: above this
    discount on any line; ``margin_min``: below this margin over the lines whose cost is known.
    """

    amount_max: dict[str, AmountText] = msgspec.field(default_factory=lambda: {"USD": "50000", "EUR": "45000", "GBP": "40000"})
    discount_max: Percent = Percent("15")
    margin_min: Percent = Percent("40")

    def __post_init__(self) -> None:
        for currency, amount in self.amount_max.items():
            Money(amount, currency)


RULES = Rules()


def margin_percent(quote: Quote) -> Decimal | None:
    """The margin over the lines with a known cost, in percent; None where no cost is known or nothing is charged."""
    lines = [line for line in quote.lines if line.unit_cost is not None and line.unit_cost.currency == quote.currency]
    revenue = Money.total((line.net_total for line in lines), quote.currency).number
    if not revenue:
        return None
    cost = sum(((line.unit_cost.number * line.quantity.number) for line in lines if line.unit_cost), Decimal(0))
    return (revenue - cost) / revenue * 100


def reasons(quote: Quote, rules: Rules) -> tuple[str, ...]:
    """Why a person has to approve, in words; none: the quote is approved by rule."""
    found = []
    limit = rules.amount_max.get(quote.currency)
    if limit is None:
        found.append(f"quotes in {quote.currency} are always approved by a person")
    elif quote.total.number > Decimal(limit):
        found.append(f"total {quote.total} is above {limit} {quote.currency}")
    deepest = max(quote.lines, key=lambda line: line.discount.number)
    if deepest.discount.number > rules.discount_max.number:
        found.append(f"discount of {deepest.discount.percent} % on line {deepest.number} is above {rules.discount_max.percent} %")
    margin = margin_percent(quote)
    if margin is not None and margin < rules.margin_min.number:
        found.append(f"margin of {margin:.1f} % is below {rules.margin_min.percent} %")
    return tuple(found)
