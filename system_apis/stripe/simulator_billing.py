"""The simulated Stripe's subscriptions and schedules, and what it refuses about them."""

from decimal import Decimal
from typing import Any

from system_apis.simulation import Simulation
from system_apis.stripe.amounts import money
from system_apis.stripe.simulator_catalogue import SEARCH_LAG_S, existing_product, put_price, recurring_of
from system_apis.stripe.simulator_wire import Ask, StripeSays, missing, new_id, only, page, refuse, required, searched, whole

ITEMS_MAX = 20
DAY_S = 24 * 3600
TRIAL_S_MAX = 730 * DAY_S
START_S_MAX = 5 * 365 * DAY_S

# subscriptions --------------------------------------------------------------------------------------------------------


def make_subscription(ask: Ask) -> dict[str, Any]:
    """``POST /v1/subscriptions``: starts now, on trial where a trial end is given."""
    known = ("items", "collection_method", "days_until_due", "trial_end", "metadata", "description", "default_payment_method")
    only(ask.params, "customer", "proration_behavior", *known)
    required(ask.params, "customer", "items")
    customer = _buyer(ask)
    method = _collection(ask.params.get("collection_method"), ask.params.get("days_until_due"))
    trial_end = whole(ask.params["trial_end"], "trial_end") if "trial_end" in ask.params else None
    if trial_end is not None and not ask.now < trial_end <= ask.now + TRIAL_S_MAX:
        raise StripeSays(400, "Invalid timestamp: must be in the future and within two years.", param="trial_end")
    subscription_id = new_id(ask.sim, "sub")
    items, currency = _items(ask, ask.params["items"], customer, "items")
    for item in items:
        item.update({"id": new_id(ask.sim, "si"), "object": "subscription_item", "created": ask.now, "subscription": subscription_id})
    url = f"/v1/subscription_items?subscription={subscription_id}"
    record = {
        "id": subscription_id,
        "object": "subscription",
        "created": ask.now,
        "start_date": ask.now,
        "livemode": False,
        "customer": customer["id"],
        "currency": currency,
        "status": "trialing" if trial_end else "active",
        "schedule": None,
        "trial_start": ask.now if trial_end else None,
        "trial_end": trial_end,
        "billing_cycle_anchor": trial_end or ask.now,
        "collection_method": method,
        "days_until_due": whole(ask.params.get("days_until_due", 0), "days_until_due"),
        "canceled_at": None,
        "ended_at": None,
        "cancel_at_period_end": False,
        "cancellation_details": {"comment": None},
        "description": ask.params.get("description"),
        "metadata": ask.params.get("metadata", {}),
        "latest_invoice": None,
        "items": {"object": "list", "has_more": False, "url": url, "data": items},
    }
    return _kept(ask, "subscriptions", record, items, currency)


def get_subscription(ask: Ask) -> dict[str, Any]:
    """``GET /v1/subscriptions/{id}``, cancelled or not."""
    return ask.sim.get("subscriptions", ask.ids[0]) or refuse(missing("subscription", ask.ids[0], "id"))


def list_subscriptions(ask: Ask) -> dict[str, Any]:
    """``GET /v1/subscriptions``; without a status, cancelled ones are left out."""
    customer, status = ask.params.get("customer"), ask.params.get("status")
    found = [
        s
        for s in ask.sim.all("subscriptions")
        if (customer is None or s["customer"] == customer)
        and (status == "all" or (s["status"] != "canceled" if status is None else s["status"] == status))
    ]
    return page(ask, found, "/v1/subscriptions")


def search_subscriptions(ask: Ask) -> dict[str, Any]:
    """``GET /v1/subscriptions/search``, which lags behind."""
    return searched(ask, ask.sim.all("subscriptions"), "/v1/subscriptions/search", SEARCH_LAG_S)


