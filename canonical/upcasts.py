"""Old wire versions lifted to the present one, so that a message from before an upgrade is still understood.

A class counts its wire versions (`Message.wire_version`). When a field changes its name or meaning, the count goes up by one and a line
here says how a body of the version before becomes one of the next. A new field with a default needs neither.
"""

from collections.abc import Callable, Mapping
from typing import Any

Body = dict[str, Any]
Lift = Callable[[Body], Body]

LIFTS: Mapping[tuple[str, int], Lift] = {}
"""(wire name, the version that is lifted) → the body of the next version."""


def lifted(name: str, version: int, wanted: int, body: Body, lifts: Mapping[tuple[str, int], Lift] = LIFTS) -> Body:
    """The body in the wanted version. Raises `KeyError` where no way leads there, also for a version that is newer than ours."""
    if version > wanted:
        raise KeyError(f"{name} version {version} is newer than {wanted}")
    for step in range(version, wanted):
        body = lifts[(name, step)](body)
    return body
