"""The simulated books: posting and cancelling invoices, the wizard that pays them, entries on account, and closed periods."""

import datetime as dt
from decimal import Decimal
from typing import Any

from system_apis.tryton.simulator_sales import CENT, order_id_of, process, require, sales_of
from system_apis.tryton.simulator_tables import Record, Tables, UserError
from system_apis.tryton.wire import lift, pack

ON_ACCOUNT = "on account"


def today(tables: Tables) -> dt.date:
    """The vendor's day."""
    return tables.simulation.clock.now().date()


def open_period(tables: Tables, day: dt.date, request: str) -> int:
    """The period of a day. Raises `UserError` in Tryton's words where it is closed or missing."""
    periods = [p for p in tables.all("account.period") if lift(p["start_date"]) <= day <= lift(p["end_date"])]
    shown = day.strftime("%m/%d/%Y")
    if not periods:
        raise UserError(f'To continue, you must create a period for the date "{shown}" and company "Northwind Software GmbH".')
    if periods[0]["state"] != "open" or tables.simulation.take("closed_period", f"POST /rpc/{request}"):
        name = periods[0]["name"]
        raise UserError(f'To continue, you must reopen the period "{name}" of company "Northwind Software GmbH" for the date "{shown}".')
    return int(periods[0]["id"])


def post_invoice(tables: Tables, invoice: Record) -> None:
    """Give the invoice its number and date; from now on it is owed."""
    require(invoice, {"draft", "validated"}, "post", "Invoice")
    day = lift(invoice["invoice_date"]) or today(tables)
    open_period(tables, day, "model.account.invoice.post")
    total, currency = lift(invoice["total_amount"]), _currency(tables, invoice)
    due = {
        "account": invoice["account"],
        "party": invoice["party"],
        "debit": pack(total),
        "maturity_date": pack(day + _days(tables, invoice)),
    }
    values = {
        "state": "posted",
        "number": f"INV-TR-{tables.simulation.number('invoice number'):05d}",
        "invoice_date": pack(day),
        "amount_to_pay": pack(total),
        "lines_to_pay": [tables.create("account.move.line", due)["id"]],
    }
    posted = tables.write("account.invoice", invoice, values)
    _owe(tables, int(invoice["party"]), total, currency)
    order_id = order_id_of(tables, invoice)
    tables.simulation.commit("invoice", order_id, str(invoice["id"]), amount=str(total), currency=currency["code"])
    if not total:
        tables.write("account.invoice", posted, {"state": "paid"})
    _update_sales(tables, invoice)


def cancel_invoice(tables: Tables, invoice: Record) -> None:
    """Cancel an invoice that was not posted yet."""
    require(invoice, {"draft", "validated"}, "cancel", "Invoice")
    tables.write("account.invoice", invoice, {"state": "cancelled"})
    _update_sales(tables, invoice)


def _update_sales(tables: Tables, invoice: Record) -> None:
    for sale in sales_of(tables, invoice):
        process(tables, sale)


def _days(tables: Tables, invoice: Record) -> dt.timedelta:
    if invoice["payment_term"] is None:
        return dt.timedelta(0)
    lines = tables.get("account.invoice.payment_term", invoice["payment_term"])["lines"]
    deltas = [delta for line in lines for delta in tables.get("account.invoice.payment_term.line", line)["relativedeltas"]]
    return dt.timedelta(days=sum(tables.get("account.invoice.payment_term.line.delta", delta)["days"] for delta in deltas))


def _currency(tables: Tables, record: Record) -> Record:
    return tables.get("currency.currency", record["currency"])


def _owe(tables: Tables, party_id: int, amount: Decimal, currency: Record) -> None:
    """Change what a party owes, in the company's currency."""
    party = tables.get("party.party", party_id)
    tables.write("party.party", party, {"receivable": pack(lift(party["receivable"]) + _converted(amount, currency))})


def _converted(amount: Decimal, currency: Record) -> Decimal:
    return Decimal((amount / lift(currency["rate"])).quantize(CENT))


# the wizard that pays an invoice --------------------------------------------------------------------------------------


def start_payment(tables: Tables, _session: Record, invoice: Record) -> dict[str, Any]:
    """The first page: what the wizard would pay."""
    defaults = {"payee": invoice["party"], "amount": invoice["amount_to_pay"], "currency": invoice["currency"], "date": pack(today(tables))}
    return {"view": {"state": "start", "defaults": defaults, "values": {}}}


