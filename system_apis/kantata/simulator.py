"""A simulated Kantata account: makes every project and task that it is asked for, as often as it is asked, and lists them in pages.

Acts of people: ``archive`` {id} and ``delete`` {id} a project; ``lock`` {until}: no dates up to that day any more.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post, put
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ASGIApp

from canonical.money import Money
from system_apis.kantata import simulator_records as records
from system_apis.kantata.settings import KantataSettings
from system_apis.kantata.simulator_records import KantataError
from system_apis.simulation import Simulation, simulator

_TOKEN = "simulated-kantata-token"  # noqa: S105 - the token of an account that does not exist
_PER_PAGE_MAX = 200
_SUBJECTS = {"workspaces": "Workspace", "stories": "Story"}
_REFERENCE_FILTERS = ("service_name", "service_model")


def simulated(base_url: str) -> KantataSettings:
    """Settings that fit the simulator."""
    return KantataSettings(
        base_url=f"{base_url}/api/v1",
        access_token=_TOKEN,
        cancelled_status_key=530,
        workspace_groups={"US01": 901, "DE01": 902},
    )


def seed(simulation: Simulation) -> None:
    """A project group for each legal entity."""
    for group, name in (("901", "Northwind Software Inc."), ("902", "Northwind Software GmbH")):
        simulation.put("workspace_groups", group, {"id": group, "name": name, "company": True})


def build(simulation: Simulation) -> ASGIApp:
    """The simulated account as an ASGI app."""
    if not simulation.all("workspace_groups"):
        seed(simulation)
    routes = Router("/api/v1", route_handlers=_routes(Account(simulation)), before_request=_admit)
    handlers = {KantataError: _refused, HTTPException: _not_routed}
    return simulator(simulation, [routes], acts={"archive": _archive, "delete": _delete, "lock": _lock}, exception_handlers=handlers)


class Account:
    """The projects and tasks of the account."""

    def __init__(self, simulation: Simulation) -> None:
        self.sim = simulation

    def create_workspace(self, given: Mapping[str, Any], path: str) -> dict[str, Any]:
        if self.sim.take("closed_period", f"POST {path}"):
            raise records.invalid(("start_date", f"Start date must be after the lock date {given.get('start_date')}"))
        return self._keep("workspaces", records.workspace(self.sim, given, None), given)

    def create_story(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._keep("stories", records.story(self.sim, given), given)

    def update_workspace(self, workspace_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        before = self.sim.get("workspaces", workspace_id)
        if before is None or before.get("deleted"):
            raise records.not_found()
        after = records.workspace(self.sim, given, before) | {"updated_at": self.sim.clock.now().isoformat()}
        kept = self.sim.put("workspaces", workspace_id, after)
        if kept.get("archived") and not before.get("archived"):
            self.sim.commit("project_cancelled", self._business_key(kept), workspace_id)
        return kept

    def listed(self, collection: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """What a list shows: filters, then newest change first unless asked otherwise."""
        found = [r for r in self.sim.all(collection) if not r.get("deleted") and self._shown(collection, r, query)]
        oldest_first = query.get("order") == "created_at:asc"
        return sorted(
            found, key=lambda r: (str(r.get("created_at" if oldest_first else "updated_at")), int(r["id"])), reverse=not oldest_first
        )

    def _keep(self, collection: str, attributes: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        record_id, now = str(self.sim.number(collection, 41_000_001)), self.sim.clock.now().isoformat()
        references = records.reference(self.sim, given.get("external_reference"), _SUBJECTS[collection], record_id)
        attributes.pop("external_reference", None)
        record = {"id": record_id, **attributes, "created_at": now, "updated_at": now, "external_reference_ids": references}
        kept = self.sim.put(collection, record_id, record)
        self._enter(collection, record)
        return kept

    def _enter(self, collection: str, record: Mapping[str, Any]) -> None:
        project = collection == "workspaces"
        home = record if project else self.sim.get("workspaces", record["workspace_id"]) or {}
        money = Money.of_minor(record.get("price_in_cents" if project else "budget_estimate_in_cents") or 0, home.get("currency") or "USD")
        kind = "project" if project else "project_task"
        self.sim.commit(kind, self._business_key(record), str(record["id"]), amount=money.amount, currency=money.currency)

    def _business_key(self, record: Mapping[str, Any]) -> str:
        found = [r for r in self.references(record) if r.get("service_model_ref")]
        return str(found[0]["service_model_ref"]) if found else str(record["id"])

    def references(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        ids = record.get("external_reference_ids") or []
        return [r for r in (self.sim.get("external_references", i) for i in ids) if r]

    def _shown(self, collection: str, record: Mapping[str, Any], query: Mapping[str, str]) -> bool:
        if "only" in query and record["id"] not in query["only"].split(","):
            return False
        archived = query.get("archived", "include" if query.get("include_archived") == "true" else "exclude")
        if archived != "include" and bool(record.get("archived")) != (archived == "only"):
            return False
        if collection == "stories" and not self._story_shown(record, query):
            return False
        return self._referenced(record, query)

    def _story_shown(self, record: Mapping[str, Any], query: Mapping[str, str]) -> bool:
        home_id = str(record.get("workspace_id"))
        home = self.sim.get("workspaces", home_id) or {}
        if home.get("archived") and query.get("show_from_archived_workspaces") != "true":
            return False
        return query.get("workspace_id", home_id) == home_id

    def _referenced(self, record: Mapping[str, Any], query: Mapping[str, str]) -> bool:
        wanted = {f: query[f"external_reference_{f}"] for f in _REFERENCE_FILTERS if f"external_reference_{f}" in query}
        refs = query.get("external_reference_service_model_refs", query.get("external_reference_service_model_ref"))
        if "external_reference_service_model_ref" in query and not query["external_reference_service_model_ref"].isdigit():
            raise KantataError(400, ("system", "external_reference_service_model_ref must be an integer", ""))
        if not wanted and refs is None:
            return True
        return any(
            all(r.get(f) == v for f, v in wanted.items()) and (refs is None or r["service_model_ref"] in refs.split(","))
            for r in self.references(record)
        )


def _routes(account: Account) -> list[Any]:
    @get(["/workspaces", "/workspaces.json", "/stories", "/stories.json", "/workspace_groups", "/workspace_groups.json"])
    async def index(request: Request[Any, Any, Any]) -> dict[str, Any]:
        collection, query = request.url.path.rsplit("/", 1)[-1].removesuffix(".json"), dict(request.query_params)
        return _envelope(account, collection, account.listed(collection, query), query)

    @get(["/workspaces/{record:str}"])
    async def show(record: FromPath[str], request: Request[Any, Any, Any]) -> dict[str, Any]:
        query = dict(request.query_params)
        found = account.listed("workspaces", {**query, "only": record.removesuffix(".json")})
        if not found:
            raise records.not_found()
        return _envelope(account, "workspaces", found, query)

    @post(["/workspaces", "/workspaces.json"], status_code=200)
    async def create_workspace(request: Request[Any, Any, Any]) -> dict[str, Any]:
        wishes = _wishes(await request.body(), "workspace", "workspaces")
        return _envelope(account, "workspaces", [account.create_workspace(w, request.url.path) for w in wishes], dict(request.query_params))

    @put(["/workspaces/{record:str}"])
    async def update_workspace(record: FromPath[str], request: Request[Any, Any, Any]) -> dict[str, Any]:
        (wish,) = _wishes(await request.body(), "workspace", "workspaces")
        kept = account.update_workspace(record.removesuffix(".json"), wish)
        return _envelope(account, "workspaces", [kept], dict(request.query_params))

    @post(["/stories", "/stories.json"], status_code=200)
    async def create_story(request: Request[Any, Any, Any]) -> dict[str, Any]:
        wishes = _wishes(await request.body(), "story", "stories")
        return _envelope(account, "stories", [account.create_story(w) for w in wishes], dict(request.query_params))

    return [index, show, create_workspace, update_workspace, create_story]


async def _admit(request: Request[Any, Any, Any]) -> None:
    if request.headers.get("authorization") != f"Bearer {_TOKEN}":
        raise KantataError(401, ("oauth", "Invalid OAuth 2 Request", ""))


def _wishes(body: bytes, one: str, many: str) -> list[dict[str, Any]]:
    """What is to be made: ``{"workspace": {…}}``, or several at once under the plural."""
    try:
        given = msgspec.json.decode(body, type=dict[str, Any])
        return msgspec.convert(given[many] if many in given else [given[one]], list[dict[str, Any]])
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError) as error:
        raise KantataError(400, ("system", f"The request could not be understood: {error}", "")) from error


def _envelope(account: Account, collection: str, found: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """One page in Kantata's envelope; limit and offset win over page and per_page."""
    size = max(1, _number(query, "limit", 0) or min(_number(query, "per_page", 20), _PER_PAGE_MAX))
    offset = _number(query, "offset", 0) if "limit" in query else (_number(query, "page", 1) - 1) * size
    page = found[offset : offset + size]
    meta = {"count": len(found), "page_count": -(-len(found) // size), "page_number": offset // size + 1, "page_size": size}
    answer: dict[str, Any] = {"count": len(found), "meta": meta, "results": [{"key": collection, "id": r["id"]} for r in page]}
    if "external_references" in query.get("include", "").split(","):
        answer["external_references"] = {r["id"]: r for record in page for r in account.references(record)}
    else:
        page = [{k: v for k, v in record.items() if k != "external_reference_ids"} for record in page]
    return answer | {collection: {record["id"]: record for record in page}}


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isdigit():
        raise KantataError(400, ("system", f"{name} must be an integer", ""))
    return int(value)


def _refused(_request: Any, error: KantataError) -> Response[dict[str, Any]]:
    return Response(error.body, status_code=error.status)


def _not_routed(_request: Any, error: HTTPException) -> Response[dict[str, Any]]:
    return Response(KantataError(error.status_code, ("system", str(error.detail), "")).body, status_code=error.status_code)


async def _archive(simulation: Simulation, wish: dict[str, Any]) -> dict[str, Any]:
    return {"archived": Account(simulation).update_workspace(str(wish["id"]), {"archived": True})["archived"]}


async def _delete(simulation: Simulation, wish: dict[str, Any]) -> dict[str, Any]:
    before = simulation.get("workspaces", str(wish["id"]))
    if before is None:
        raise records.not_found()
    return {"deleted": simulation.put("workspaces", before["id"], {**before, "deleted": True})["deleted"]}


async def _lock(simulation: Simulation, wish: dict[str, Any]) -> dict[str, Any]:
    return simulation.put("account", "account", {"locked_until": str(wish["until"])})
