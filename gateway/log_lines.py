"""What a log line may hold: no secret, nothing endless, and nothing that breaks the line or the terminal of its reader."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

VALUE_LENGTH_MAX = 2000
EXCEPTION_LENGTH_MAX = 8000  # the end of it, where the reason stands
NAME_LENGTH_MAX = 100
DEPTH_MAX = 5
HIDDEN = "***"

_NAMES = (
    r"authorization|token|secret|password|passwd|pwd|passphrase|api[_-]?key|private[_-]?key|signing[_-]?key|credentials?|cookie"
    r"|assertion|client[_-]assertion"
)
_SECRET_NAME = re.compile(rf"(?:^|[_\W])(?:{_NAMES})s?$", re.IGNORECASE)
# Nearly every text has none of these words; only one that has is looked at more closely.
_SUSPICIOUS = (
    *("token", "key", "secret", "authorization", "passw", "pwd", "passphrase", "credential", "cookie", "assertion", "bearer", "basic"),
    *("://", "eyj", "sk_", "rk_", "whsec_"),
)
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"\b(?:sk|rk)_(?:live|test)_\w+|\bwhsec_[\w+/=-]+"), HIDDEN),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(
            rf"""((?:\b|_)(?:{_NAMES})s?["']?\s*[:=]\s*)(?:"[^"]*(?:"|$)|'[^']*(?:'|$)|(?:Bearer|Basic)\s+[^\s,;&]+|[^\s,;&}})\]"']+)""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)
# What JSON leaves as it is and a terminal obeys: DEL and the C1 controls, line separators, changes of the direction of writing.
_UNRULY = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def encoded(fields: Mapping[str, Any]) -> str:
    """The fields as one line of valid JSON, whatever is in them."""
    clean = {_name(name): _value(name, value) for name, value in fields.items()}
    return _UNRULY.sub(_escaped, msgspec.json.encode(clean).decode())


def without_secrets(text: str) -> str:
    """A text with what looks like a secret replaced."""
    lower = text.lower()
    if any(word in lower for word in _SUSPICIOUS):
        for pattern, instead in _SECRETS:
            text = pattern.sub(instead, text)
    return text


def _value(name: Any, value: Any) -> Any:
    if name == "exception" and isinstance(value, str):
        return _end_of(without_secrets(_encodable(value)))
    clean = _cleaned(name, value, 0)
    if isinstance(clean, dict | list):
        text = msgspec.json.encode(clean).decode()
        return clean if len(text) <= VALUE_LENGTH_MAX else _cut(text)
    return clean


def _cleaned(name: Any, value: Any, depth: int) -> Any:
    if isinstance(name, str) and _is_secret(name[-NAME_LENGTH_MAX:]):
        return HIDDEN if value else None
    if isinstance(value, str):
        return _cut(without_secrets(_encodable(value[: VALUE_LENGTH_MAX * 2])), len(value))
    if value is None or isinstance(value, int | float):
        return value if _in_json(value) else str(value) if isinstance(value, float) else f"{value:#x}"[:NAME_LENGTH_MAX]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth < DEPTH_MAX and isinstance(value, Mapping):
        return {_name(key): _cleaned(key, inner, depth + 1) for key, inner in value.items()}
    if depth < DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(name, inner, depth + 1) for inner in value]
    return _cut(without_secrets(_encodable(_said(value))))


def _in_json(value: Any) -> bool:
    """Whether JSON, and who reads it, has this number: no infinity, nothing of more than 64 bits."""
    return value is None or (math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63)


@lru_cache(maxsize=512)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _said(value: Any) -> str:
    """How an object describes itself; one that cannot even do that shall not cost the line."""
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001 - somebody else's __repr__ may fail in any way
        return f"<{type(value).__name__} that does not describe itself>"


def _name(name: Any) -> str:
    return _encodable(str(name))[:NAME_LENGTH_MAX]


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, length: int = 0) -> str:
    length = max(length, len(text))
    return text if length <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}… (cut, {length} characters)"


def _end_of(text: str) -> str:
    return text if len(text) <= EXCEPTION_LENGTH_MAX else f"(cut, {len(text)} characters) …{text[-EXCEPTION_LENGTH_MAX:]}"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"
