"""The simulated database: records of Tryton's models, searched by Tryton's domains and read with Tryton's dotted field names.

Records are kept as they travel (decimals and dates as objects that name their class), so that a restart reads them back unchanged.
A model that is not listed, or a field that its model does not have, is a fault of the caller, as in Tryton.
"""

import datetime as dt
import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from system_apis.simulation import Simulation
from system_apis.tryton.simulator_models import INVERSE, LINKS, MODELS
from system_apis.tryton.wire import lift, pack

Record = dict[str, Any]


class UserError(Exception):
    """What Tryton tells a person: answered as ``["UserError", [sentence, "", null]]``."""


class Tables:
    """The models of one simulated database."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    # one record ------------------------------------------------------------------------------------------------------

    def get(self, model: str, record_id: int) -> Record:
        """A record. Raises `UserError` where there is none (or it was deleted)."""
        found = self.simulation.get(model, str(record_id))
        if not found:
            raise UserError(f'You are trying to read records "{record_id}" of "{model}" that don\'t exist.')
        return {**MODELS[model], **found}  # a field that was lost is as good as never filled

    def all(self, model: str) -> list[Record]:
        """The records of a model, deleted ones left out."""
        return [{**MODELS[model], **record} for record in self.simulation.all(model) if record]

    def create(self, model: str, values: Record) -> Record:
        """Make a record and what is made with it (``[["create", […]]]``)."""
        _check_fields(model, values)
        record_id = self.simulation.number(model)
        moment = pack(self._moment())
        plain = {k: v for k, v in values.items() if not _is_link(v)}
        record = {**MODELS[model], **plain, "id": record_id, "create_date": moment, "write_date": moment}
        for field, steps in values.items():
            if _is_link(steps):
                record[field] = self._linked(model, field, record_id, record.get(field) or [], steps)
        self.simulation.put(model, str(record_id), record)
        return self.get(model, record_id)

    def write(self, model: str, record: Record, values: Record) -> Record:
        """Change a record; the moment of the change is kept."""
        _check_fields(model, values)
        record_id = int(record["id"])
        linked = {f: self._linked(model, f, record_id, record.get(f) or [], v) for f, v in values.items() if _is_link(v)}
        self.simulation.put(model, str(record_id), {**record, **values, **linked, "write_date": pack(self._moment())})
        return self.get(model, record_id)

    def delete(self, model: str, record: Record) -> None:
        """Take a record away: an empty one stays in its place."""
        self.simulation.put(model, str(record["id"]), {})

    def _linked(self, model: str, field: str, record_id: int, ids: Sequence[int], steps: list[list[Any]]) -> list[int]:
        kept = list(ids)
        for verb, what in steps:
            if verb == "create":
                target, back = LINKS[model, field], INVERSE.get((model, field))
                kept += [self.create(target, {**one, **({back: record_id} if back else {})})["id"] for one in what]
            else:
                kept += [one for one in what if one not in kept]
        return kept

    def _moment(self) -> dt.datetime:
        # A microsecond for each change, so that no two changes have the same moment.
        now = self.simulation.clock.now().astimezone(dt.UTC).replace(tzinfo=None)
        return now + dt.timedelta(microseconds=self.simulation.number("write"))

    # searching -------------------------------------------------------------------------------------------------------

    def search(self, model: str, domain: Sequence[Any], order: Iterable[Sequence[str]] = ()) -> list[Record]:
        """The records that a domain finds; inactive ones only where it speaks of ``active``."""
        shown = _only_active(_flat(domain)) if "active" in MODELS[model] else domain
        found = [record for record in self._candidates(model, domain) if self._holds(model, record, shown)]
        for field, direction in reversed([tuple(one) for one in order or ()]):
            found.sort(key=lambda r, f=field: _sortable(lift(r.get(f))), reverse=direction.startswith("DESC"))  # type: ignore[misc]
        return found

    def _candidates(self, model: str, domain: Sequence[Any]) -> Iterable[Record]:
        """The records that can be meant, by the plain equalities of the domain: a simulator under load holds thousands."""
        together = [p for p in domain if isinstance(p, list) and _is_clause(p)] if domain and isinstance(domain[0], list) else []
        equal = {p[0]: p[2] for p in together if p[1] == "=" and "." not in p[0]}
        if "id" in equal:
            found = self.simulation.get(model, str(equal["id"]))
            return [{**MODELS[model], **found}] if found else []
        defaults = {field: MODELS[model].get(field) for field in equal}
        kept = (r for r in self.simulation.all(model) if r and all(r.get(f, defaults[f]) == v for f, v in equal.items()))
        return ({**MODELS[model], **record} for record in kept)

    def _holds(self, model: str, record: Record, domain: Sequence[Any]) -> bool:
        if domain and isinstance(domain[0], str) and domain[0] in {"OR", "AND"}:
            parts = (self._holds(model, record, part) for part in domain[1:])
            return any(parts) if domain[0] == "OR" else all(parts)
        if domain and _is_clause(domain):
            return self._clause(model, record, *domain)
        return all(self._holds(model, record, part) for part in domain)

    def _clause(self, model: str, record: Record, path: str, operator: str, operand: Any) -> bool:
        field, _, rest = path.partition(".")
        _check_fields(model, {field: None})
        if rest or operator == WHERE:
            target = LINKS[model, field]
            related = self._related(record, model, field)
            inner = operand if operator == WHERE else [rest, operator, operand]
            return any(self._holds(target, one, inner) for one in related)
        return OPERATORS[operator](lift(record.get(field)), lift(operand))

    def _related(self, record: Record, model: str, field: str) -> list[Record]:
        value = record.get(field)
        ids = value if isinstance(value, list) else [] if value is None else [value]
        return [self.get(LINKS[model, field], one) for one in ids]

    # reading ---------------------------------------------------------------------------------------------------------

    def read(self, model: str, record: Record, names: Iterable[str]) -> Record:
        """The fields that were asked for; ``party.code`` comes as ``{"party.": {"code": …, "id": …}}``."""
        row: Record = {"id": record["id"]}
        inner: dict[str, list[str]] = {}
        for name in names:
            field, _, rest = name.partition(".")
            _check_fields(model, {field: None})
            if rest:
                inner.setdefault(field, []).append(rest)
            else:
                row[field] = record.get(field)
        for field, rests in inner.items():
            rows = [self.read(LINKS[model, field], one, rests) for one in self._related(record, model, field)]
            row[f"{field}."] = rows if isinstance(MODELS[model][field], list) else (rows[0] if rows else None)
        return row


def _check_fields(model: str, values: Record) -> None:
    known = MODELS[model]
    for field in values:
        if field not in known and field not in {"id", "create_date", "write_date"}:
            raise KeyError(field)


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list) and value[0][0] in {"create", "add"}


def _is_clause(part: Any) -> bool:
    return len(part) > 2 and isinstance(part[1], str) and part[1] in OPERATORS


def _flat(domain: Sequence[Any]) -> list[Any]:
    """A domain with its operator in front, and parts with the same operator taken into it."""
    operator, parts = (domain[0], domain[1:]) if domain and isinstance(domain[0], str) else ("AND", domain)
    flat: list[Any] = [operator]
    for part in parts:
        inner = part if _is_clause(part) else _flat(part)
        flat += inner[1:] if inner is not part and inner[0] == operator else [inner]
    return flat


def _only_active(domain: list[Any]) -> list[Any]:
    """As Tryton does: each part of a domain that does not itself speak of ``active`` finds active records only."""
    parts = [part if _is_clause(part) else _only_active(part) for part in domain[1:]]
    if any(_is_clause(part) and part[0] == "active" for part in parts):
        return [domain[0], *parts]
    return ["AND", [domain[0], *parts], ["active", "=", True]]


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)


def _like(flags: int) -> Callable[[Any, Any], bool]:
    @functools.lru_cache(maxsize=256)
    def compiled(pattern: str) -> re.Pattern[str]:
        return re.compile("".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern), flags | re.DOTALL)

    def holds(value: Any, pattern: Any) -> bool:
        return value is not None and compiled(pattern).fullmatch(value) is not None

    return holds


WHERE = "where"  # looks at related records, see `Tables`
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    WHERE: lambda _value, _operand: False,
    "=": lambda value, operand: bool(value == operand),
    "!=": lambda value, operand: bool(value != operand),
    "in": lambda value, operand: value in operand,
    "<": lambda value, operand: value is not None and value < operand,
    "<=": lambda value, operand: value is not None and value <= operand,
    ">": lambda value, operand: value is not None and value > operand,
    ">=": lambda value, operand: value is not None and value >= operand,
    "like": _like(0),
    "ilike": _like(re.IGNORECASE),
}
