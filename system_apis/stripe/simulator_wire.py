"""How the simulated Stripe reads and writes: bracketed forms, refusals, pages, searches, expanded references."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from system_apis.simulation import Simulation

LIMIT_DEFAULT, LIMIT_MAX = 10, 100
COLLECTIONS = {  # which collection an id belongs to
    "cus": "customers",
    "prod": "products",
    "price": "prices",
    "sub": "subscriptions",
    "pi": "payment_intents",
    "ch": "charges",
    "txn": "balance_transactions",
    "in": "invoices",
}
_CLAUSE = re.compile(
    r"(?:metadata\[['\"](?P<meta>[^'\"]+)['\"]\]|(?P<field>\w+)):(?P<quote>['\"])(?P<value>(?:\\.|(?!(?P=quote)).)*)(?P=quote)"
)


class Ask(NamedTuple):
    """One request, read: the account, the ids in its path, its parameters, its idempotency key."""

    sim: Simulation
    ids: tuple[str, ...]
    params: dict[str, Any]
    key: str

    @property
    def now(self) -> int:
        return int(self.sim.clock.now().timestamp())


class StripeSays(Exception):
    """A refusal with its status and error body."""

    def __init__(self, status: int, message: str, *, code: str = "", param: str = "", kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        named = {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"} if code else {}
        self.error = {**named, "message": message, **({"param": param} if param else {}), "type": kind}


def refuse(refusal: StripeSays) -> Any:
    """Raise where an expression stands."""
    raise refusal


def new_id(sim: Simulation, prefix: str) -> str:
    """An id that looks like Stripe's."""
    return f"{prefix}_1Sim{sim.number(prefix):012d}"


def missing(what: str, record_id: str, param: str, status: int = 404) -> StripeSays:
    """A reference to a record that is not there: 404 in the path, 400 in a parameter."""
    return StripeSays(status, f"No such {what}: '{record_id}'", code="resource_missing", param=param)


def required(params: Mapping[str, Any], *names: str) -> None:
    """Refuse a request that lacks a parameter."""
    for name in names:
        if params.get(name) in (None, "", {}, []):
            raise StripeSays(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def only(params: Mapping[str, Any], *names: str) -> None:
    """Refuse a parameter that Stripe does not know."""
    for name in params:
        if name not in {*names, "expand"}:
            raise StripeSays(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def whole(value: Any, param: str) -> int:
    """A parameter as a whole number."""
    text = str(value)
    if not re.fullmatch(r"-?[0-9]+", text):
        raise StripeSays(400, f"Invalid integer: {text}", code="parameter_invalid_integer", param=param)
    return int(text)


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """``a[b][0]=x`` as ``{"a": {"b": ["x"]}}``; ``a[]=x`` appends."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        *path, last = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        inner = tree
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last or str(len(inner))] = value
    listed: dict[str, Any] = _listed(tree)
    return listed


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(item) for name, item in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def page(ask: Ask, records: list[dict[str, Any]], url: str) -> dict[str, Any]:
    """A page of a list, newest first."""
    newest = records[::-1]
    after = ask.params.get("starting_after")
    if after:
        ids = [record["id"] for record in newest]
        if after not in ids:
            raise missing("record", after, "starting_after", 400)
        newest = newest[ids.index(after) + 1 :]
    limit = whole(ask.params.get("limit", LIMIT_DEFAULT), "limit")
    if not 1 <= limit <= LIMIT_MAX:
        raise StripeSays(400, f"Invalid limit: {limit}", param="limit")
    return {"object": "list", "url": url, "has_more": len(newest) > limit, "data": newest[:limit]}


def searched(ask: Ask, records: list[dict[str, Any]], url: str, lag_s: int) -> dict[str, Any]:
    """The result of a search; what was made in the last ``lag_s`` seconds is not found yet."""
    query = ask.params.get("query", "")
    wanted = [(m["meta"], m["field"], re.sub(r"\\(.)", r"\1", m["value"])) for m in _CLAUSE.finditer(query)]
    if not wanted:
        raise StripeSays(400, f"We were unable to parse your search query: {query}", param="query")
    found = [
        record
        for record in records
        if record["created"] + lag_s <= ask.now
        and all((record.get("metadata", {}).get(meta) if meta else record.get(field)) == value for meta, field, value in wanted)
    ]
    return {"object": "search_result", "url": url, "has_more": False, "next_page": None, "data": found}


def expanded(sim: Simulation, answer: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The answer with the references at these paths replaced by their records."""
    for path in paths:
        answer = _expand(sim, answer, path.split("."))
    return answer


def _expand(sim: Simulation, value: Any, path: list[str]) -> Any:
    if isinstance(value, list):
        return [_expand(sim, item, path) for item in value]
    if not path:
        return sim.get(COLLECTIONS.get(str(value).split("_", maxsplit=1)[0], ""), str(value)) or value
    if not isinstance(value, dict) or path[0] not in value:
        raise StripeSays(400, f"This property cannot be expanded ({'.'.join(path)}).", param="expand")
    return {**value, path[0]: _expand(sim, value[path[0]], path[1:])}
