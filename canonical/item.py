"""Item and price book: what can be sold, at which list price, and whether it is there."""

import datetime as dt
from typing import Literal

import msgspec

from canonical.messages import Command, Event
from canonical.money import CurrencyCode, Price, Quantity
from canonical.provenance import ExternalId, Id, Name

ChargeType = Literal["recurring", "one_time", "usage", "service"]


class PriceBookEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The list price of an item in one price book and currency, with the days on which it holds (both inclusive)."""

    price_book: Id
    item_code: Id
    unit_price: Price
    active: bool = True
    effective_from: dt.date | None = None
    effective_to: dt.date | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is sold. ``available`` None: stock is not tracked."""

    code: Id
    name: Name
    active: bool = True
    charge_type: ChargeType | None = None
    available: Quantity | None = None
    external_id: ExternalId | None = None


class PricesFound(Event, frozen=True, kw_only=True):
    """The entries that exist; a code without an entry in that currency is simply not among them."""

    entries: tuple[PriceBookEntry, ...]


class FindPrices(Command[PricesFound], frozen=True, kw_only=True):
    """Read the price book entries of some item codes (at most 500)."""

    port = "crm"
    price_book: Id
    currency: CurrencyCode
    item_codes: tuple[Id, ...]


class ItemsFound(Event, frozen=True, kw_only=True):
    """The items that exist at the connection, active or not; an unknown code is simply not among them."""

    items: tuple[Item, ...]


class FindItems(Command[ItemsFound], frozen=True, kw_only=True):
    """Read items with their active flag and availability (at most 500 codes)."""

    port = "erp"
    item_codes: tuple[Id, ...]
