"""List prices are price book entries, one a currency."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from canonical.item import FindPrices, PriceBookEntry, PricesFound
from system_apis.connector import Call
from system_apis.salesforce.reading import fit, number_text
from system_apis.salesforce.soql import literal, one_of

# ---------------------------------------------------------------- wire shapes

CODES_PER_QUERY_MAX = 100  # a query travels in the URL, which Salesforce takes up to 16,384 bytes


class ProductRow(msgspec.Struct, rename="pascal"):
    """What is sold."""

    is_active: bool = True


class EntryRow(msgspec.Struct, rename="pascal"):
    """One price of one product in one book and currency."""

    product_code: str | None = None
    unit_price: Decimal | None = None
    currency_iso_code: str | None = None
    is_active: bool = True
    product2: ProductRow | None = None


# ---------------------------------------------------------------- mapping


def entry(row: EntryRow, price_book: str) -> PriceBookEntry:
    """An entry holds only while both it and its product are active."""
    values = {
        "price_book": price_book,
        "item_code": row.product_code,
        "unit_price": {"amount": number_text(row.unit_price), "currency": row.currency_iso_code},
        "active": row.is_active and (row.product2 is None or row.product2.is_active),
    }
    return fit(PriceBookEntry, values, "price_not_representable")


def _batches(codes: Sequence[str]) -> list[Sequence[str]]:
    return [codes[start : start + CODES_PER_QUERY_MAX] for start in range(0, len(codes), CODES_PER_QUERY_MAX)]


# ---------------------------------------------------------------- operations


async def find_prices(call: Call, command: FindPrices) -> PricesFound:
    """The entries of the asked codes in the currency; SOQL compares texts without case, so that is done here once more."""
    wanted = set(command.item_codes)
    book = call.settings.price_books.get(command.price_book, command.price_book)
    condition = f"Pricebook2.Name = {literal(book)} AND CurrencyIsoCode = {literal(command.currency)} AND ProductCode IN "
    found: list[PriceBookEntry] = []
    for codes in _batches(sorted(wanted)):
        rows = await call.client.query(EntryRow, "PricebookEntry", condition + one_of(codes))
        found.extend(entry(row, command.price_book) for row in rows if row.product_code in wanted)
    return PricesFound(entries=tuple(found))
