"""Tryton's JSON: decimals, dates and moments travel as objects that name their class; a shape says which fields are asked for."""

import datetime as dt
import functools
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec


def pack(value: Any) -> Any:
    """A value as Tryton's JSON wants it, through dicts and lists."""
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": f"{value:f}"}
    if isinstance(value, dt.datetime):
        clock = {"hour": value.hour, "minute": value.minute, "second": value.second, "microsecond": value.microsecond}
        return {"__class__": "datetime", "year": value.year, "month": value.month, "day": value.day, **clock}
    if isinstance(value, dt.date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, Mapping):
        return {key: pack(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [pack(one) for one in value]
    return value


def bare(number: Decimal) -> msgspec.Raw:
    """A number for one of Tryton's float fields (quantities): its digits as they are, never through a Python float."""
    return msgspec.Raw(f"{number:f}".encode())


def _moment(fields: dict[str, Any]) -> dt.datetime:
    # Tryton's moments carry no zone, and none is invented: they are compared with one another only.
    return dt.datetime(**{key: part for key, part in fields.items() if key != "__class__"})  # noqa: DTZ001


_CLASSES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "Decimal": lambda fields: Decimal(fields["decimal"]),
    "date": lambda fields: dt.date(fields["year"], fields["month"], fields["day"]),
    "datetime": _moment,
}


def lift(value: Any) -> Any:
    """What came over the wire with its decimals and dates as such; classes that we do not know stay what they are."""
    if isinstance(value, dict):
        make = _CLASSES.get(value.get("__class__", ""))
        return make(value) if make else {key: lift(one) for key, one in value.items()}
    if isinstance(value, list):
        return [lift(one) for one in value]
    return value


@functools.cache
def asked(shape: type[msgspec.Struct]) -> tuple[str, ...]:
    """The field names to ask for so that the answer fills the shape: a field named ``party.`` asks for the fields of its own shape."""
    names: list[str] = []
    for field in msgspec.structs.fields(shape):
        if field.encode_name.endswith("."):
            names += [field.encode_name + name for name in asked(_inner(field.type))]
        elif field.encode_name != "id":  # always given
            names.append(field.encode_name)
    return tuple(names)


def _inner(annotation: Any) -> type[msgspec.Struct]:
    """The struct inside ``Party | None`` or ``tuple[Line, ...]``."""
    for argument in (annotation, *typing.get_args(annotation)):
        if isinstance(argument, type) and issubclass(argument, msgspec.Struct):
            return argument
    raise TypeError(f"{annotation} holds no shape")
