"""A cursor over what changed, for a source that has only the moment of the last change.

The moment is taken when a transaction begins, so a long transaction becomes visible after a shorter one that began later. The cursor
therefore looks back a while behind the latest change that it has seen, and remembers what it has seen there.
"""

import datetime as dt
from collections.abc import Mapping

import msgspec

from canonical.failures import Rejected

LOOK_BACK = dt.timedelta(minutes=2)
BEGINNING = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - Tryton's moments carry no zone
_EPOCH_STEP = dt.timedelta(microseconds=1)


class Cursor(msgspec.Struct, frozen=True):
    """The latest change seen, and the records seen in the look-back before it, by id with the moment of the change."""

    latest: dt.datetime = BEGINNING
    seen: Mapping[int, dt.datetime] = {}

    @property
    def since(self) -> dt.datetime:
        """From where to read."""
        return max(self.latest - LOOK_BACK, BEGINNING) if self.seen else self.latest

    def is_new(self, record_id: int, changed: dt.datetime) -> bool:
        """Whether this change was not handed out yet."""
        return self.seen.get(record_id) != changed

    def after(self, changes: Mapping[int, dt.datetime]) -> "Cursor":
        """The cursor once these changes were handed out."""
        if not changes:
            return self
        latest = max(self.latest, *changes.values())
        recent = {i: at for i, at in {**self.seen, **changes}.items() if at >= latest - LOOK_BACK}
        return Cursor(latest, recent)

    def text(self) -> str:
        """The cursor as it is handed out: microseconds since 1970, and id:microseconds before that."""
        behind = [f"{i}:{(self.latest - at) // _EPOCH_STEP}" for i, at in sorted(self.seen.items())]
        return f"{(self.latest - BEGINNING) // _EPOCH_STEP}/{','.join(behind)}" if self.seen else ""


def cursor_of(text: str) -> Cursor:
    """The cursor behind the text; empty means from the beginning. Raises `Rejected` for what is no cursor of ours."""
    if not text:
        return Cursor()
    try:
        head, _, tail = text.partition("/")
        latest = BEGINNING + int(head) * _EPOCH_STEP
        pairs = [entry.split(":") for entry in tail.split(",") if entry]
        return Cursor(latest, {int(i): latest - int(behind) * _EPOCH_STEP for i, behind in pairs})
    except (ValueError, OverflowError) as error:
        raise Rejected("cursor_invalid", f"{text[:60]!r} is no cursor of this connection", pointer="/cursor") from error
