"""The queries that the simulated org understands: one object, fields of it and of its parents, conditions joined by AND.

``SELECT a, b__r.c FROM o WHERE x = 'y' AND z IN ('p', 'q') ORDER BY a LIMIT 10`` — no sub-selects, no functions, no OR: whatever else
SOQL has is answered with MALFORMED_QUERY. Texts are compared without case, as Salesforce does.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from system_apis.salesforce.simulator_objects import OBJECTS, SalesforceError

Record = dict[str, Any]
Fetch = Callable[[str, str], Record | None]  # the record of an object by its id

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<word>[A-Za-z_][\w.]*)|(?P<number>\d+)|(?P<sign>[(),=]))", re.DOTALL)
_UNESCAPE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Condition(msgspec.Struct, frozen=True):
    """A field that has one of some values."""

    path: str
    values: tuple[str, ...]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query that was understood."""

    columns: tuple[str, ...]
    sobject: str
    conditions: tuple[Condition, ...] = ()
    order_by: str = ""
    limit: int | None = None


class _Reader:
    """Takes tokens from the front of a query."""

    def __init__(self, soql: str) -> None:
        self._soql = soql
        self._at = 0

    def peek(self) -> tuple[str, str]:
        match = _TOKEN.match(self._soql, self._at)
        if match is None:
            if self._soql[self._at :].strip():
                raise self.malformed()
            return "end", ""
        kind = match.lastgroup or "end"
        return kind, match[kind]

    def take(self, kind: str, word: str = "") -> str:
        found, value = self.peek()
        if found != kind or (word and value.upper() != word):
            raise self.malformed()
        match = _TOKEN.match(self._soql, self._at)
        self._at = match.end() if match else self._at
        return value

    def taken(self, kind: str, word: str) -> bool:
        found, value = self.peek()
        if found == kind and value.upper() == word:
            self.take(kind)
            return True
        return False

    def malformed(self) -> SalesforceError:
        rest = self._soql[self._at : self._at + 40]
        return SalesforceError(400, "MALFORMED_QUERY", f"unexpected token: {rest!r}")

    def value(self) -> str:
        kind, value = self.peek()
        if kind == "text":
            self.take("text")
            return re.sub(r"\\(.)", lambda m: _UNESCAPE.get(m[1], m[1]), value[1:-1], flags=re.DOTALL)
        if kind == "word" and value.upper() in {"TRUE", "FALSE"}:
            return self.take("word").lower()
        raise self.malformed()

    def listed(self, item: Callable[[], str]) -> tuple[str, ...]:
        found = [item()]
        while self.taken("sign", ","):
            found.append(item())
        return tuple(found)


def understand(soql: str) -> Query:
    """The query. Raises MALFORMED_QUERY, INVALID_TYPE or INVALID_FIELD as Salesforce does."""
    reader = _Reader(soql)
    reader.take("word", "SELECT")
    columns = reader.listed(lambda: reader.take("word"))
    reader.take("word", "FROM")
    sobject = reader.take("word")
    conditions = []
    if reader.taken("word", "WHERE"):
        conditions.append(_condition(reader))
        while reader.taken("word", "AND"):
            conditions.append(_condition(reader))
    order_by = ""
    if reader.taken("word", "ORDER"):
        reader.take("word", "BY")
        order_by = reader.take("word")
    limit = int(reader.take("number")) if reader.taken("word", "LIMIT") else None
    if reader.peek()[0] != "end":
        raise reader.malformed()
    if sobject not in OBJECTS:
        raise SalesforceError(400, "INVALID_TYPE", f"sObject type '{sobject}' is not supported.")
    query = Query(columns=columns, sobject=sobject, conditions=tuple(conditions), order_by=order_by, limit=limit)
    for path in (*columns, *(c.path for c in conditions), *([order_by] if order_by else [])):
        _steps(sobject, path)
    return query


def _condition(reader: _Reader) -> Condition:
    path = reader.take("word")
    if reader.taken("sign", "="):
        return Condition(path, (reader.value(),))
    reader.take("word", "IN")
    reader.take("sign", "(")
    values = reader.listed(reader.value)
    reader.take("sign", ")")
    return Condition(path, values)


def _steps(sobject: str, path: str) -> tuple[list[tuple[str, str]], str]:
    """The lookups that a path goes through, each with the object behind it, and the field at its end. Raises INVALID_FIELD."""
    lookups = []
    *parents, last = path.split(".")
    for parent in parents:
        name = f"{parent[:-3]}__c" if parent.endswith("__r") else f"{parent}Id"
        field = OBJECTS[sobject].fields.get(name)
        if field is None or not field.to:
            raise SalesforceError(400, "INVALID_FIELD", f"Didn't understand relationship '{parent}' in field path on '{sobject}'.")
        sobject = field.to
        lookups.append((name, sobject))
    if last not in OBJECTS[sobject].fields:
        raise SalesforceError(400, "INVALID_FIELD", f"No such column '{last}' on entity '{sobject}'.")
    return lookups, last


def select(query: Query, records: list[Record], fetch: Fetch) -> list[Record]:
    """The records that meet all conditions, in order."""
    found = [record for record in records if all(_meets(query.sobject, record, condition, fetch) for condition in query.conditions)]
    if query.order_by:
        found.sort(key=lambda record: _sortable(_value(query.sobject, record, query.order_by, fetch)))
    return found[: query.limit]


def shown(
    query: Query, record: Record, fetch: Fetch, show: Callable[[str, str, Any], Any], attributes: Callable[[str, str], Record]
) -> Record:
    """A record of the answer: its columns, with parents nested, and null for a parent that is not there."""
    answer: Record = {"attributes": attributes(query.sobject, record["Id"])}
    for path in query.columns:
        lookups, last = _steps(query.sobject, path)
        here, target, sobject = record, answer, query.sobject
        for part, (lookup, parent) in zip(path.split("."), lookups, strict=False):
            found = fetch(parent, here.get(lookup) or "")
            if found is None:
                target[part] = None
                break
            target = target.setdefault(part, {"attributes": attributes(parent, found["Id"])})
            here, sobject = found, parent
        else:
            target[last] = show(sobject, last, here.get(last))
    return answer


def _value(sobject: str, record: Record, path: str, fetch: Fetch) -> Any:
    lookups, last = _steps(sobject, path)
    here: Record | None = record
    for lookup, parent in lookups:
        here = fetch(parent, (here or {}).get(lookup) or "")
    return (here or {}).get(last)


def _meets(sobject: str, record: Record, condition: Condition, fetch: Fetch) -> bool:
    value = _value(sobject, record, condition.path, fetch)
    text = str(value).lower() if isinstance(value, bool) else str(value or "")
    return text.casefold() in {wanted.casefold() for wanted in condition.values}


def _sortable(value: Any) -> tuple[bool, Decimal, str]:
    text = str(value or "")
    number = text.replace(".", "", 1).isdigit()
    return value is not None, Decimal(text) if number else Decimal(0), "" if number else text
