"""What stands in the simulated account from the beginning: currencies, terms, items, customers, tax items."""

from typing import Any

from system_apis.simulation import Simulation

CURRENCIES = {"1": ("USD", "US Dollar"), "4": ("EUR", "Euro")}
TERMS = {"4": ("Due on receipt", 0), "1": ("Net 14", 14), "2": ("Net 30", 30), "3": ("Net 60", 60)}
SUBSIDIARIES = {"1": "Northwind Software Inc.", "2": "Northwind Software GmbH"}

# code, name, record type, inactive, in stock
_ITEMS = (
    ("SUB-TEAM", "Team plan, per seat and month", "nonInventorySaleItem", False, None),
    ("SUB-ENT", "Enterprise plan, per seat and month", "nonInventorySaleItem", False, None),
    ("SUB-ENT3", "Enterprise plan, three years", "nonInventorySaleItem", False, None),
    ("SUB-OLD", "Legacy plan", "nonInventorySaleItem", True, None),
    ("USE-API", "API calls, per thousand", "nonInventorySaleItem", False, None),
    ("USE-STO", "Storage, per GB and month", "nonInventorySaleItem", False, None),
    ("SVC-ONB", "Onboarding day", "serviceSaleItem", False, None),
    ("SVC-ARC", "Architect day", "serviceSaleItem", False, None),
    ("HW-GW", "Edge gateway device", "inventoryItem", False, "250"),
    ("HW-RACK", "Rack mount kit", "inventoryItem", False, "3"),
    ("LIC-PERP", "Perpetual add-on licence", "nonInventorySaleItem", False, None),
)
# id, legal name, e-mail, credit limit, hold
_CUSTOMERS = (
    ("C-ACME", "Acme Robotics Inc.", "ap@acme.example", None, "AUTO"),
    ("C-GLOBEX", "Globex Corporation", "finance@globex.example", "2000000", "AUTO"),
    ("C-HOLD", "Hooli Holdings LLC", "pay@hooli.example", None, "ON"),
    ("C-SMALL", "Smallco Ltd", "owner@small.example", "10000", "AUTO"),
)
# item id, sentence, rate, country, inactive
_TAX_ITEMS = (
    ("CA-SF", "California, San Francisco", "8.625%", "US", False),
    ("NY-NYC", "New York City", "8.875%", "US", False),
    ("TX-AUS", "Texas, Austin", "8.25%", "US", False),
    ("WA-SEA", "Washington, Seattle", "10.1%", "US", False),
    ("IL-CHI", "Illinois, Chicago", "10.25%", "US", False),
    ("DE-S", "Germany, standard", "19%", "DE", False),
    ("AT-S", "Austria, standard", "20%", "AT", False),
    ("DK-S", "Denmark, standard", "25%", "DK", False),
    ("DE-2020", "Germany, second half of 2020", "16%", "DE", True),
)


def seed(simulation: Simulation) -> None:
    """Fill an empty account; one that has been filled before is left as it is."""
    if simulation.all("currency"):
        return
    for internal_id, (symbol, name) in CURRENCIES.items():
        simulation.put("currency", internal_id, {"id": internal_id, "symbol": symbol, "name": name})
    for internal_id, (name, days) in TERMS.items():
        simulation.put("term", internal_id, {"id": internal_id, "name": name, "daysUntilNetDue": days})
    for internal_id, name in SUBSIDIARIES.items():
        simulation.put("subsidiary", internal_id, {"id": internal_id, "name": name})
    for code, name, record_type, inactive, stock in _ITEMS:
        internal_id = str(simulation.number("item", 101))
        item = {"id": internal_id, "itemId": code, "displayName": name, "recordType": record_type, "isInactive": inactive}
        simulation.put("item", internal_id, {**item, "quantityAvailable": stock})
    for our_id, name, email, limit, hold in _CUSTOMERS:
        internal_id = str(simulation.number("customer", 1001))
        simulation.put("customer", internal_id, _customer(internal_id, our_id, name, email, limit, hold))
        simulation.put("eid", f"customer/{our_id}", {"id": internal_id})
    for code, name, rate, country, inactive in _TAX_ITEMS:
        internal_id = str(simulation.number("taxItem", 11))
        tax = {"id": internal_id, "itemId": code, "description": name, "rate": rate, "country": country, "isInactive": inactive}
        simulation.put("taxItem", internal_id, tax)


def _customer(internal_id: str, our_id: str, name: str, email: str, limit: str | None, hold: str) -> dict[str, Any]:
    return {
        "id": internal_id,
        "externalId": our_id,
        "entityId": f"CUST{internal_id}",
        "companyName": name,
        "email": email,
        "isPerson": False,
        "isInactive": False,
        "subsidiary": {"id": "1", "refName": SUBSIDIARIES["1"]},
        "currency": {"id": "1", "refName": "USD"},
        "terms": {"id": "2", "refName": "Net 30"},
        "creditLimit": limit,
        "creditHoldOverride": {"id": hold, "refName": hold.title()},
    }
