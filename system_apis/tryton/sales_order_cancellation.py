"""Calling a sale off: cancelled where Tryton still lets it be; once processed, its invoices and shipments are cancelled and ignored.

Tryton has no way back from `processing`. What it has is exceptions: a cancelled draft invoice or shipment, marked as ignored, is never
made again, and the sale ends as `done` with nothing delivered and nothing to pay. A posted invoice or goods that were picked are left
alone: then people have to credit or take back, and the answer is a refusal.
"""

from canonical.failures import Broken, Rejected
from canonical.order import CancelSalesOrder, SalesOrderCancelled
from system_apis.connector import Call
from system_apis.tryton.client import Books
from system_apis.tryton.sales_orders import SALE, Sale, sale_by_id, under_reference

# The buttons that bring a sale from a state to `cancelled`.
WAY_OUT: dict[str, tuple[str, ...]] = {"draft": ("cancel",), "quotation": ("cancel",), "confirmed": ("draft", "cancel")}
INVOICED = frozenset({"posted", "paid"})
SHIPPED = frozenset({"picked", "packed", "shipped", "done"})

# operations -----------------------------------------------------------------------------------------------------------


async def cancel(call: Call, command: CancelSalesOrder) -> SalesOrderCancelled:
    """Call the sale off. One that is called off already, or that is not there, is a success."""
    books: Books = call.client.books(call.entity)
    for sale in await _sales(books, command):
        if sale.called_off:
            continue
        if command.reason:
            remarks = [sale.comment, f"Cancelled: {command.reason} ({call.correlation_id})"]
            await books.write(SALE, [sale.id], {"comment": "\n".join(text for text in remarks if text)})
        await _call_off(books, sale)
        now = await sale_by_id(books, sale.id)
        if now is not None and not now.called_off:
            raise Broken("not_cancelled", f"sale {now.number or now.id} is {now.state} after it was called off")
    return SalesOrderCancelled(order_id=command.order_id)


async def find_cancelled(call: Call, command: CancelSalesOrder) -> SalesOrderCancelled | None:
    """Whether the order is called off."""
    sales = await _sales(call.client.books(call.entity), command)
    return SalesOrderCancelled(order_id=command.order_id) if all(sale.called_off for sale in sales) else None


async def _sales(books: Books, command: CancelSalesOrder) -> list[Sale]:
    """The sale that was booked, and any other under the same order id."""
    sales = {sale.id: sale for sale in await under_reference(books, command.order_id)}
    booked = int(command.erp_ref.id) if command.erp_ref.id.isdecimal() else 0
    if booked and booked not in sales and (sale := await sale_by_id(books, booked)):
        sales[sale.id] = sale
    return list(sales.values())


async def _call_off(books: Books, sale: Sale) -> None:
    for button in WAY_OUT.get(sale.state, ()):
        await books.press(SALE, button, [sale.id])
    if sale.state not in WAY_OUT:
        await _unwind(books, sale)


async def _unwind(books: Books, sale: Sale) -> None:
    """Cancel and ignore what processing has made; each step may be found done."""
    if any(invoice.state in INVOICED for invoice in sale.invoices):
        raise Rejected("already_invoiced", f"sale {sale.number or sale.id} is invoiced; it needs a credit note")
    if any(shipment.state in SHIPPED for shipment in sale.shipments):
        raise Rejected("already_shipped", f"sale {sale.number or sale.id} is on its way; it needs a return")
    for model, documents in (("account.invoice", sale.invoices), ("stock.shipment.out", sale.shipments)):
        if open_ids := [document.id for document in documents if document.state != "cancelled"]:
            await books.press(model, "cancel", open_ids)
    for line in sale.lines:
        if line.moves:
            await books.write("sale.line", [line.id], {"moves_ignored": [["add", list(line.moves)]]})
    await books.write(SALE, [sale.id], {"invoices_ignored": [["add", [invoice.id for invoice in sale.invoices]]]})
    await books.press(SALE, "process", [sale.id])
