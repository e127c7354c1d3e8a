"""The simulated Stripe's master data: customers, products and prices, and what it refuses about them."""

from decimal import Decimal
from typing import Any

from system_apis.simulation import Simulation
from system_apis.stripe.amounts import unit_amount
from system_apis.stripe.simulator_wire import Ask, StripeSays, missing, new_id, only, page, refuse, required, searched

SEARCH_LAG_S = 5
# item code, name, usage based, on sale, list price by currency
CATALOGUE: tuple[tuple[str, str, bool, bool, dict[str, str]], ...] = (
    ("SUB-TEAM", "Team plan", False, True, {"USD": "45.00", "EUR": "42.00"}),
    ("SUB-ENT", "Enterprise plan", False, True, {"USD": "89.00", "EUR": "82.00"}),
    ("SUB-ENT3", "Enterprise plan, three years", False, True, {"USD": "69.00"}),
    ("SUB-OLD", "Legacy plan", False, False, {"USD": "30.00", "EUR": "28.00"}),
    ("USE-API", "API calls, per thousand", True, True, {"USD": "0.0350", "EUR": "0.0320"}),
    ("USE-STO", "Storage, per GB and month", True, True, {"USD": "0.1200", "EUR": "0.1100"}),
)


def seed(sim: Simulation) -> None:
    """The catalogue: a product per item and a price per currency, metered for usage."""
    created = int(sim.clock.now().timestamp())
    for code, name, metered, active, prices in CATALOGUE:
        product_id = f"prod_{code.replace('-', '')}"
        product = {"id": product_id, "object": "product", "active": active, "created": created, "name": name}
        sim.put("products", product_id, {**product, "livemode": False, "metadata": {"q2c_item": code}})
        recurring = recurring_of(metered=metered, meter=f"mtr_{code.replace('-', '')}" if metered else None)
        for currency, amount in prices.items():
            unit = unit_amount(Decimal(amount), currency)
            put_price(sim, currency.lower(), product_id, unit, recurring, active=active, lookup_key=f"{code}_{currency.lower()}")


# customers ------------------------------------------------------------------------------------------------------------


def make_customer(ask: Ask) -> dict[str, Any]:
    """``POST /v1/customers``."""
    only(ask.params, "name", "email", "address", "shipping", "tax_id_data", "metadata", "description", "phone")
    _check_email(ask)
    customer_id = new_id(ask.sim, "cus")
    given = {name: value for name, value in ask.params.items() if name not in {"expand", "tax_id_data"}}
    record = {
        "id": customer_id,
        "object": "customer",
        "created": ask.now,
        "livemode": False,
        "currency": None,
        "balance": 0,
        "name": None,
        "email": None,
        "address": None,
        "shipping": None,
        "description": None,
        "phone": None,
        "metadata": {},
        **given,
    }
    kept = ask.sim.put("customers", customer_id, record)
    ask.sim.commit("customer", record["metadata"].get("q2c_id", customer_id), customer_id, idempotency_key=ask.key)
    return kept


def change_customer(ask: Ask) -> dict[str, Any]:
    """``POST /v1/customers/{id}``: metadata are merged, everything else is replaced."""
    _check_email(ask)
    before = get_customer(ask)
    metadata = {**before.get("metadata", {}), **ask.params.get("metadata", {})}
    given = {name: value for name, value in ask.params.items() if name != "expand"}
    return ask.sim.put("customers", before["id"], {**before, **given, "metadata": metadata})


def get_customer(ask: Ask) -> dict[str, Any]:
    """``GET /v1/customers/{id}``."""
    return ask.sim.get("customers", ask.ids[0]) or refuse(missing("customer", ask.ids[0], "id"))


def list_customers(ask: Ask) -> dict[str, Any]:
    """``GET /v1/customers``; an e-mail must be the same to the letter."""
    email = ask.params.get("email")
    return page(ask, [c for c in ask.sim.all("customers") if email is None or c.get("email") == email], "/v1/customers")


def search_customers(ask: Ask) -> dict[str, Any]:
    """``GET /v1/customers/search``, which lags behind."""
    return searched(ask, ask.sim.all("customers"), "/v1/customers/search", SEARCH_LAG_S)


