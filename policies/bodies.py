"""Bodies in JSON: read strictly, once, and what is wrong with them is said with a JSON pointer.

JSON parsers disagree about doubled keys, NaN, byte order marks and broken text; a body about which two systems could disagree is refused
(400). What is well-formed but does not fit the shape is refused with the place (422).
"""

import json
from functools import cache
from typing import Any, NoReturn, TypeVar

import msgspec
from litestar import Request

from policies.problems import Problem, pointer_of, pointer_to

T = TypeVar("T")

_ESCAPES_TO_LOOK_INTO = ("\\u0000", "\\ud", "\\uD")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNKNOWN_FIELD = "Object contains unknown field `"


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON is read straight into what its route takes; text does not pass for a number here, as it would in a query."""

    async def json(self) -> Any:
        """The body, as the type of the route's ``data``."""
        field = self.route_handler.parsed_data_field
        return decoded(await self.body(), Any if field is None else field.annotation)


def parsed(body: bytes) -> Any:
    """The JSON in a body, as plain lists and dicts. Raises `Problem` 400 where it is not beyond doubt, 422 where a text has a NUL."""
    if b'": ' not in body and b"\\u0000" not in body:
        try:
            tree = msgspec.json.decode(body)
            if msgspec.json.encode(tree) == body:  # what comes back as it was has nothing twice; most programs write it like this
                return tree
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass  # below it is said why
    return _parsed_with_care(body)


def _parsed_with_care(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
        tree = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise _malformed("it is not UTF-8") from None
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        why = f"{error.msg[:1].lower()}{error.msg[1:]}, line {error.lineno}, column {error.colno}" if body else "it is empty"
        raise _malformed(why) from None
    except ValueError:  # Python's own limit for digits
        raise Problem(422, "invalid_body", "a number has too many digits") from None
    if any(escape in text for escape in _ESCAPES_TO_LOOK_INTO):
        _look_into(tree)
    return tree


def decoded(body: bytes, shape: type[T]) -> T:
    """The value in a body. Raises `Problem` 400 or 422 with the pointer."""
    try:
        found: T = _decoder(shape).decode(body)  # type: ignore[arg-type]  # every type is hashable
    except msgspec.ValidationError as error:
        raise _not_fitting(error) from None
    except _UNREADABLE:
        raise _malformed("it cannot be read") from None
    return found


def converted(fields: Any, shape: type[T]) -> T:
    """A value from a body that was read already, with something from the path put in. Raises `Problem` 422 with the pointer."""
    try:
        return msgspec.convert(msgspec.to_builtins(fields), shape)
    except msgspec.ValidationError as error:
        raise _not_fitting(error) from None


def asked(parameters: Any, shape: type[T]) -> T:
    """A value from query parameters, whose texts may stand for numbers. Raises `Problem` 400 with the parameter."""
    try:
        return msgspec.convert(parameters, shape, strict=False)
    except msgspec.ValidationError as error:
        detail, pointer = _said(error)
        raise Problem(
            400, "invalid_request", detail, errors=[{"parameter": pointer.removeprefix("/").partition("/")[0], "detail": detail}]
        ) from None


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _malformed(f"an object has {_shown(twice)} twice")
    return found


def _constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is not JSON")


def _look_into(tree: Any) -> None:
    """Refuse what the escapes may have brought in: NUL, which databases do not take, and halves of surrogate pairs, which are no text."""
    rest: list[tuple[str, Any]] = [("", tree)]
    while rest:
        pointer, value = rest.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                _sound(name, pointer)
                rest.append((pointer_to(pointer, name), inner))
        elif isinstance(value, list):
            rest.extend((pointer_to(pointer, index), inner) for index, inner in enumerate(value))
        elif isinstance(value, str):
            _sound(value, pointer)


def _sound(text: str, pointer: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _malformed("a text has half of a surrogate pair") from None
    if "\0" in text:
        detail = "a text has a NUL character"
        raise Problem(422, "invalid_body", detail, errors=[{"pointer": pointer, "detail": detail}])


def _malformed(why: str) -> Problem:
    return Problem(400, "malformed_body", f"the body is not well-formed JSON: {why}")


def _not_fitting(error: msgspec.ValidationError) -> Problem:
    detail, pointer = _said(error)
    return Problem(422, "invalid_body", detail, errors=[{"pointer": pointer, "detail": detail}])


def _said(error: msgspec.ValidationError) -> tuple[str, str]:
    """What msgspec says, and where; a field that is not known is pointed to itself, everything else by its nearest place."""
    message = str(error)
    pointer = pointer_of(message)
    detail = message.rpartition(" - at `")[0] or message
    if detail.startswith(_UNKNOWN_FIELD):
        name = detail.removeprefix(_UNKNOWN_FIELD).removesuffix("`")
        return f"there is no field {_shown(name)} here", pointer_to(pointer, name)
    return detail, pointer


def _shown(name: str) -> str:
    return repr(name[:80])
