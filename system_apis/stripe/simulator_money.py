"""The simulated Stripe's money: payments, invoices, the events about them, and the webhooks that carry the events."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from canonical.money import Money
from system_apis.simulation import Simulation
from system_apis.stripe.amounts import minor, money
from system_apis.stripe.simulator_wire import COLLECTIONS, Ask, missing, new_id, page, refuse
from system_apis.stripe.webhooks import signature

SIGNING_KEY = "whsec_simulated"
API_VERSION = "2026-10-28.endive"
PUSHED = {"payment_intent.succeeded", "charge.succeeded", "invoice.finalized"}  # what the endpoint has subscribed to
FEE_PERCENT, FEE_FIXED_UNITS = Decimal("2.9"), 30
USAGE_DEFAULT = "1000"

# reading --------------------------------------------------------------------------------------------------------------


def get_record(ask: Ask) -> dict[str, Any]:
    """``GET /v1/{kind}s/{id}`` for everything that is only looked at."""
    prefix = ask.ids[0].split("_", maxsplit=1)[0]
    collection = "events" if prefix == "evt" else COLLECTIONS.get(prefix, "")
    return ask.sim.get(collection, ask.ids[0]) or refuse(missing(collection.rstrip("s") or "record", ask.ids[0], "id"))


def list_of(collection: str) -> Any:
    """``GET /v1/{collection}`` by customer, or, for events, by type."""

    def listed(ask: Ask) -> dict[str, Any]:
        found = [r for r in ask.sim.all(collection) if all(ask.params.get(name) in (None, r.get(name)) for name in ("customer", "type"))]
        return page(ask, found, f"/v1/{collection}")

    return listed


# events and webhooks --------------------------------------------------------------------------------------------------


def announce(sim: Simulation, kind: str, record: dict[str, Any]) -> str:
    """Keep an event and push it where the endpoint has asked for its type; gives its id."""
    event_id = new_id(sim, "evt")
    event = {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": _now(sim),
        "type": kind,
        "livemode": False,
        "data": {"object": record},
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
    }
    sim.put("events", event_id, event)
    if kind in PUSHED:
        push(sim, event)
    return event_id


def push(sim: Simulation, event: dict[str, Any]) -> None:
    """Send an event, freshly signed."""
    body = msgspec.json.encode(event)
    now = _now(sim)
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": f"t={now},v1={signature(SIGNING_KEY, now, body)}"}
    sim.push(body, headers)


async def resend_event(sim: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    """Act: someone presses “resend” at an event {id}."""
    event = sim.get("events", body.get("id", ""))
    if event is None:
        return {"error": f"No such event: '{body.get('id')}'"}
    push(sim, event)
    return {"id": event["id"]}


# payments -------------------------------------------------------------------------------------------------------------


async def pay(sim: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    """Act: a customer pays {amount, currency, invoice?, description?, customer?, payer?, entity?, order_id?}.

    Stripe tells it twice: as a succeeded charge and as a succeeded payment intent.
    """
    amount = Money(str(body["amount"]), body["currency"])
    customer = _customer(sim, body.get("customer", ""))
    payer = body.get("payer") or customer.get("name") or ""
    named = {"q2c_invoice": "invoice", "q2c_entity": "entity", "q2c_order_id": "order_id"}
    metadata = {**{name: body[field] for name, field in named.items() if body.get(field)}, **({"q2c_payer": payer} if payer else {})}
    common = {
        "amount": minor(amount),
        "currency": amount.currency.lower(),
        "created": _now(sim),
        "customer": customer.get("id"),
        "description": body.get("description"),
        "livemode": False,
        "metadata": metadata,
        "receipt_email": customer.get("email"),
        "statement_descriptor": None,
        "status": "succeeded",
        "payment_method": new_id(sim, "pm"),
    }
    charge_id, intent_id = new_id(sim, "ch"), new_id(sim, "pi")
    transaction = _balance_transaction(sim, charge_id, amount)
    charge = {
        **_charge(charge_id, intent_id, transaction["id"], common),
        "billing_details": {"name": payer or None, "email": customer.get("email")},
    }
    intent = _intent(intent_id, charge_id, common)
    sim.put("charges", charge_id, charge)
    sim.put("payment_intents", intent_id, intent)
    sim.commit("payment", intent_id, intent_id, amount=amount.amount, currency=amount.currency)
    events = [announce(sim, "charge.succeeded", charge), announce(sim, "payment_intent.succeeded", intent)]
    return {"id": intent_id, "charge": charge_id, "events": events}


def _charge(charge_id: str, intent_id: str, transaction_id: str, common: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": charge_id,
        "object": "charge",
        **common,
        "amount_captured": common["amount"],
        "amount_refunded": 0,
        "captured": True,
        "balance_transaction": transaction_id,
        "calculated_statement_descriptor": "NORTHWIND",
        "paid": True,
        "payment_intent": intent_id,
        "refunded": False,
    }


def _intent(intent_id: str, charge_id: str, common: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": intent_id,
        "object": "payment_intent",
        **common,
        "amount_received": common["amount"],
        "amount_capturable": 0,
        "capture_method": "automatic",
        "latest_charge": charge_id,
        "payment_method_types": ["card"],
    }


def _balance_transaction(sim: Simulation, charge_id: str, amount: Money) -> dict[str, Any]:
    units = minor(amount)
    fee = int((units * FEE_PERCENT / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP)) + FEE_FIXED_UNITS
    transaction_id = new_id(sim, "txn")
    record = {
        "id": transaction_id,
        "object": "balance_transaction",
        "amount": units,
        "currency": amount.currency.lower(),
        "fee": fee,
        "net": units - fee,
        "created": _now(sim),
        "source": charge_id,
        "status": "pending",
        "type": "charge",
    }
    return sim.put("balance_transactions", transaction_id, record)


def _customer(sim: Simulation, name: str) -> dict[str, Any]:
    """A customer by Stripe's id or ours; an unknown one pays as a guest."""
    own = next((c for c in sim.all("customers") if name and c.get("metadata", {}).get("q2c_id") == name), None)
    return sim.get("customers", name) or own or {}


