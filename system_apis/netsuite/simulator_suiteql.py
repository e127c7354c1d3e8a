"""A small SuiteQL: enough of the language for a connector's reads, run over the simulator's records.

SELECT with columns, AS, TO_CHAR and SUM; FROM one table with equality joins; WHERE with comparisons, IN, AND, OR, LOWER, INSTR and
TO_TIMESTAMP; GROUP BY; ORDER BY. Anything else is refused as NetSuite refuses it: an unknown table, column or function, or a syntax error.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from system_apis.netsuite.simulator_errors import bad_query
from system_apis.netsuite.simulator_tables import JOINS, TABLES, Row, Value
from system_apis.simulation import Simulation

Env = dict[str, Row | None]
Expression = Callable[[Env], Value]
Condition = tuple[frozenset[str], Expression]

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(\d+)|([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)|(<>|<=|>=|[=<>(),*]))")
_FORMATS = {"YYYY-MM-DD": 10, "YYYY-MM-DD HH24:MI:SS": 19}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def run(simulation: Simulation, query: str) -> list[dict[str, str]]:
    """All rows of a query, as NetSuite shows them: every value is text, what is empty is left out. Raises `NsError`."""
    return _Select(simulation, query).rows()


def _compared(operator: str, left: Value, right: Value) -> bool:
    """Compare as Oracle does: a number on one side makes a number of the other; nothing compares with an empty value."""
    if left is None or right is None:
        return False
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        try:
            return _COMPARE[operator](Decimal(left), Decimal(right))
        except InvalidOperation:
            raise bad_query("Invalid number") from None
    return _COMPARE[operator](left, right)


class _Select:
    """One query: parsed on construction, in one pass from left to right."""

    def __init__(self, simulation: Simulation, query: str) -> None:
        self._simulation = simulation
        self._tokens = self._split(query)
        self._at = 0
        self._aliases: dict[str, str] = {}
        self._sums: dict[str, Expression] = {}
        self._asked: set[str] = set()
        self._expect("SELECT")
        columns_at = self._at
        self._skip_to("FROM")  # columns are read after the tables, which give meaning to their aliases
        self._joins: list[tuple[str, str, Expression, str, bool]] = []
        self._first = self._table()
        self._where = list(self._join_all())
        if self._accept("WHERE"):
            self._where.extend(self._top())
        self._group = self._list() if self._accept("GROUP", "BY") else []
        self._order = self._list() if self._accept("ORDER", "BY") else []
        if self._at != len(self._tokens):
            raise bad_query(f"Unexpected '{self._tokens[self._at]}'")
        self._at = columns_at
        self._columns = self._select_list()

    # running ---------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, str]]:
        found = list(self._joined())
        found.sort(key=lambda env: tuple(_sortable(expression(env)) for expression in self._order))
        if self._group:
            return self._grouped(found)
        return [self._shown({name: expression(env) for name, expression in self._columns.items()}) for env in found]

    def _joined(self) -> Iterator[Env]:
        """The rows that fulfil all conditions. What the first table alone decides is asked before anything is joined to it."""
        alias, table = self._first
        early = [condition for names, condition in self._where if names <= {alias}]
        late = [condition for names, condition in self._where if not names <= {alias}]
        for row in TABLES[table](self._simulation):
            env: Env | None = {alias: row}
            if not all(condition({alias: row}) for condition in early):
                continue
            for other, joined_table, key, column, optional in self._joins:
                match = JOINS[joined_table, column](self._simulation, key(env)) if env is not None else None
                env = None if env is None or (match is None and not optional) else {**env, other: match}
            if env is not None and all(condition(env) for condition in late):
                yield env

    def _grouped(self, found: list[Env]) -> list[dict[str, str]]:
        groups: dict[tuple[Value, ...], list[Env]] = {}
        for env in found:
            groups.setdefault(tuple(key(env) for key in self._group), []).append(env)
        return [self._shown({n: self._aggregate(n, e, envs) for n, e in self._columns.items()}) for envs in groups.values()]

    def _aggregate(self, name: str, expression: Expression, envs: list[Env]) -> Value:
        if name not in self._sums:
            return expression(envs[0])
        return sum((Decimal(v) for env in envs if (v := expression(env)) is not None), Decimal(0))

    @staticmethod
    def _shown(row: dict[str, Value]) -> dict[str, str]:
        return {name: f"{v:f}" if isinstance(v, Decimal) else v for name, v in row.items() if v is not None}

    # parsing ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _split(query: str) -> list[str]:
        tokens, at = [], 0
        while query[at:].strip():
            match = _TOKEN.match(query, at)
            if match is None:
                raise bad_query(f"Unexpected '{query[at:].strip()[:1]}'")
            tokens.append(match[0].strip())
            at = match.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at == len(self._tokens):
            raise bad_query("Unexpected end of query")
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, *words: str) -> bool:
        if [token.upper() for token in self._tokens[self._at : self._at + len(words)]] != list(words):
            return False
        self._at += len(words)
        return True

    def _expect(self, *words: str) -> None:
        if not self._accept(*words):
            raise bad_query(f"Expected {' '.join(words)} instead of '{self._peek()}'")

    def _skip_to(self, word: str) -> None:
        while not self._accept(word):
            self._next()

    def _table(self) -> tuple[str, str]:
        table = self._next().lower()
        if table not in TABLES:
            raise bad_query(f"Record '{table}' was not found")
        words = {"", "JOIN", "LEFT", "WHERE", "GROUP", "ORDER", "ON"}
        alias = table if self._peek().upper() in words else self._next().lower()
        self._aliases[alias] = table
        return alias, table

    def _join_all(self) -> Iterator[Condition]:
        """The joins: each looks its table up by the first equality after ON; what follows AND is a condition."""
        while self._peek().upper() in {"JOIN", "LEFT"}:
            optional = self._accept("LEFT")
            self._expect("JOIN")
            alias, table = self._table()
            self._expect("ON")
            _, _, column = self._next().lower().rpartition(".")
            self._expect("=")
            if (table, column) not in JOINS:
                raise bad_query(f"Field '{column}' not found")
            self._joins.append((alias, table, self._expression(), column, optional))
            while self._accept("AND"):
                yield self._noted(self._condition)

    def _select_list(self) -> dict[str, Expression]:
        columns: dict[str, Expression] = {}
        while True:
            start = self._at
            summed = self._accept("SUM")
            expression = self._expression()
            name = self._tokens[start].rpartition(".")[2].lower() if self._at == start + 1 else f"expr{len(columns) + 1}"
            if self._accept("AS"):
                name = self._next().lower()
            columns[name] = expression
            if summed:
                self._sums[name] = expression
            if self._accept("FROM"):
                return columns
            self._expect(",")

    def _list(self) -> list[Expression]:
        found = [self._expression()]
        while self._accept(","):
            found.append(self._expression())
        return found

    def _noted(self, parse: Callable[[], Expression]) -> Condition:
        """A condition with the tables that it asks."""
        self._asked = set()
        expression = parse()
        return frozenset(self._asked), expression

    def _top(self) -> list[Condition]:
        """What stands after WHERE: the parts of an AND one by one, an OR as a whole."""
        start = self._at
        parts = [self._noted(self._condition)]
        while self._accept("AND"):
            parts.append(self._noted(self._condition))
        if self._peek().upper() != "OR":
            return parts
        self._at = start
        return [self._noted(self._or)]

    def _or(self) -> Expression:
        parts = [self._and()]
        while self._accept("OR"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda env: "T" if any(part(env) for part in parts) else None

    def _and(self) -> Expression:
        parts = [self._condition()]
        while self._accept("AND"):
            parts.append(self._condition())
        return parts[0] if len(parts) == 1 else lambda env: "T" if all(part(env) for part in parts) else None

    def _condition(self) -> Expression:
        if self._accept("("):
            inner = self._or()
            self._expect(")")
            return inner
        left = self._expression()
        if self._accept("IN"):
            self._expect("(")
            choices = self._list()
            self._expect(")")
            return lambda env: "T" if any(_compared("=", left(env), choice(env)) for choice in choices) else None
        operator = self._next()
        if operator not in _COMPARE:
            raise bad_query(f"Unexpected '{operator}'")
        right = self._expression()
        return lambda env: "T" if _compared(operator, left(env), right(env)) else None

    def _expression(self) -> Expression:
        word = self._next()
        if word == "(":
            inner = self._expression()
            self._expect(")")
            return inner
        if word.startswith("'"):
            text = word[1:-1].replace("''", "'")
            return lambda _env: text
        if word.isdigit():
            number = Decimal(word)
            return lambda _env: number
        return self._function(word.upper()) if self._peek() == "(" else self._column(word.lower())

    def _function(self, name: str) -> Expression:
        self._expect("(")
        values = self._list()
        self._expect(")")
        if name == "LOWER" and len(values) == 1:
            return lambda env: None if (v := values[0](env)) is None else str(v).lower()
        if name == "INSTR" and len(values) == 2:
            return lambda env: Decimal(str(values[0](env) or "").find(str(values[1](env))) + 1)
        length = _FORMATS.get(str(values[1]({}))) if name in {"TO_CHAR", "TO_TIMESTAMP"} and len(values) == 2 else None
        if length is None:
            raise bad_query(f"Function '{name}' not found, or not with these arguments")
        return lambda env: None if (v := values[0](env)) is None else str(v)[:length]

    def _column(self, token: str) -> Expression:
        alias, _, column = token.rpartition(".")
        alias = alias or next(iter(self._aliases))
        table = self._aliases.get(alias)
        if table is None or column not in TABLES.columns(table):
            raise bad_query(f"Field '{column}' not found")
        self._asked.add(alias)
        return lambda env: None if (row := env[alias]) is None else row(column)


def _sortable(value: Value) -> tuple[int, Any]:
    return (2, "") if value is None else (0, value) if isinstance(value, Decimal) else (1, value)
