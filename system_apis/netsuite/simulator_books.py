"""The rules of the simulated NetSuite: what it takes, what it refuses, and what follows from it. Amounts are kept as text.

Stricter than NetSuite in one point: a closed period refuses sales orders too, as accounts do that forbid transactions outside of open
periods altogether.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from system_apis.netsuite.simulator_errors import not_there, user_error
from system_apis.netsuite.wire import our_id
from system_apis.simulation import Simulation

Record = dict[str, Any]
TAX_TOTAL = "custbody_q2c_tax_total"  # the account's field for the tax of the tax engine; it is part of an order's and an invoice's total
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_READ_ONLY = frozenset({"id", "recordType", "tranId", "lastModifiedDate", "createdDate", "status", "total", "subtotal", "links"})


def lookup(simulation: Simulation, record: str, ref: str) -> Record:
    """A record by internal id or ``eid:`` reference."""
    entry = simulation.get("eid", f"{record}/{ref[4:]}") if ref.startswith("eid:") else {"id": ref}
    found = simulation.get(record, entry["id"]) if entry else None
    if found is None:
        raise not_there()
    return found


def save(simulation: Simulation, record: str, ref: str, body: Record, *, replaced: frozenset[str], request: str) -> str:
    """Create or change a record; gives its internal id. Raises `NsError` and changes nothing where a rule refuses it."""
    known = _known(simulation, record, ref)
    if known is None and not ref.startswith("eid:") and ref:
        raise not_there()
    changed = {name: value for name, value in body.items() if name not in _READ_ONLY}
    merged = {**(known or {}), **changed, **_lines(known or {}, changed, replaced)}
    if ref.startswith("eid:"):
        merged["externalId"] = ref[4:]
    merged["id"] = known["id"] if known else ""
    rule = RULES[record]
    finished = rule(simulation, merged, known, request)
    if not merged["id"]:
        finished["id"] = str(simulation.number(record, rule_start(record)))
    finished["recordType"] = record
    finished["lastModifiedDate"] = simulation.clock.now().strftime(_STAMP)
    simulation.put(record, finished["id"], finished)
    if finished.get("externalId"):
        simulation.put("eid", f"{record}/{finished['externalId']}", {"id": finished["id"]})
    _book(simulation, record, finished, known)
    return str(finished["id"])


def rule_start(record: str) -> int:
    """Where the internal ids of a record type begin, so that no two types share one."""
    return {"customer": 1001, "salesOrder": 50001, "customerPayment": 70001}.get(record, 90001)


def _known(simulation: Simulation, record: str, ref: str) -> Record | None:
    entry = simulation.get("eid", f"{record}/{ref[4:]}") if ref.startswith("eid:") else {"id": ref}
    return simulation.get(record, entry["id"]) if entry else None


def _lines(known: Record, changed: Record, replaced: frozenset[str]) -> Record:
    """Sublists as NetSuite merges them: by ``line`` where a line names one, otherwise added, unless the sublist is to be replaced."""
    merged: Record = {}
    for name, value in changed.items():
        if not isinstance(value, Mapping) or "items" not in value:
            continue
        before = [] if name in replaced else [dict(line) for line in known.get(name, {}).get("items", [])]
        for line in value["items"]:
            number = int(line.get("line", 0)) or max([0, *(int(b["line"]) for b in before)]) + 1
            same = next((b for b in before if int(b["line"]) == number), None)
            if same is None:
                before.append({**line, "line": number})
            else:
                same.update({**line, "line": number})
        merged[name] = {"items": before}
    return merged


# rules ---------------------------------------------------------------------------------------------------------------


def reference(simulation: Simulation, body: Record, field: str, collection: str, label: str) -> Record:
    """The record behind a reference field."""
    wanted = body.get(field)
    if not isinstance(wanted, Mapping) or not wanted.get("id"):
        raise user_error(f"Please enter value(s) for: {label}.", field)
    found = simulation.get(collection, str(wanted["id"]))
    if found is None:
        raise user_error(f"Invalid {field} reference key {wanted['id']}.", field)
    return found


def number(body: Record, field: str, path: str = "") -> Decimal:
    """A number of the request, exactly."""
    try:
        value = Decimal(str(body.get(field, "")))
    except ArithmeticError:
        raise user_error(f"Invalid number for {field}.", path or field) from None
    if not value.is_finite():
        raise user_error(f"Invalid number for {field}.", path or field)
    return value


def open_period(simulation: Simulation, body: Record, request: str) -> str:
    """The transaction date, if its period is open."""
    try:
        date = dt.date.fromisoformat(str(body.get("tranDate", simulation.clock.now().date())))
    except ValueError:
        raise user_error("Invalid date value (must be YYYY-MM-DD).", "tranDate") from None
    closed = (simulation.get("period", "closed") or {}).get("until", "")
    if simulation.take("closed_period", request) or (closed and date.isoformat() <= closed):
        raise user_error(f"The transaction date {date} falls within a closed accounting period.", "tranDate")
    return date.isoformat()


def _customer(simulation: Simulation, body: Record, known: Record | None, _request: str) -> Record:
    if not body.get("companyName"):
        raise user_error("Please enter value(s) for: Company Name.", "companyName")
    reference(simulation, body, "subsidiary", "subsidiary", "Primary Subsidiary")
    currency = reference(simulation, body, "currency", "currency", "Currency")
    if body.get("terms"):
        reference(simulation, body, "terms", "term", "Terms")
    entity = known["entityId"] if known else f"CUST{simulation.number('entity', 2001)}"
    fixed = {"entityId": entity, "isInactive": bool(body.get("isInactive")), "currency": named(currency, "symbol")}
    return {"creditHoldOverride": {"id": "AUTO", "refName": "Auto"}, **body, **fixed}


def _order(simulation: Simulation, body: Record, known: Record | None, request: str) -> Record:
    entity = reference(simulation, body, "entity", "customer", "Customer")
    if entity["isInactive"]:
        raise user_error(f"The customer {entity['entityId']} is inactive.", "entity")
    reference(simulation, body, "subsidiary", "subsidiary", "Subsidiary")
    currency = reference(simulation, body, "currency", "currency", "Currency")
    lines = [_order_line(simulation, line, index) for index, line in enumerate(body.get("item", {}).get("items", []))]
    if not lines:
        raise user_error("You must enter at least one line item for this transaction.", "item")
    if known and _billed(known["item"]["items"]) - _billed(lines):
        raise user_error("Lines of this sales order have been billed and cannot be replaced.", "item")
    tax = number(body, TAX_TOTAL) if TAX_TOTAL in body else Decimal(0)
    subtotal = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
    return {
        **body,
        "tranDate": open_period(simulation, body, request),
        "tranId": known["tranId"] if known else f"SO-NS-{simulation.number('tranId', 1001)}",
        "entity": named(entity, "companyName"),
        "currency": named(currency, "symbol"),
        "item": {"items": lines},
        "status": _order_status(lines),
        "subtotal": f"{subtotal:f}",
        "total": f"{subtotal + tax:f}",
    }


def _order_line(simulation: Simulation, line: Record, index: int) -> Record:
    path = f"item.items[{index}]"
    item = reference(simulation, line, "item", "item", "Item")
    if item["isInactive"]:
        raise user_error(f"The item {item['itemId']} is inactive.", f"{path}.item")
    quantity, rate = number(line, "quantity", f"{path}.quantity"), number(line, "rate", f"{path}.rate")
    amount = number(line, "amount", f"{path}.amount") if "amount" in line else (quantity * rate).quantize(Decimal("0.01"))
    return {
        **line,
        "item": named(item, "itemId"),
        "quantity": f"{quantity:f}",
        "rate": f"{rate:f}",
        "amount": f"{amount:f}",
        "isClosed": bool(line.get("isClosed")),
        "quantityBilled": str(line.get("quantityBilled", "0")),
    }


def _billed(lines: list[Record]) -> set[tuple[int, str]]:
    return {(int(line["line"]), str(line["quantityBilled"])) for line in lines if Decimal(line["quantityBilled"])}


def _order_status(lines: list[Record]) -> Record:
    if all(line["isClosed"] for line in lines):
        return {"id": "H", "refName": "Closed"}
    billed = all(line["isClosed"] or Decimal(line["quantityBilled"]) >= Decimal(line["quantity"]) for line in lines)
    return {"id": "G", "refName": "Billed"} if billed else {"id": "F", "refName": "Pending Billing"}


def _payment(simulation: Simulation, body: Record, known: Record | None, request: str) -> Record:
    customer = reference(simulation, body, "customer", "customer", "Customer")
    currency = reference(simulation, body, "currency", "currency", "Currency")
    amount = number(body, "payment")
    date = open_period(simulation, body, request)
    before = _applied(known or {})
    lines = [line for line in body.get("apply", {}).get("items", []) if line.get("apply")]
    remaining: dict[str, Decimal] = {}
    for index, line in enumerate(lines):
        invoice = reference(simulation, line, "doc", "invoice", "Invoice")
        part, left = number(line, "amount"), Decimal(invoice["amountRemaining"]) + before.get(invoice["id"], Decimal(0))
        if (invoice["entity"]["id"], invoice["currency"]["id"]) != (customer["id"], currency["id"]):
            raise user_error(f"Invoice {invoice['tranId']} cannot be paid by this customer in this currency.", f"apply.items[{index}]")
        if not 0 < part <= left:
            raise user_error(
                f"The payment amount {part} exceeds the amount due {left} of {invoice['tranId']}.", f"apply.items[{index}].amount"
            )
        remaining[invoice["id"]] = left - part
    applied = sum((number(line, "amount") for line in lines), Decimal(0))
    if applied > amount:
        raise user_error(f"The applied amount {applied} exceeds the payment {amount}.", "payment")
    for invoice_id, back in before.items():
        remaining.setdefault(invoice_id, Decimal(lookup(simulation, "invoice", invoice_id)["amountRemaining"]) + back)
    for invoice_id, left in remaining.items():
        settle(simulation, invoice_id, left)
    return {
        **body,
        "tranDate": date,
        "tranId": known["tranId"] if known else f"PYMT-NS-{simulation.number('paymentTranId', 1001)}",
        "customer": named(customer, "companyName"),
        "currency": named(currency, "symbol"),
        "payment": f"{amount:f}",
        "total": f"{amount:f}",
        "applied": f"{applied:f}",
        "unapplied": f"{amount - applied:f}",
        "apply": {"items": lines},
    }


def _applied(payment: Record) -> dict[str, Decimal]:
    return {line["doc"]["id"]: Decimal(str(line["amount"])) for line in payment.get("apply", {}).get("items", [])}


def settle(simulation: Simulation, invoice_id: str, remaining: Decimal) -> None:
    """Set what is still to be paid of an invoice."""
    invoice = lookup(simulation, "invoice", invoice_id)
    status = {"id": "open", "refName": "Open"} if remaining else {"id": "paidInFull", "refName": "Paid In Full"}
    paid = Decimal(invoice["total"]) - remaining
    changed = simulation.clock.now().strftime(_STAMP)
    money = {"amountRemaining": f"{remaining:f}", "amountPaid": f"{paid:f}"}
    simulation.put("invoice", invoice_id, {**invoice, **money, "status": status, "lastModifiedDate": changed})


def named(record: Record, name: str) -> Record:
    """A reference as NetSuite shows it."""
    return {"id": record["id"], "refName": record[name]}


Rule = Callable[[Simulation, Record, Record | None, str], Record]
RULES: dict[str, Rule] = {"customer": _customer, "salesOrder": _order, "customerPayment": _payment}


def _book(simulation: Simulation, record: str, finished: Record, known: Record | None) -> None:
    """Write what a person would count into the ledger: new records, and orders that were closed."""
    key = our_id(finished.get("externalId", "")) or finished["id"]
    idempotency = f"eid:{finished['externalId']}" if finished.get("externalId") else ""
    currency = finished.get("currency", {}).get("refName", "")
    kinds = {"customer": ("customer", ""), "salesOrder": ("sales_order", "total"), "customerPayment": ("payment", "payment")}
    kind, amount = kinds[record]
    if known is None:
        worth = finished.get(amount, "") if amount else ""
        simulation.commit(kind, key, finished["id"], idempotency_key=idempotency, amount=worth, currency=currency)
    elif record == "salesOrder" and finished["status"]["id"] == "H" and known["status"]["id"] != "H":
        simulation.commit("sales_order_closed", key, finished["id"], idempotency_key=idempotency, currency=currency)
