"""Queries in SOQL: the columns are read off the shape that the answer is read with, and every value is escaped."""

from collections.abc import Iterable
from typing import Any, get_args

import msgspec

_ESCAPES = {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def literal(text: str) -> str:
    """A text as a SOQL literal, quotes and backslashes escaped: nothing that a person types can end it."""
    return "'" + "".join(_ESCAPES.get(character, character) for character in text) + "'"


def one_of(texts: Iterable[str]) -> str:
    """The right side of an IN."""
    return "(" + ", ".join(literal(text) for text in texts) + ")"


def columns(shape: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """The field names behind a shape; a nested shape is a parent record (``SBQQ__Account__r.Name``)."""
    names: list[str] = []
    for field in msgspec.structs.fields(shape):
        parent = _struct_in(field.type)
        if parent is None:
            names.append(prefix + field.encode_name)
        else:
            names.extend(columns(parent, f"{prefix}{field.encode_name}."))
    return names


def select(shape: type[msgspec.Struct], sobject: str, where: str, order_by: str = "") -> str:
    """``SELECT <the shape's columns> FROM <sobject> WHERE … [ORDER BY …]``; `where` is built with `literal` and `one_of`."""
    query = f"SELECT {', '.join(columns(shape))} FROM {sobject} WHERE {where}"  # noqa: S608 - the values in it are escaped
    return f"{query} ORDER BY {order_by}" if order_by else query


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None
