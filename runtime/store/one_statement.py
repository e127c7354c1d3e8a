"""The usual units reach PostgreSQL in one statement, straight through its driver.

A commit of the store carries many rows of few kinds. Kind by kind, through the layers above the driver, that is ten round trips and more
work in this process than in the database; here the very same statements (`writing.WRITES`) are the parts of one, with the writer's number
and the audit trail, between a BEGIN and a COMMIT. Whatever is not usual (a refusal, two rows with one key, a job, a new tenant) is taken
back and left to the way that takes kind by kind and finds out who is to blame.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.dialects.postgresql import asyncpg

from runtime.store.auditing import INSERT_ROWS, MOVE_HEADS, Draft, Head, chained
from runtime.store.bulk import Bulk, updating
from runtime.store.contract import Keep, MarkReceived
from runtime.store.rows import Row
from runtime.store.tables import WRITERS
from runtime.store.writing import PLACES, WRITES, Dequeue, Prepared, Way

NUMBERED = updating(WRITERS, ("id", "batch", "at"), sets=("batch", "at"), where=("id",))
HEADS = "SELECT tenant, seq, hash FROM audit_heads WHERE tenant = ANY($1::text[]) ORDER BY tenant FOR UPDATE"
# The same row by two kinds: within one statement the second would not see what the first has written.
NOT_TOGETHER = frozenset({WRITES[Keep], WRITES[MarkReceived], WRITES[Dequeue]})
_DIALECT: Any = asyncpg.dialect()  # type: ignore[no-untyped-call]
_PLACE = re.compile(r"\$(\d+)")


class _Part:
    """A statement of the table of writes, with its parameters in order: the names of columns, or constants."""

    def __init__(self, bulk: Bulk) -> None:
        statement: Any = bulk.on_postgresql
        compiled = statement.compile(dialect=_DIALECT)
        self.text = str(compiled)
        constants: Mapping[str, Any] = compiled.params
        self.values: list[tuple[int | None, Any]] = [
            (bulk.names.index(name), None) if name in bulk.names else (None, constants[name]) for name in compiled.positiontup
        ]

    def placed(self, first: int) -> str:
        """The text with its parameters numbered from ``first`` on."""
        return _PLACE.sub(lambda found: f"${int(found[1]) + first - 1}", self.text) + " RETURNING 1"

    def arguments(self, rows: Sequence[Row]) -> list[Any]:
        """The rows as arrays, one a column."""
        columns = list(zip(*rows, strict=True))
        return [constant if place is None else columns[place] for place, constant in self.values]


class Usual:
    """Rows of a group by kind, as far as they can go together."""

    def __init__(self, kinds: Mapping[Way, Sequence[Row]], drafts: Sequence[Draft]) -> None:
        self.kinds = kinds
        self.drafts = drafts

    @classmethod
    def of(cls, units: Iterable[Prepared]) -> "Usual | None":
        """What can go in one statement; None where something is not usual."""
        kinds: dict[Way, list[Row]] = {}
        drafts: list[Draft] = []
        for unit in units:
            drafts += unit.drafts
            for way, row in unit.rows:
                kinds.setdefault(way, []).append(row)
        if not NOT_TOGETHER.isdisjoint(kinds):
            return None
        for way, rows in kinds.items():
            if way.key and len({way.cells(row) for row in rows}) != len(rows):
                return None
        ordered = {way: sorted(kinds[way], key=way.cells) if way.key else kinds[way] for way in sorted(kinds, key=PLACES.__getitem__)}
        return cls(ordered, drafts)


class OneStatement:
    """Makes the statements, each combination of kinds once, and carries them out."""

    def __init__(self, writer: str) -> None:
        self._writer = writer
        self._parts: dict[Bulk, _Part] = {}
        self._texts: dict[tuple[Bulk, ...], str] = {}

    async def write(self, driver: Any, usual: Usual, *, number: int, now: int) -> bool:
        """Write within a transaction that has begun; False where something was refused and nothing may be committed.

        ``driver`` is a connection of asyncpg. The heads of the trails are locked first, as everywhere: no two writers wait for each other.
        """
        work: list[tuple[Bulk, Sequence[Row]]] = [(NUMBERED, [(self._writer, number, now)])]
        if usual.drafts:
            tenants = sorted({draft.tenant for draft in usual.drafts})
            heads: dict[str, Head] = {row[0]: (row[1], row[2]) for row in await driver.fetch(HEADS, tenants)}
            if len(heads) != len(tenants):
                return False
            rows, moved = chained(usual.drafts, heads)
            work += [(INSERT_ROWS, rows), (MOVE_HEADS, [(tenant, *head) for tenant, head in moved.items()])]
        refusing = {way.bulk: len(rows) for way, rows in usual.kinds.items() if way.refusal is not None}
        work += [(way.bulk, rows) for way, rows in usual.kinds.items()]
        bulks = tuple(bulk for bulk, _ in work)
        arguments = [argument for bulk, rows in work for argument in self._part(bulk).arguments(rows)]
        written = dict(zip(bulks, await driver.fetchrow(self._text(bulks), *arguments), strict=True))
        return all(written[bulk] == count for bulk, count in refusing.items())

    def _part(self, bulk: Bulk) -> _Part:
        part = self._parts.get(bulk)
        if part is None:
            part = self._parts[bulk] = _Part(bulk)
        return part

    def _text(self, bulks: tuple[Bulk, ...]) -> str:
        text = self._texts.get(bulks)
        if text is None:
            parts, first = [], 1
            for name, part in enumerate(map(self._part, bulks)):
                parts.append(f"w{name} AS ({part.placed(first)})")
                first += len(part.values)
            counts = ", ".join(f"(SELECT count(*) FROM w{name})" for name in range(len(bulks)))  # noqa: S608 - our own names
            text = self._texts[bulks] = f"WITH {', '.join(parts)} SELECT {counts}"
        return text