def cancel_subscription(ask: Ask) -> dict[str, Any]:
    """``DELETE /v1/subscriptions/{id}``; what is cancelled is not there any more for a second time."""
    before = get_subscription(ask)
    if before["status"] == "canceled":
        raise missing("subscription", ask.ids[0], "id")
    details = {"comment": None, **ask.params.get("cancellation_details", {}), "reason": "cancellation_requested"}
    ended = {"status": "canceled", "canceled_at": ask.now, "ended_at": ask.now, "cancellation_details": details}
    return _cancelled(ask, "subscriptions", {**before, **ended})


# schedules ------------------------------------------------------------------------------------------------------------


def make_schedule(ask: Ask) -> dict[str, Any]:
    """``POST /v1/subscription_schedules``: a subscription that starts on a later day."""
    only(ask.params, "customer", "start_date", "end_behavior", "default_settings", "phases", "metadata")
    required(ask.params, "customer", "start_date", "phases")
    customer, start = _buyer(ask), whole(ask.params["start_date"], "start_date")
    if start > ask.now + START_S_MAX:
        raise StripeSays(400, "Invalid timestamp: can be no more than five years in the future.", param="start_date")
    phase = ask.params["phases"][0]
    if "iterations" in phase:
        raise StripeSays(400, "Received unknown parameter: phases[0][iterations]", code="parameter_unknown", param="phases[0][iterations]")
    required(phase, "items", "duration")
    settings = ask.params.get("default_settings", {})
    _collection(settings.get("collection_method"), settings.get("invoice_settings", {}).get("days_until_due"))
    items, currency = _items(ask, phase["items"], customer, "phases[0][items]")
    months = {"month": 1, "year": 12}.get(phase["duration"]["interval"], 1) * whole(phase["duration"].get("interval_count", 1), "duration")
    shown = {"start_date": start, "end_date": start + months * 30 * DAY_S, "currency": currency, "metadata": phase.get("metadata", {})}
    listed = [{**item, "price": item["price"]["id"]} for item in items]
    schedule_id = new_id(ask.sim, "sub_sched")
    record = {
        "id": schedule_id,
        "object": "subscription_schedule",
        "created": ask.now,
        "livemode": False,
        "customer": customer["id"],
        "status": "not_started",
        "subscription": None,
        "current_phase": None,
        "canceled_at": None,
        "released_at": None,
        "end_behavior": ask.params.get("end_behavior", "release"),
        "default_settings": settings,
        "metadata": ask.params.get("metadata", {}),
        "phases": [{**shown, "description": phase.get("description"), "items": listed}],
    }
    return _kept(ask, "subscription_schedules", record, items, currency)


def get_schedule(ask: Ask) -> dict[str, Any]:
    """``GET /v1/subscription_schedules/{id}``."""
    found = ask.sim.get("subscription_schedules", ask.ids[0])
    return found or refuse(missing("subscription schedule", ask.ids[0], "schedule"))


def list_schedules(ask: Ask) -> dict[str, Any]:
    """``GET /v1/subscription_schedules``."""
    customer = ask.params.get("customer")
    found = [s for s in ask.sim.all("subscription_schedules") if customer in (None, s["customer"])]
    return page(ask, found, "/v1/subscription_schedules")


def cancel_schedule(ask: Ask) -> dict[str, Any]:
    """``POST /v1/subscription_schedules/{id}/cancel``."""
    before = get_schedule(ask)
    if before["status"] == "canceled":
        raise StripeSays(400, "You cannot cancel a subscription schedule that is currently in the `canceled` status.")
    return _cancelled(ask, "subscription_schedules", {**before, "status": "canceled", "canceled_at": ask.now})


# what both share ------------------------------------------------------------------------------------------------------


def _buyer(ask: Ask) -> dict[str, Any]:
    customer_id = ask.params["customer"]
    return ask.sim.get("customers", customer_id) or refuse(missing("customer", customer_id, "customer", 400))


