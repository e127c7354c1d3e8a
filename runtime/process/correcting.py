"""Corrections of what an instance remembers: a JSON merge patch (RFC 7396), and what it changes."""

from collections.abc import Iterator, Mapping
from typing import Any


def merged(document: Any, patch: Any) -> Any:
    """The document with the patch applied: null removes a field, an object is merged, everything else takes the place of what was there."""
    if not isinstance(patch, Mapping):
        return patch
    whole = dict(document) if isinstance(document, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            whole.pop(name, None)
        else:
            whole[name] = merged(whole.get(name), value)
    return whole


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each place that differs, as a JSON pointer with what was and what is there."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            yield from differences(before.get(name), after.get(name), f"{path}/{name}")
    elif before != after:
        yield path, before, after