# invoices -------------------------------------------------------------------------------------------------------------


async def finalize_invoice(sim: Simulation, body: dict[str, Any]) -> dict[str, Any]:
    """Act: a period of a subscription {subscription, or order_id and part?} ends and is invoiced.

    ``usage`` is how much was used of each metered item. On trial the invoice is over nothing, unless ``renewal`` says that it is over.
    """
    wanted = {"q2c_order_id": body.get("order_id"), "q2c_part": body.get("part")}
    found = [
        s
        for s in sim.all("subscriptions")
        if s["id"] == body.get("subscription")
        or (body.get("order_id") and all(value in (None, s["metadata"].get(name)) for name, value in wanted.items()))
    ]
    if not found:
        return {"error": "no such subscription"}
    subscription = found[-1]
    free = (subscription["trial_end"] or 0) > _now(sim) and not body.get("renewal")
    used = Decimal(str(body.get("usage", USAGE_DEFAULT)))
    lines = [_line(sim, item, subscription, Decimal(0) if free else used, free=free) for item in subscription["items"]["data"]]
    invoice = _invoice(sim, subscription, lines)
    sim.put("invoices", invoice["id"], invoice)
    total = money(invoice["total"], invoice["currency"])
    sim.commit("invoice", invoice["number"], invoice["id"], amount=total.amount, currency=total.currency)
    draft = {**invoice, "status": "draft", "number": None}
    events = [announce(sim, "invoice.created", draft), announce(sim, "invoice.finalized", invoice)]
    return {"id": invoice["id"], "number": invoice["number"], "total": total.amount, "events": events}


def _line(sim: Simulation, item: dict[str, Any], subscription: dict[str, Any], used: Decimal, *, free: bool) -> dict[str, Any]:
    price = item["price"]
    quantity = item.get("quantity", int(used))
    units = Decimal(price["unit_amount_decimal"]) * (0 if free else item.get("quantity", used))
    name = (sim.get("products", price["product"]) or {}).get("name", price["product"])
    return {
        "id": new_id(sim, "il"),
        "object": "line_item",
        "amount": int(units.quantize(Decimal(1), rounding=ROUND_HALF_UP)),
        "currency": price["currency"],
        "description": f"{quantity} × {name}",
        "quantity": quantity,
        "taxes": [],
        "metadata": subscription["metadata"],
        "subscription": subscription["id"],
        "pricing": {"type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"]},
    }


def _invoice(sim: Simulation, subscription: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    total, now = sum(line["amount"] for line in lines), _now(sim)
    customer = sim.get("customers", subscription["customer"]) or {}
    details = {"subscription": subscription["id"], "metadata": subscription["metadata"]}
    return {
        "id": new_id(sim, "in"),
        "object": "invoice",
        "number": f"SIM-{sim.number('invoice'):04d}",
        "livemode": False,
        "amount_due": total,
        "amount_paid": 0,
        "amount_remaining": total,
        "subtotal": total,
        "total": total,
        "total_excluding_tax": total,
        "currency": subscription["currency"],
        "status": "open" if total else "paid",
        "customer": subscription["customer"],
        "customer_name": customer.get("name"),
        "customer_email": customer.get("email"),
        "billing_reason": "subscription_cycle",
        "collection_method": subscription["collection_method"],
        "created": now,
        "due_date": now + subscription["days_until_due"] * 24 * 3600,
        "metadata": {},
        "status_transitions": {"finalized_at": now, "paid_at": None, "voided_at": None, "marked_uncollectible_at": None},
        "lines": {"object": "list", "has_more": False, "url": "/v1/invoices/lines", "data": lines},
        "parent": {"type": "subscription_details", "subscription_details": details},
    }


def _now(sim: Simulation) -> int:
    return int(sim.clock.now().timestamp())
