"""Sales orders in NetSuite: booked under our order id, proven by reading back, cancelled by closing every line."""

import functools
from decimal import Decimal
from typing import Any, cast

import msgspec

from canonical.failures import Broken, Rejected
from canonical.money import Money, plain
from canonical.order import CancelSalesOrder, CreateSalesOrder, Order, OrderLine, SalesOrderCancelled, SalesOrderCreated
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.netsuite.client import NetSuiteClient, subsidiary
from system_apis.netsuite.items import internal_ids
from system_apis.netsuite.settings import NetSuiteSettings
from system_apis.netsuite.wire import Ref, Sublist, external_id, memo, money

RECORD = "salesOrder"
_RATE_DECIMALS = Decimal("0.000001")
_CUSTOM_PRICE = {"id": "-1"}  # NetSuite's own id for "the rate on this line", whatever the price levels say

# wire shapes ---------------------------------------------------------------------------------------------------------


class OrderLineRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What we read of an order line."""

    line: int
    amount: Decimal | None = None
    quantity_billed: Decimal | None = None
    is_closed: bool = False


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What we read of a sales order."""

    id: str
    tran_id: str = ""
    external_id: str = ""
    entity: Ref = Ref()
    currency: Ref = Ref()
    memo: str = ""
    item: Sublist[OrderLineRecord] = Sublist()
    tax_total: Decimal | None = None  # renamed on reading: a custom field has the name that the account gave it

    @property
    def closed(self) -> bool:
        return bool(self.item.items) and all(line.is_closed for line in self.item.items)

    @property
    def billed(self) -> bool:
        return any(line.quantity_billed for line in self.item.items)


@functools.cache
def shape(tax_total_field: str) -> type[OrderRecord]:
    """The order record, with the tax total under the name that this account gives to it."""
    if not tax_total_field:
        return OrderRecord
    field = msgspec.field(name=tax_total_field, default=None)
    named = msgspec.defstruct("OrderRecord", [("tax_total", Decimal | None, field)], bases=(OrderRecord,), frozen=True, kw_only=True)
    return cast("type[OrderRecord]", named)


# mapping -------------------------------------------------------------------------------------------------------------


def to_record(command: CreateSalesOrder, call: Call, currency_id: str, item_ids: dict[str, str]) -> dict[str, Any]:
    """The order as NetSuite wants it: rates and amounts as agreed, whatever its price levels say."""
    order, settings = command.order, call.settings
    record: dict[str, Any] = {
        "entity": {"id": command.customer.id},
        "subsidiary": {"id": subsidiary(settings, order.entity)},
        "currency": {"id": currency_id},
        "tranDate": order.ordered_on.isoformat(),
        "memo": memo(order.id, call.correlation_id),
        "custbody_q2c_quote": f"{order.quote_id}.v{order.quote_version}",
        "item": {"items": [_line(line, item_ids[line.item_code]) for line in order.lines]},
    }
    if order.opportunity_id:
        record["custbody_q2c_opportunity"] = order.opportunity_id
    if order.purchase_order:
        record["otherRefNum"] = order.purchase_order
    if settings.tax_total_field and command.tax_total is not None:
        record[settings.tax_total_field] = command.tax_total.number
    return record


def _line(line: OrderLine, item_id: str) -> dict[str, Any]:
    net_rate = (line.unit_price.number * (100 - line.discount.number) / 100).quantize(_RATE_DECIMALS)
    fields: dict[str, Any] = {
        "item": {"id": item_id},
        "quantity": line.quantity.number,
        "price": _CUSTOM_PRICE,
        "rate": Decimal(plain(net_rate)),
        "amount": line.net_total.number,
        "custcol_q2c_charge_type": line.charge_type,
    }
    optional = {
        "description": line.description,
        "custcol_q2c_discount": line.discount.percent if line.discount.number else "",
        "custcol_q2c_tax_code": line.tax_code,
        "custcol_q2c_term_start": line.term.start.isoformat() if line.term else "",
        "custcol_q2c_term_end": line.term.end.isoformat() if line.term else "",
    }
    return fields | {name: value for name, value in optional.items() if value}


