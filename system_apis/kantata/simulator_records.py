"""How the simulated Kantata validates what it is given and what it makes of it: attributes by allow-list, money in cents, references."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from canonical.money import DECIMALS, Money
from system_apis.simulation import Simulation

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
_ROLES = {"maven", "buyer", "consultant", "client"}
_STORY_TYPES = {"task", "deliverable", "milestone", "issue"}
STATUSES: dict[int, dict[str, Any]] = {
    210: {"color": "light-green", "key": 210, "message": "Not Started"},
    310: {"color": "green", "key": 310, "message": "In Progress"},
    530: {"color": "grey", "key": 530, "message": "Cancelled"},
}
_WORKSPACE_CHANGES = {
    *("title", "budgeted", "description", "archived", "access_level", "price", "start_date", "due_date", "currency", "status_key"),
    *("client_role_name", "consultant_role_name", "workspace_group_ids", "external_reference", "stage"),
}
WORKSPACE_ATTRIBUTES = {"create": (_WORKSPACE_CHANGES | {"creator_role"}) - {"archived"}, "update": _WORKSPACE_CHANGES}
STORY_ATTRIBUTES = {
    *("title", "story_type", "workspace_id", "description", "parent_id", "start_date", "archived", "due_date", "budget_estimate_in_cents"),
    *("time_estimate_in_minutes", "billable", "state", "status", "fixed_fee", "priority", "external_reference"),
}
_REFERENCE_FIELDS = ("service_name", "service_model", "service_model_ref")


class KantataError(Exception):
    """A refusal in Kantata's words; each error is (type, message, field)."""

    def __init__(self, status: int, *errors: tuple[str, str, str]) -> None:
        super().__init__(errors)
        self.status = status
        self.body = {"errors": [{"type": t, "message": m, **({"field": f} if f else {})} for t, m, f in errors]}


def invalid(*errors: tuple[str, str]) -> KantataError:
    """A 422 with one error per (field, message)."""
    return KantataError(422, *(("validation", message, field) for field, message in errors))


def not_found() -> KantataError:
    """What Kantata says of an id that it does not show."""
    return KantataError(404, ("system", "The record could not be found", ""))


def workspace(simulation: Simulation, given: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes of a project after a creation or a change. Raises `KantataError` with everything that is wrong."""
    allowed = WORKSPACE_ATTRIBUTES["create" if before is None else "update"]
    kept = {**(before or {"archived": False, "currency": "USD", "budgeted": True}), **{k: v for k, v in given.items() if k in allowed}}
    errors: list[tuple[str, str]] = []
    if not str(kept.get("title") or "").strip():
        errors.append(("title", "Please give your project a title"))
    if before is None and kept.pop("creator_role", None) not in _ROLES:
        errors.append(("creator_role", "Please select a role for this project"))
    if kept["currency"] not in DECIMALS:
        errors.append(("currency", "Currency is not supported"))
    elif "price" in given and not _whole(given["price"]):
        errors.append(("price", "Price is not a number"))
    elif before is None and kept["budgeted"] and "price" not in given:
        errors.append(("price", "Price can't be blank"))
    if kept.get("status_key") is not None and kept["status_key"] not in STATUSES:
        errors.append(("status_key", "Status key is not valid"))
    if any(simulation.get("workspace_groups", str(i)) is None for i in kept.get("workspace_group_ids", ())):
        errors.append(("workspace_group_ids", "Workspace group could not be found"))
    errors += _date_errors(simulation, kept)
    if errors:
        raise invalid(*errors)
    kept["status"] = STATUSES[kept.get("status_key") or 210]
    price_in_cents = given.get("price", kept.get("price_in_cents", 0))
    return kept | _money(int(price_in_cents), kept["currency"])


def story(simulation: Simulation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a new task. Raises `KantataError` with everything that is wrong."""
    kept = {"state": "not started", "archived": False, **{k: v for k, v in given.items() if k in STORY_ATTRIBUTES}}
    home = simulation.get("workspaces", str(kept.get("workspace_id")))
    errors: list[tuple[str, str]] = []
    if home is None or home.get("deleted"):
        errors.append(("workspace_id", "Workspace could not be found"))
    elif home.get("archived"):
        errors.append(("workspace_id", "Workspace is archived"))
    if not str(kept.get("title") or "").strip() or len(str(kept.get("title"))) > 200:
        errors.append(("title", "Title must have between 1 and 200 characters"))
    if kept.get("story_type", "task") not in _STORY_TYPES:
        errors.append(("story_type", "Story type is not included in the list"))
    if len(str(kept.get("description", ""))) >= 1000:
        errors.append(("description", "Description is too long (maximum is 999 characters)"))
    errors += [(f, "is not a number") for f in ("budget_estimate_in_cents", "time_estimate_in_minutes") if not _whole(kept.get(f, 0))]
    errors += _date_errors(simulation, kept)
    if errors:
        raise invalid(*errors)
    return kept | {"workspace_id": str(kept["workspace_id"])}


def reference(simulation: Simulation, given: Any, subject_type: str, subject_id: str) -> list[str]:
    """Keep an external reference; Kantata makes no promise that it is unique. Gives the ids."""
    if given is None:
        return []
    if not isinstance(given, dict) or not all(given.get(f) for f in _REFERENCE_FIELDS):
        raise invalid(("external_reference", "Service name, service model and service model ref can't be blank"))
    reference_id = str(simulation.number("external_reference", 7_000_001))
    record = {"id": reference_id, "status": "successful", **given, "subject_type": subject_type, "subject_id": subject_id}
    simulation.put("external_references", reference_id, record)
    return [reference_id]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _money(cents: int, currency: str) -> dict[str, Any]:
    base_unit = 10 ** DECIMALS[currency]
    price = f"{_SYMBOLS.get(currency, '')}{Money.of_minor(cents, currency).number:,}"
    return {"price_in_cents": cents, "price": price, "currency_base_unit": base_unit, "currency_symbol": _SYMBOLS.get(currency, "")}


def _date_errors(simulation: Simulation, kept: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        start, due = (dt.date.fromisoformat(kept[f]) if kept.get(f) else None for f in ("start_date", "due_date"))
    except (TypeError, ValueError):
        return [("start_date", "Dates must be in ISO 8601 format")]
    locked = str((simulation.get("account", "account") or {}).get("locked_until") or "")
    if start and due and due < start:
        return [("due_date", "Due date must be on or after the start date")]
    if start and start.isoformat() <= locked:
        return [("start_date", f"Start date must be after the lock date {locked}")]
    return []