def choose_payment(tables: Tables, session: Record, invoice: Record) -> dict[str, Any]:
    """Pay, where the amount is what is open; else ask what is meant."""
    start = session["data"]["start"]
    if lift(start["amount"]) == lift(invoice["amount_to_pay"]):
        return pay(tables, session, invoice)
    over = lift(start["amount"]) > lift(invoice["amount_to_pay"])
    defaults = {"type": "overpayment" if over else "partial", "amount": start["amount"], "invoice": invoice["id"], "lines": []}
    return {"view": {"state": "ask", "defaults": defaults, "values": {}}}


def pay(tables: Tables, session: Record, invoice: Record) -> dict[str, Any]:
    """Enter the payment and take it off what is open."""
    start = session["data"]["start"]
    amount, left, day = lift(start["amount"]), lift(invoice["amount_to_pay"]), lift(start["date"])
    if invoice["state"] != "posted":
        raise UserError(f'You cannot overpay invoice "{invoice["number"]}" because there is no more left to pay.')
    if amount > left:
        about = f'You cannot add a partial payment on invoice "{invoice["number"]}"'
        raise UserError(f'{about} with an amount greater than the amount to pay "{left}".')
    period = open_period(tables, day, "wizard.account.invoice.pay.execute")
    method = tables.get("account.invoice.payment.method", start["payment_method"])
    currency = _currency(tables, invoice)
    home = currency["code"] == "EUR"
    booked = _converted(amount, currency)
    foreign = {} if home else {"second_currency": currency["id"]}
    lines: list[Record] = [
        {"account": method["debit_account"], "debit": pack(booked), **_second(foreign, amount)},
        {"account": invoice["account"], "party": invoice["party"], "credit": pack(booked), **_second(foreign, -amount)},
    ]
    move = {
        "company": invoice["company"],
        "journal": method["journal"],
        "period": period,
        "date": start["date"],
        "description": start.get("description"),
        "origin": f"account.invoice,{invoice['id']}",
        "lines": [["create", lines]],
    }
    entered = tables.create("account.move", move)
    post_move(tables, entered)
    left -= amount
    changes = {"amount_to_pay": pack(left), "payment_lines": [*invoice["payment_lines"], entered["lines"][1]]}
    tables.write("account.invoice", invoice, {**changes, "state": "posted" if left else "paid"})
    _update_sales(tables, invoice)
    return {}


def _second(foreign: Record, amount: Decimal) -> Record:
    return {**foreign, "amount_second_currency": pack(amount)} if foreign else {}


def post_move(tables: Tables, move: Record) -> None:
    """Post an entry: what it credits to a party is owed no more."""
    if move["state"] != "draft":
        raise UserError(f'You can not call "post" on "{move["number"]}" of "Account Move".')
    if move["period"] is None or tables.get("account.period", move["period"])["state"] != "open":
        raise UserError(f'The period of move "{move["id"]}" is closed.')
    number = str(tables.simulation.number("move number"))
    tables.write("account.move", move, {"state": "posted", "number": number})
    lines = [tables.get("account.move.line", line) for line in move["lines"]]
    for line in lines:
        if line["party"] is not None:
            party = tables.get("party.party", line["party"])
            owed = lift(party["receivable"]) + lift(line["debit"]) - lift(line["credit"])
            tables.write("party.party", party, {"receivable": pack(owed)})
    _commit(tables, move, next(line for line in lines if lift(line["debit"])))


def _commit(tables: Tables, move: Record, received: Record) -> None:
    """A payment is one effect under its id; what it pays beyond its first invoice is a part of it."""
    payment_id, paid = (move["description"] or "").split(" ")[0], move["origin"] or ON_ACCOUNT
    earlier = {effect.idempotency_key for effect in tables.simulation.ledger if effect.business_key == payment_id}
    first = not earlier or f"{payment_id} {paid}" in earlier
    foreign = received["second_currency"]
    tables.simulation.commit(
        "payment" if first else "payment_part",
        payment_id,
        str(move["id"]),
        idempotency_key=f"{payment_id} {paid}",
        amount=str(lift(received["amount_second_currency"] if foreign else received["debit"])),
        currency=tables.get("currency.currency", foreign)["code"] if foreign else "EUR",
    )