def to_created(record: OrderRecord, order: Order, connection: str) -> SalesOrderCreated:
    """The reply, read off the record."""
    total = Money.total((money(line.amount, order.currency) for line in record.item.items), order.currency)
    reference = ExternalId(connection=connection, kind=RECORD, id=record.id, number=record.tran_id)
    return SalesOrderCreated(order_id=order.id, erp_ref=reference, total=total)


def prove(record: OrderRecord, command: CreateSalesOrder, currency_id: str, settings: NetSuiteSettings) -> None:
    """Compare what NetSuite keeps with what was meant. Raises `Broken` where they differ: a person must look at the order there."""
    order = command.order
    tax = command.tax_total if settings.tax_total_field else None
    meant: dict[str, Any] = {
        "customer": command.customer.id,
        "currency": currency_id,
        "amounts": [line.net_total for line in order.lines],
        "tax": tax,
    }
    kept: dict[str, Any] = {
        "customer": record.entity.id,
        "currency": record.currency.id,
        "amounts": [money(line.amount, order.currency) for line in record.item.items],
        "tax": None if tax is None else money(record.tax_total, order.currency),
    }
    differences = [f"{name}: {kept[name]} instead of {meant[name]}" for name in meant if kept[name] != meant[name]]
    if differences:
        raise Broken("read_back_differs", f"sales order {record.tran_id or record.id} in NetSuite: {'; '.join(differences)}")


# operations ----------------------------------------------------------------------------------------------------------


async def create(call: Call, command: CreateSalesOrder) -> SalesOrderCreated:
    """Book the order under our id, once: what is there already is never written over."""
    client: NetSuiteClient = call.client
    known = await find_by_key(call, command)
    if known is not None:
        return known
    currency_id = await client.currency_id(command.order.currency)
    item_ids = await internal_ids(client, (line.item_code for line in command.order.lines))
    await client.upsert(RECORD, command.order.id, to_record(command, call, currency_id, item_ids), lines="item")
    made = await client.read_back(RECORD, f"eid:{external_id(command.order.id)}", shape(call.settings.tax_total_field))
    prove(made, command, currency_id, call.settings)
    return to_created(made, command.order, call.connection)


async def find_by_key(call: Call, command: CreateSalesOrder) -> SalesOrderCreated | None:
    """The order under our id. Raises `Rejected` where it was closed since: a late repetition must not open it again."""
    client: NetSuiteClient = call.client
    found = await client.read(RECORD, f"eid:{external_id(command.order.id)}", shape(call.settings.tax_total_field))
    if found is None:
        return None
    if found.closed:
        raise Rejected("order_already_cancelled", f"sales order {found.tran_id or found.id} is closed in NetSuite")
    prove(found, command, await client.currency_id(command.order.currency), call.settings)
    return to_created(found, command.order, call.connection)


async def cancel(call: Call, command: CancelSalesOrder) -> SalesOrderCancelled:
    """Close every line, so that nothing more is delivered or billed. NetSuite's delete would take the audit trail with it."""
    client: NetSuiteClient = call.client
    found = await client.read(RECORD, command.erp_ref.id, OrderRecord)
    if found is None:
        raise Rejected("order_unknown", f"NetSuite has no sales order with id {command.erp_ref.id}")
    if found.billed:
        raise Rejected("order_already_invoiced", f"sales order {found.tran_id or found.id} is billed; it takes a credit memo")
    if not found.closed:
        note = " ".join(part for part in (found.memo, "cancelled:", command.reason) if part)[:999]
        lines = [{"line": line.line, "isClosed": True} for line in found.item.items]
        await client.update(RECORD, found.id, {"memo": note, "item": {"items": lines}})
        if not (await client.read_back(RECORD, found.id, OrderRecord)).closed:
            raise Broken("read_back_differs", f"sales order {found.tran_id or found.id} still has open lines in NetSuite")
    return SalesOrderCancelled(order_id=command.order_id)


async def find_cancelled(call: Call, command: CancelSalesOrder) -> SalesOrderCancelled | None:
    """Whether every line is closed."""
    found = await call.client.read(RECORD, command.erp_ref.id, OrderRecord)
    return SalesOrderCancelled(order_id=command.order_id) if found is not None and found.closed else None