def _check_email(ask: Ask) -> None:
    email = ask.params.get("email", "a@b")
    if "@" not in email:
        raise StripeSays(400, f"Invalid email address: {email}", code="email_invalid", param="email")


# products and prices --------------------------------------------------------------------------------------------------


def get_product(ask: Ask) -> dict[str, Any]:
    """``GET /v1/products/{id}``."""
    return ask.sim.get("products", ask.ids[0]) or refuse(missing("product", ask.ids[0], "id"))


def list_products(ask: Ask) -> dict[str, Any]:
    """``GET /v1/products``."""
    return page(ask, ask.sim.all("products"), "/v1/products")


def get_price(ask: Ask) -> dict[str, Any]:
    """``GET /v1/prices/{id}``."""
    return ask.sim.get("prices", ask.ids[0]) or refuse(missing("price", ask.ids[0], "price"))


def list_prices(ask: Ask) -> dict[str, Any]:
    """``GET /v1/prices`` by lookup keys, product, currency, or whether it is active."""
    keys, active = ask.params.get("lookup_keys"), ask.params.get("active")
    if keys is not None and len(keys) > 10:
        raise StripeSays(400, "You may only specify up to 10 lookup_keys", param="lookup_keys")
    found = [
        price
        for price in ask.sim.all("prices")
        if (keys is None or price["lookup_key"] in keys)
        and (active is None or str(price["active"]).lower() == active)
        and all(ask.params.get(name) in (None, price[name]) for name in ("product", "currency"))
    ]
    return page(ask, found, "/v1/prices")


def make_price(ask: Ask) -> dict[str, Any]:
    """``POST /v1/prices``; a metered price needs a meter, a lookup key belongs to one price."""
    only(ask.params, "currency", "product", "unit_amount", "unit_amount_decimal", "recurring", "lookup_key", "nickname", "metadata")
    required(ask.params, "currency", "product")
    existing_product(ask.sim, ask.params["product"])
    key, asked = ask.params.get("lookup_key"), ask.params.get("recurring", {})
    if key and (taken := ask.sim.find("prices", lookup_key=key)):
        raise StripeSays(400, f"A price (`{taken['id']}`) already uses that lookup key.", param="lookup_key")
    if asked.get("usage_type") == "metered" and not asked.get("meter"):
        raise StripeSays(400, "Metered prices must be backed by meters.", code="parameter_missing", param="recurring[meter]")
    recurring = {**recurring_of(metered=False, meter=None), **asked, "interval_count": int(asked.get("interval_count", 1))}
    unit = str(ask.params.get("unit_amount_decimal", ask.params.get("unit_amount", "0")))
    nickname = ask.params.get("nickname")
    return put_price(ask.sim, ask.params["currency"], ask.params["product"], unit, recurring, lookup_key=key, nickname=nickname)


def put_price(
    sim: Simulation,
    currency: str,
    product: str,
    unit: str,
    recurring: dict[str, Any],
    *,
    active: bool = True,
    lookup_key: str | None = None,
    nickname: str | None = None,
) -> dict[str, Any]:
    """Keep a new price."""
    price_id = new_id(sim, "price")
    record = {
        "id": price_id,
        "object": "price",
        "active": active,
        "billing_scheme": "per_unit",
        "currency": currency,
        "livemode": False,
        "created": int(sim.clock.now().timestamp()),
        "lookup_key": lookup_key,
        "metadata": {},
        "nickname": nickname,
        "product": product,
        "recurring": recurring,
        "tax_behavior": "unspecified",
        "type": "recurring",
        "unit_amount": int(unit) if unit.isdigit() else None,
        "unit_amount_decimal": unit,
    }
    return sim.put("prices", price_id, record)


def recurring_of(*, metered: bool, meter: str | None) -> dict[str, Any]:
    """Monthly, by seat or by meter."""
    usage_type = "metered" if metered else "licensed"
    return {"interval": "month", "interval_count": 1, "usage_type": usage_type, "meter": meter, "trial_period_days": None}


def existing_product(sim: Simulation, product_id: str) -> None:
    """Refuse a product that is not there."""
    if sim.get("products", product_id) is None:
        raise missing("product", product_id, "product", 400)
