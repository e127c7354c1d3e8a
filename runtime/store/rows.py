"""How the structs of the contract become rows and come back."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from canonical.failures import FailureRecord, Rejected

S = TypeVar("S", bound=msgspec.Struct)
Row = tuple[Any, ...]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def micros(moment: dt.datetime) -> int:
    """Whole microseconds since 1970. Raises `TypeError` for a moment without a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(number: int) -> dt.datetime:
    """The moment again, in UTC."""
    return _EPOCH + number * _MICROSECOND


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _failure(text: str) -> FailureRecord:
    return msgspec.json.decode(text, type=FailureRecord)


def _headers(text: str) -> dict[str, str]:
    return msgspec.json.decode(text, type=dict[str, str])


def _unless_none(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else change(value)


# How a field of this type is written and read; all others are columns as they are.
CODECS: dict[Any, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    dt.datetime: (micros, moment),
    dt.datetime | None: (_unless_none(micros), _unless_none(moment)),
    FailureRecord | None: (_unless_none(_json), _unless_none(_failure)),
    dict[str, str]: (_json, _headers),
}


class Shape(Generic[S]):
    """A struct whose fields are the columns of a table, in the same order."""

    def __init__(self, struct: type[S]) -> None:
        self._struct = struct
        self.fields: tuple[str, ...] = struct.__struct_fields__
        hints = get_type_hints(struct)
        coded = [(place, CODECS[hints[name]]) for place, name in enumerate(self.fields) if hints[name] in CODECS]
        self._writers = [(place, codec[0]) for place, codec in coded]
        self._readers = [(place, codec[1]) for place, codec in coded]

    def to_row(self, value: S) -> Row:
        """The struct as the values of its columns. Raises `Rejected` where a text cannot be stored."""
        cells = list(msgspec.structs.astuple(value))
        for place, write in self._writers:
            cells[place] = write(cells[place])
        return clean(cells, self.fields)

    def from_row(self, row: Sequence[Any]) -> S:
        """The struct in a row."""
        cells = list(row)
        for place, read in self._readers:
            cells[place] = read(cells[place])
        return self._struct(**dict(zip(self.fields, cells, strict=True)))


def clean(cells: Sequence[Any], names: Sequence[str]) -> Row:
    """The cells as they are. Raises `Rejected` for text that PostgreSQL cannot hold: NUL characters and lone surrogates."""
    for name, cell in zip(names, cells, strict=True):
        if type(cell) is str:
            if "\x00" in cell:
                raise Rejected("nul_in_text", f"{name} contains a NUL character", pointer=f"/{name}")
            if not cell.isascii() and any("\ud800" <= letter <= "\udfff" for letter in cell):
                raise Rejected("broken_text", f"{name} contains half a character", pointer=f"/{name}")
    return tuple(cells)
