"""Items in Tryton: product variants by their code, with what is in the warehouses of those that are goods."""

from decimal import Decimal

import msgspec

from canonical.item import FindItems, Item, ItemsFound
from canonical.money import Quantity, plain
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.tryton.client import EITHER, Books

# wire shapes ----------------------------------------------------------------------------------------------------------


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit of measure; ``digits`` is how finely it can be divided."""

    id: int
    digits: int = 0


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product variant. ``type`` is goods, assets or service; only goods have a stock that counts."""

    id: int
    code: str = ""
    name: str = ""
    type: str = "service"
    active: bool = True
    salable: bool = True
    consumable: bool = False
    quantity: Decimal | None = None
    sale_uom: Unit | None = msgspec.field(name="sale_uom.", default=None)

    @property
    def sellable(self) -> bool:
        return self.active and self.salable

    @property
    def stocked(self) -> bool:
        return self.type == "goods" and not self.consumable


class Warehouse(msgspec.Struct, frozen=True, kw_only=True):
    """A stock location of type warehouse."""

    id: int


# mapping --------------------------------------------------------------------------------------------------------------


def item_of(product: Product, connection: str) -> Item:
    """A product as an item. Tryton does not know how it is charged; only what is stocked has an availability."""
    in_stock = max(product.quantity or Decimal(0), Decimal(0))
    return Item(
        code=product.code,
        name=product.name or product.code,
        active=product.sellable,
        available=Quantity(plain(in_stock)) if product.stocked else None,
        external_id=ExternalId(connection=connection, kind="product", id=str(product.id), number=product.code),
    )


# operations -----------------------------------------------------------------------------------------------------------


async def find(call: Call, command: FindItems) -> ItemsFound:
    """Read items by code, with the quantity on hand today in all warehouses."""
    books = call.client.books(call.entity)
    warehouses = await books.rows("stock.location", [["type", "=", "warehouse"]], Warehouse)
    context = {"locations": [w.id for w in warehouses], "stock_date_end": call.now.date(), "with_childs": True}
    products = await named(books, command.item_codes, context)
    return ItemsFound(items=tuple(item_of(product, call.connection) for product in products.values()))


async def named(books: Books, codes: tuple[str, ...], context: dict[str, object] | None = None) -> dict[str, Product]:
    """The products with these codes, active or not; of several with one code the active one counts."""
    domain = [["code", "in", sorted(set(codes))], EITHER]
    products = await books.rows("product.product", domain, Product, limit=2 * len(codes) + 1, context=context)
    return {product.code: product for product in sorted(products, key=lambda p: p.sellable)}
