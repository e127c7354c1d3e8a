"""The simulated course of a sale: draft, quotation, processing with its invoice and shipment, done; and the ways back."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from system_apis.tryton.simulator_tables import Record, Tables, UserError
from system_apis.tryton.wire import lift, pack

PRICE_DIGITS = 4
CENT = Decimal("0.01")


def create_sale(tables: Tables, values: Record) -> Record:
    """A draft; its amounts are computed as Tryton does, line by line."""
    for link in values.get("lines") or []:
        for line in link[1]:
            _check_line(tables, line)
    sale = tables.create("sale.sale", values)
    lines = [tables.get("sale.line", line_id) for line_id in sale["lines"]]
    net = tax = Decimal(0)
    for line in lines:
        quantity = Decimal(str(line["quantity"] or 0))
        amount = (quantity * (lift(line["unit_price"]) or 0)).quantize(CENT, rounding=ROUND_HALF_EVEN)
        tables.write("sale.line", line, {"amount": pack(amount)})
        net += amount
        tax += sum((quantity * lift(tables.get("account.tax", t)["amount"]) for t in line["taxes"]), Decimal(0))
    tax = tax.quantize(CENT, rounding=ROUND_HALF_EVEN)
    amounts = {"untaxed_amount": pack(net), "tax_amount": pack(tax), "total_amount": pack(net + tax)}
    return tables.write("sale.sale", sale, amounts)


def _check_line(tables: Tables, line: Record) -> None:
    price = lift(line.get("unit_price"))
    if price is None or line.get("quantity") is None:
        raise UserError('A value is required for field "Unit Price" in "Sale Line".')
    if -price.as_tuple().exponent > PRICE_DIGITS and price != round(price, PRICE_DIGITS):
        limit = f"(None, {PRICE_DIGITS})"
        raise UserError(
            f'The number of digits in the value "\'{price}\'" for field "Unit Price" in "Sale Line" exceeds the limit of "{limit}".'
        )
    if line.get("product") is not None:
        digits = tables.get("product.uom", line["unit"])["digits"] if line.get("unit") else 0
        product = tables.get("product.product", line["product"])
        if not product["salable"]:
            raise UserError(f'The value "{product["code"]}" for field "Product" in "Sale Line" is not valid according to its domain.')
        quantity = Decimal(str(line["quantity"]))
        if quantity != round(quantity, digits):
            raise UserError(f'The number of digits in the value "{quantity}" for field "Quantity" exceeds the limit of "(None, {digits})".')


def require(record: Record, states: set[str], button: str, model: str) -> None:
    """Refuse a button that the record's state does not offer."""
    if record["state"] not in states:
        name = record.get("number") or record.get("reference") or record["id"]
        raise UserError(f'You can not call "{button}" on "{name}" of "{model}".')


def quote(tables: Tables, sale: Record) -> None:
    """To `quotation`, with a number."""
    require(sale, {"draft"} if sale["lines"] else set(), "quote", "Sale")
    if sale["invoice_address"] is None:
        raise UserError(f'To get a quote for sale "{sale["id"]}" you must enter an invoice address.')
    number = sale["number"] or str(tables.simulation.number("sale number"))
    tables.write("sale.sale", sale, {"state": "quotation", "number": number})


def confirm(tables: Tables, sale: Record) -> None:
    """To `confirmed`, and processed at once."""
    require(sale, {"quotation"}, "confirm", "Sale")
    if tables.simulation.take("closed_period", "POST /rpc/model.sale.sale.confirm"):
        raise UserError(f'To continue, you must reopen the period "of {lift(sale["sale_date"])}" of company "1" for the date.')
    process(tables, tables.write("sale.sale", sale, {"state": "confirmed"}))


def process(tables: Tables, sale: Record) -> None:
    """Make what is to be made, and bring the states up to date."""
    if sale["state"] not in {"confirmed", "processing", "done"}:
        return
    if sale["state"] == "confirmed":
        sale = _processed(tables, sale)
    invoices = [tables.get("account.invoice", i) for i in sale["invoices"] if i not in sale["invoices_ignored"]]
    moves = [
        tables.get("stock.move", move)
        for line in sale["lines"]
        for move in tables.get("sale.line", line)["moves"]
        if move not in tables.get("sale.line", line)["moves_ignored"]
    ]
    states = {"invoice_state": _invoice_state(invoices), "shipment_state": _shipment_state(moves)}
    done = states["invoice_state"] in {"paid", "none"} and states["shipment_state"] in {"sent", "none"}
    tables.write("sale.sale", sale, {**states, "state": "done" if done else "processing"})


