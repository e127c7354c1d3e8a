"""Which line is charged how: recurring, one-off, usage, services."""

from canonical.item import ChargeType
from canonical.order import Order, OrderLine

CHARGE_TYPES: tuple[ChargeType, ...] = ("recurring", "one_time", "usage", "service")


def lines_of(order: Order, *charge_types: ChargeType) -> tuple[OrderLine, ...]:
    """The lines of an order that are charged in one of these ways, in their order."""
    return tuple(line for line in order.lines if line.charge_type in charge_types)


def split(order: Order) -> dict[ChargeType, tuple[OrderLine, ...]]:
    """The lines by charge type; a type without lines is not in it. Every line is in exactly one part."""
    parts = {kind: lines_of(order, kind) for kind in CHARGE_TYPES}
    return {kind: lines for kind, lines in parts.items() if lines}
