"""One statement for any number of rows, on both databases.

PostgreSQL gets the rows as arrays, one a column: the statement is always the same text, prepared once, and one round trip carries a
whole commit's rows. SQLite, which sits in this process, gets the rows one by one through the driver's own loop.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    FromClause,
    Integer,
    Select,
    Table,
    any_,
    bindparam,
    case,
    column,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ColumnElement

from runtime.store.rows import Row

Upsert = postgresql.Insert | sqlite.Insert
OnConflict = Callable[[Any], Any]  # one dialect's INSERT in, the same with its ON CONFLICT clause out
Condition = Callable[[Table, Mapping[str, ColumnElement[Any]]], ColumnElement[bool]]

# So that how many rows were written is known after a batch on SQLite, too.
COUNTED = {"preserve_rowcount": True}


class Bulk:
    """A statement that takes many rows. ``put`` returns how many it wrote."""

    def __init__(self, names: Sequence[str], on_postgresql: Executable, on_sqlite: Executable) -> None:
        self.names = tuple(map(_parameter, names))
        self.on_postgresql = on_postgresql
        self._statements = {"postgresql": on_postgresql, "sqlite": on_sqlite}

    def put(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Write the rows."""
        statement = self._statements[connection.dialect.name]
        if connection.dialect.name == "postgresql":
            columns = dict(zip(self.names, map(list, zip(*rows, strict=True)), strict=True))
            return connection.execute(statement, columns).rowcount
        return connection.execute(statement, [dict(zip(self.names, row, strict=True)) for row in rows], execution_options=COUNTED).rowcount


def _parameter(name: str) -> str:
    # A bare column name is reserved by SQLAlchemy for the values of the statement itself.
    return f"v_{name}"


def _unnested(table: Table, names: Sequence[str]) -> FromClause:
    """The rows as a table of PostgreSQL's, called v."""
    arrays = [bindparam(_parameter(name), type_=postgresql.ARRAY(_plain(table, name))) for name in names]
    columns = [column(name, _plain(table, name)) for name in names]
    return func.unnest(*arrays).table_valued(*columns, name="v").render_derived()


def _plain(table: Table, name: str) -> Any:
    kind = table.c[name].type
    return BigInteger() if isinstance(kind, Integer) else kind


def _bound(table: Table, names: Sequence[str]) -> dict[str, ColumnElement[Any]]:
    return {name: bindparam(_parameter(name), type_=_plain(table, name)) for name in names}


def inserting(table: Table, names: Sequence[str], on_conflict: OnConflict) -> Bulk:
    """Insert rows."""
    rows = _unnested(table, names)
    source: Select[Any] = select(*(rows.c[name] for name in names))
    return Bulk(
        names,
        on_conflict(postgresql.insert(table).from_select(list(names), source)),
        on_conflict(sqlite.insert(table).values(_bound(table, names))),
    )


def updating(table: Table, names: Sequence[str], *, sets: Sequence[str], where: Sequence[str]) -> Bulk:
    """Set columns of the rows for which the others are equal."""
    rows, bound = _unnested(table, names), _bound(table, names)
    return Bulk(
        names,
        update(table).values({name: rows.c[name] for name in sets}).where(*(table.c[name] == rows.c[name] for name in where)),
        update(table).values({name: bound[name] for name in sets}).where(*(table.c[name] == bound[name] for name in where)),
    )


def deleting(table: Table, name: str) -> Bulk:
    """Delete rows by one column."""
    kind = _plain(table, name)
    return Bulk(
        [name],
        delete(table).where(table.c[name] == any_(bindparam(_parameter(name), type_=postgresql.ARRAY(kind)))),
        delete(table).where(table.c[name] == bindparam(_parameter(name), type_=kind)),
    )


def known_stays(table: Table) -> OnConflict:
    """On conflict: what is there stays, and the row counts as not written."""
    return lambda statement: statement.on_conflict_do_nothing(index_elements=list(table.primary_key.columns))


def replaces(
    table: Table,
    *,
    unless: Callable[[Table, Any], ColumnElement[bool]] | None = None,
    keeping: Callable[[Table, Any], Mapping[str, ColumnElement[bool]]] | None = None,
) -> OnConflict:
    """On conflict: the new row takes the place of the old one, unless a condition over (old, new) forbids it; some columns stay as they
    are where their condition holds.
    """

    def on_conflict(statement: Any) -> Any:
        keys = list(table.primary_key.columns)
        new = statement.excluded
        sets = {c.name: new[c.name] for c in table.columns if c not in set(keys)}
        for name, stays in keeping(table, new).items() if keeping else ():
            sets[name] = case((stays, table.c[name]), else_=new[name])
        where = None if unless is None else ~unless(table, statement.excluded)
        return statement.on_conflict_do_update(index_elements=keys, set_=sets, where=where)

    return on_conflict


def rounds(rows: Sequence[Row], key: Callable[[Row], Row]) -> Iterator[list[Row]]:
    """The rows in an order that all writers share, so that two of them never wait for each other; and apart where several have
    one key, because PostgreSQL touches a row only once in a statement.
    """
    left = sorted(rows, key=key)
    while left:
        now: list[Row] = []
        later: list[Row] = []
        for row in left:
            (later if now and key(now[-1]) == key(row) else now).append(row)
        yield now
        left = later
