"""The lines of a sale, so that Tryton's own arithmetic comes to exactly the net totals and the tax that were sold.

Tryton computes a line's amount as quantity × unit price, rounded half-even; unit prices have few digits (four, unless the server says
otherwise). The unit price is therefore the net total, discount included, divided by the quantity. Where no unit price of that many
digits gives the net total, the quantity is split over two lines whose prices differ in the last digit.

Tax is calculated by the tax engine, not by Tryton, so the lines carry no taxes of Tryton's. The tax total is one more line: unit price
zero, and as many units of a *fixed* tax of 0.01 as there are cents of tax. Tryton books it on that tax's account like any other tax,
the invoice shows it as tax, and its total is net + tax to the cent, in whatever currency.
"""

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import msgspec

from canonical.failures import Misconfigured, Rejected
from canonical.money import Money, decimals, plain
from canonical.order import Order, OrderLine
from system_apis.tryton.items import Product
from system_apis.tryton.wire import bare

TAX_DESCRIPTION = "Tax, as calculated by the tax engine"
WORK_DIGITS = 60  # enough for any amount times any quantity


class FixedTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax by which calculated tax is booked: a fixed amount for each unit."""

    id: int
    amount: Decimal


def split(net: Money, quantity: Decimal, price_digits: int) -> list[tuple[Decimal, Decimal]] | None:
    """Quantities and unit prices whose rounded amounts add up to the net total: one pair, or two; None where there are none."""
    with localcontext() as context:
        context.prec = WORK_DIGITS
        if quantity == 0:
            return [(quantity, quantity)] if not net else None
        price = (net.number / quantity).quantize(Decimal(1).scaleb(-price_digits), rounding=ROUND_HALF_EVEN)
        if _amount(quantity, price, net.currency) == net.number:
            return [(quantity, price)]
        if quantity != quantity.to_integral_value():
            return None
        for digits in range(price_digits, decimals(net.currency) - 1, -1):
            step = Decimal(1).scaleb(-digits)
            low = (net.number / quantity).quantize(step, rounding=ROUND_FLOOR)
            dearer = (net.number - low * quantity) / step
            pairs = [(quantity - dearer, low), (dearer, low + step)]
            if sum(_amount(*pair, net.currency) for pair in pairs) == net.number:
                return pairs
    return None


def _amount(quantity: Decimal, price: Decimal, currency: str) -> Decimal:
    return (quantity * price).quantize(Decimal(1).scaleb(-decimals(currency)), rounding=ROUND_HALF_EVEN)


def lines_of(order: Order, products: dict[str, Product], price_digits: int) -> list[dict[str, Any]]:
    """The product lines. Raises `Rejected` for an item that Tryton does not have, does not sell, or cannot divide that finely."""
    lines: list[dict[str, Any]] = []
    for index, line in enumerate(order.lines):
        pointer = f"/order/lines/{index}"
        product = products.get(line.item_code)
        if product is None or product.sale_uom is None:
            raise Rejected("item_unknown", f"Tryton has no product {line.item_code}", pointer=f"{pointer}/item_code")
        if not product.sellable:
            raise Rejected("item_inactive", f"product {line.item_code} is not sold any more", pointer=f"{pointer}/item_code")
        lines += _line(line, product, product.sale_uom.id, product.sale_uom.digits, price_digits, pointer)
    return lines


def _line(line: OrderLine, product: Product, unit: int, unit_digits: int, price_digits: int, pointer: str) -> list[dict[str, Any]]:
    quantity = line.quantity.number
    divisible = quantity == round(quantity, unit_digits)
    pairs = split(line.net_total, quantity, price_digits) if divisible else None
    note = _note(line)
    if pairs is None:
        if product.stocked:  # what is shipped must be counted as it is
            detail = f"{plain(quantity)} of {line.item_code} at {line.net_total} cannot be told in Tryton's units"
            raise Rejected("quantity_not_divisible", detail, pointer=f"{pointer}/quantity")
        note = f"{plain(quantity)} {line.quantity.unit}; {note}".rstrip("; ")
        pairs = [(Decimal(1), line.net_total.number)]
    common = {"type": "line", "product": product.id, "unit": unit, "description": line.description or product.name, "note": note or None}
    return [{**common, "quantity": bare(count), "unit_price": price} for count, price in pairs]


def _note(line: OrderLine) -> str:
    """What Tryton has no field for: the service period, and that the revenue is earned over it."""
    term = f"{line.term.start} – {line.term.end}" if line.term else ""
    return ", ".join(part for part in (term, "revenue deferred" if line.deferred else "") if part)


def tax_line(total: Money, tax: FixedTax) -> dict[str, Any]:
    """The line that carries the tax. Raises `Misconfigured` where the fixed tax is too coarse for the amount."""
    units = total.number / tax.amount if tax.amount else Decimal("0.5")
    if units != units.to_integral_value():
        raise Misconfigured("external_tax_too_coarse", f"{total} is not a multiple of the external tax's amount, {tax.amount}")
    return {
        "type": "line",
        "quantity": bare(units.to_integral_value()),
        "unit_price": Decimal(0),
        "description": TAX_DESCRIPTION,
        "taxes": [["add", [tax.id]]],
    }