def _processed(tables: Tables, sale: Record) -> Record:
    shipments = _ship(tables, sale)
    invoice = tables.create("account.invoice", _invoice_values(tables, sale))
    amount, currency = str(lift(sale["untaxed_amount"])), tables.get("currency.currency", sale["currency"])["code"]
    tables.simulation.commit("sales_order", sale["reference"] or "", str(sale["id"]), amount=amount, currency=currency)
    return tables.write("sale.sale", sale, {"state": "processing", "invoices": [invoice["id"]], "shipments": shipments})


def _ship(tables: Tables, sale: Record) -> list[int]:
    moves = []
    for line in (tables.get("sale.line", one) for one in sale["lines"]):
        if line["product"] is None or tables.get("product.product", line["product"])["type"] != "goods":
            continue
        if sale["shipment_method"] == "order" and line["quantity"]:
            move = tables.create("stock.move", {"product": line["product"], "quantity": line["quantity"]})
            tables.write("sale.line", line, {"moves": [move["id"]]})
            moves.append(move["id"])
    return [tables.create("stock.shipment.out", {"moves": moves})["id"]] if moves else []


def _invoice_values(tables: Tables, sale: Record) -> Record:
    copied = ("type", "product", "description", "quantity", "unit_price", "amount")
    lines = [{name: tables.get("sale.line", one)[name] for name in copied} for one in sale["lines"]]
    same = ("company", "party", "currency", "payment_term", "untaxed_amount", "tax_amount", "total_amount")
    receivable = tables.all("account.configuration")[0]["default_account_receivable"]
    head = {name: sale[name] for name in same}
    return {**head, "account": receivable, "sales": [sale["id"]], "lines": [["create", lines]]}


def _invoice_state(invoices: list[Record]) -> str:
    states = {invoice["state"] for invoice in invoices}
    if not states:
        return "none"
    if "cancelled" in states:
        return "exception"
    return {"paid": "paid", "posted": "awaiting payment"}.get(states.pop(), "pending") if len(states) == 1 else "partially paid"


def _shipment_state(moves: list[Record]) -> str:
    states = {move["state"] for move in moves}
    if not states:
        return "none"
    if "cancelled" in states:
        return "exception"
    return "sent" if states == {"done"} else "waiting"


def cancel(tables: Tables, sale: Record) -> None:
    """To `cancelled`, from a draft or a quotation only."""
    require(sale, {"draft", "quotation"}, "cancel", "Sale")
    tables.write("sale.sale", sale, {"state": "cancelled"})


def to_draft(tables: Tables, sale: Record) -> None:
    """Back to `draft`."""
    require(sale, {"cancelled", "quotation", "confirmed"}, "draft", "Sale")
    tables.write("sale.sale", sale, {"state": "draft"})


def delete(tables: Tables, sale: Record) -> None:
    """Take a draft away."""
    if sale["state"] not in {"draft", "cancelled"}:
        raise UserError(f'To delete sale "{sale["number"]}" you must cancel it.')
    tables.delete("sale.sale", sale)


def cancel_shipment(tables: Tables, shipment: Record) -> None:
    """Cancel a shipment with its moves; the sale then shows an exception."""
    require(shipment, {"draft", "waiting", "assigned", "picked", "packed"}, "cancel", "Customer Shipment")
    tables.write("stock.shipment.out", shipment, {"state": "cancelled"})
    for move in shipment["moves"]:
        tables.write("stock.move", tables.get("stock.move", move), {"state": "cancelled"})
    for sale in tables.all("sale.sale"):
        if shipment["id"] in sale["shipments"]:
            process(tables, sale)


def sales_of(tables: Tables, invoice: Record) -> list[Record]:
    """The sales behind an invoice."""
    return [tables.get("sale.sale", sale) for sale in invoice["sales"]]


def order_id_of(tables: Tables, invoice: Record) -> Any:
    """The reference of the first sale behind an invoice."""
    return next((sale["reference"] for sale in sales_of(tables, invoice)), "")