def _collection(method: str | None, days: Any) -> str:
    if method != "send_invoice":
        text = "This customer has no attached payment source or default payment method. Please consider adding one."
        raise StripeSays(400, text, code="resource_missing")
    if days is None:
        raise StripeSays(400, "days_until_due is required with send_invoice", code="parameter_missing", param="days_until_due")
    return method


def _items(ask: Ask, asked: list[dict[str, Any]], customer: dict[str, Any], param: str) -> tuple[list[dict[str, Any]], str]:
    if len(asked) > ITEMS_MAX:
        raise StripeSays(400, f"A subscription can have at most {ITEMS_MAX} items.", param=param)
    items = [_item(ask, item, f"{param}[{index}]") for index, item in enumerate(asked)]
    currencies = {item["price"]["currency"] for item in items} | _currencies(ask.sim, customer)
    if len(currencies) > 1:
        text = "You cannot combine currencies on a single customer. This customer has an active subscription or subscription schedule with"
        raise StripeSays(400, f"{text} currency {min(_currencies(ask.sim, customer) or currencies)}.")
    ids = [item["price"]["id"] for item in items]
    if len(set(ids)) < len(ids):
        raise StripeSays(400, "Cannot add multiple subscription items with the same plan.", param=param)
    return items, currencies.pop()


def _item(ask: Ask, asked: dict[str, Any], param: str) -> dict[str, Any]:
    inline = asked.get("price_data")
    if inline:
        existing_product(ask.sim, inline["product"])
        recurring = {**recurring_of(metered=False, meter=None), "interval": inline["recurring"]["interval"]}
        price = put_price(ask.sim, inline["currency"], inline["product"], inline["unit_amount_decimal"], recurring)
    else:
        price = ask.sim.get("prices", asked.get("price", "")) or refuse(missing("price", asked.get("price", ""), f"{param}[price]", 400))
    if not price["active"]:
        raise StripeSays(400, "The price specified is inactive. This field only accepts active prices.", param=f"{param}[price]")
    metered = price["recurring"]["usage_type"] == "metered"
    if metered and "quantity" in asked:
        raise StripeSays(400, "Quantity should not be specified where usage_type is `metered`.", param=f"{param}[quantity]")
    quantity = {} if metered else {"quantity": whole(asked.get("quantity", 1), f"{param}[quantity]")}
    return {"price": price, **quantity, "metadata": asked.get("metadata", {})}


def _currencies(sim: Simulation, customer: dict[str, Any]) -> set[str]:
    own = [s for s in (*sim.all("subscriptions"), *sim.all("subscription_schedules")) if s["customer"] == customer["id"]]
    return {s.get("currency") or s["phases"][0]["currency"] for s in own if s["status"] != "canceled"}


def _kept(ask: Ask, collection: str, record: dict[str, Any], items: list[dict[str, Any]], currency: str) -> dict[str, Any]:
    kept = ask.sim.put(collection, record["id"], record)
    units = sum((Decimal(item["price"]["unit_amount_decimal"]) * item.get("quantity", 0) for item in items), Decimal(0))
    amount = money(int(units), currency)
    _commit(ask, record, "", amount.amount, amount.currency)
    return kept


def _cancelled(ask: Ask, collection: str, record: dict[str, Any]) -> dict[str, Any]:
    _commit(ask, record, "_cancelled")
    return ask.sim.put(collection, record["id"], record)


def _commit(ask: Ask, record: dict[str, Any], what: str, amount: str = "", currency: str = "") -> None:
    """An order may have one agreement for its recurring lines and one for its usage: two kinds, so that neither looks like a double."""
    metadata = record.get("metadata", {})
    kind = "usage_subscription" if metadata.get("q2c_part") == "usage" else "subscription"
    business_key = metadata.get("q2c_order_id", record["id"])
    ask.sim.commit(kind + what, business_key, record["id"], idempotency_key=ask.key, amount=amount, currency=currency)
