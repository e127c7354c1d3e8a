"""Items in NetSuite: by item name (our item code), with their active flag and what is in stock."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from canonical.failures import Rejected
from canonical.item import ChargeType, FindItems, Item, ItemsFound
from canonical.money import Quantity, plain
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.netsuite.client import NetSuiteClient
from system_apis.netsuite.wire import listed

# wire shapes ---------------------------------------------------------------------------------------------------------


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    """An item in a query."""

    id: str
    itemid: str
    displayname: str = ""
    itemtype: str = ""
    isinactive: str = "F"


class StockRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is available of an item over all locations."""

    item: str
    available: Decimal = Decimal(0)


# NetSuite tells stock and services apart from the rest; what is recurring or by use it does not know
_CHARGE_TYPES: dict[str, ChargeType] = {"InvtPart": "one_time", "Assembly": "one_time", "Service": "service"}
_STOCKED = frozenset({"InvtPart", "Assembly"})

# mapping -------------------------------------------------------------------------------------------------------------


def to_item(row: ItemRow, connection: str, available: Decimal | None) -> Item:
    """A row as our item; ``available`` None where NetSuite keeps no stock of it."""
    return Item(
        code=row.itemid,
        name=row.displayname or row.itemid,
        active=row.isinactive != "T",
        charge_type=_CHARGE_TYPES.get(row.itemtype),
        available=None if available is None else Quantity(plain(max(available, Decimal(0)))),  # oversold stock is none
        external_id=ExternalId(connection=connection, kind="item", id=row.id, number=row.itemid),
    )


# operations ----------------------------------------------------------------------------------------------------------


async def find(call: Call, command: FindItems) -> ItemsFound:
    """Read the items, and the stock of those that have any."""
    client: NetSuiteClient = call.client
    rows = await _rows(client, command.item_codes)
    stocked = tuple(row.id for row in rows if row.itemtype in _STOCKED)
    stock: dict[str, Decimal] = {}
    if stocked:
        query = f"SELECT item, SUM(quantityavailable) AS available FROM aggregateitemlocation WHERE item IN {listed(stocked)} GROUP BY item"  # noqa: S608 - SuiteQL has no parameters; `listed` doubles the quotes
        stock = {row.item: row.available for row in await client.rows(query, StockRow)}
    items = [to_item(row, call.connection, stock.get(row.id, Decimal(0)) if row.itemtype in _STOCKED else None) for row in rows]
    return ItemsFound(items=tuple(items))


async def internal_ids(client: NetSuiteClient, codes: Iterable[str]) -> dict[str, str]:
    """Item code to internal id, as order lines need them. Raises `Rejected` for a code that NetSuite does not know."""
    wanted = tuple(dict.fromkeys(codes))
    if unread := tuple(code for code in wanted if not client.known_item_id(code)):
        await _rows(client, unread)
    missing = [code for code in wanted if not client.known_item_id(code)]
    if missing:
        raise Rejected("item_unknown", f"NetSuite has no item {', '.join(missing)}")
    return {code: client.known_item_id(code) for code in wanted}


async def _rows(client: NetSuiteClient, codes: tuple[str, ...]) -> tuple[ItemRow, ...]:
    if not codes:
        return ()
    query = f"SELECT id, itemid, displayname, itemtype, isinactive FROM item WHERE itemid IN {listed(codes)} ORDER BY id"  # noqa: S608 - SuiteQL has no parameters; `listed` doubles the quotes
    rows = await client.rows(query, ItemRow)
    for row in rows:
        client.remember_item(row.itemid, row.id)
    return rows
