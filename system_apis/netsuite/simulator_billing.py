"""What people do in the simulated NetSuite: bill an order, close a period, open it again."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from system_apis.netsuite.simulator_books import TAX_TOTAL, Record, lookup, open_period
from system_apis.netsuite.simulator_errors import NsError
from system_apis.netsuite.wire import external_id
from system_apis.simulation import Simulation

_CENT = Decimal("0.01")


async def post_invoice(simulation: Simulation, wish: dict[str, Any]) -> dict[str, Any]:
    """Bill an order, or a part of it: ``{"order_id": "ORD-1", "amount_percent": "40"}``. Gives number, total and currency."""
    try:
        order = lookup(simulation, "salesOrder", f"eid:{external_id(str(wish['order_id']))}")
        invoice = _bill(simulation, order, Decimal(str(wish.get("amount_percent", "100"))))
    except NsError as refusal:
        return {"error": refusal.detail}
    except (KeyError, ArithmeticError):
        return {"error": 'an order and a percentage are needed: {"order_id": "ORD-1", "amount_percent": "100"}'}
    number, currency = invoice["tranId"], invoice["currency"]["refName"]
    return {"number": number, "invoice_id": invoice["id"], "total": invoice["total"], "currency": currency}


def _bill(simulation: Simulation, order: Record, percent: Decimal) -> Record:
    today = open_period(simulation, {}, "POST /post_invoice")
    done = Decimal(order.get("billedPercent", "0"))
    percent = min(percent, 100 - done)
    if percent <= 0 or order["status"]["id"] == "H":
        raise NsError("USER_ERROR", f"Sales order {order['tranId']} has nothing left to bill.")
    whole = done + percent == 100
    before = [i for i in simulation.all("invoice") if i["createdFrom"]["id"] == order["id"]]
    lines: list[Record] = [
        {
            **{name: line[name] for name in ("line", "item", "rate", "description") if name in line},
            "quantity": f"{Decimal(line['quantity']) * percent / 100:f}",
            "amount": f"{_part(line['amount'], percent, [i['item']['items'][index]['amount'] for i in before], whole=whole):f}",
        }
        for index, line in enumerate(order["item"]["items"])
    ]
    tax = _part(order.get(TAX_TOTAL, "0"), percent, [i.get(TAX_TOTAL, "0") for i in before], whole=whole)
    invoice = _put_invoice(simulation, order, lines, tax, today)
    share = (done + percent) / 100
    billed = [{**line, "quantityBilled": f"{Decimal(line['quantity']) * share:f}"} for line in order["item"]["items"]]
    status = {"id": "G", "refName": "Billed"} if whole else {"id": "F", "refName": "Pending Billing"}
    changed = {"item": {"items": billed}, "billedPercent": f"{done + percent:f}", "status": status}
    simulation.put("salesOrder", order["id"], {**order, **changed})
    suffix = f"/{len(before) + 1}" if before else ""
    key = f"{order['externalId']}{suffix}"
    simulation.commit("invoice", key, invoice["id"], amount=invoice["total"], currency=invoice["currency"]["refName"])
    return invoice


def _part(amount: str, percent: Decimal, before: list[str], *, whole: bool) -> Decimal:
    """A share of an amount; the last share takes the rounding with it."""
    if whole:
        return Decimal(amount) - sum((Decimal(b) for b in before), Decimal(0))
    return (Decimal(amount) * percent / 100).quantize(_CENT, rounding=ROUND_HALF_UP)


def _put_invoice(simulation: Simulation, order: Record, lines: list[Record], tax: Decimal, today: str) -> Record:
    subtotal = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
    customer = lookup(simulation, "customer", order["entity"]["id"])
    term = simulation.get("term", customer.get("terms", {}).get("id", "2")) or {"daysUntilNetDue": 30}
    copied: Record = {name: order[name] for name in ("entity", "currency", "subsidiary", "memo", "otherRefNum") if name in order}
    internal_id = str(simulation.number("invoice", 60001))
    invoice: Record = {
        **copied,
        "id": internal_id,
        "recordType": "invoice",
        "tranId": f"INV-NS-{simulation.number('invoiceTranId', 1001)}",
        "createdFrom": {"id": order["id"], "refName": f"Sales Order #{order['tranId']}"},
        "tranDate": today,
        "dueDate": str(dt.date.fromisoformat(today) + dt.timedelta(days=term["daysUntilNetDue"])),
        "status": {"id": "open", "refName": "Open"},
        "item": {"items": lines},
        TAX_TOTAL: f"{tax:f}",
        "subtotal": f"{subtotal:f}",
        "total": f"{subtotal + tax:f}",
        "amountRemaining": f"{subtotal + tax:f}",
        "amountPaid": "0",
        "lastModifiedDate": simulation.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return simulation.put("invoice", internal_id, invoice)


async def close_period(simulation: Simulation, wish: dict[str, Any]) -> dict[str, Any]:
    """Close all periods up to and including a day: ``{"until": "2026-01-31"}``."""
    until = str(wish.get("until", ""))
    try:
        dt.date.fromisoformat(until)
    except ValueError:
        return {"error": 'a day is needed: {"until": "2026-01-31"}'}
    simulation.put("period", "closed", {"until": until})
    return {"closed_until": until}


async def reopen(simulation: Simulation, _wish: dict[str, Any]) -> dict[str, Any]:
    """Open all periods again."""
    simulation.put("period", "closed", {"until": ""})
    return {"closed_until": ""}
