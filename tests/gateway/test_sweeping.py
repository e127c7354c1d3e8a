"""The sweep: who is alone brings back at once what its predecessor left behind; who is not gives the others their time."""

import datetime as dt
from typing import Any

import pytest

from gateway.sweeping import STUCK_AFTER, Sweeper
from runtime.clock import SetClock


class Looked:
    """A store that keeps only how far back it was asked to look."""

    def __init__(self) -> None:
        self.stuck_before: list[dt.datetime] = []

    async def lease(self, *_: Any, **__: Any) -> bool:
        return True

    async def due(self, _now: dt.datetime, *, stuck_before: dt.datetime) -> tuple[Any, ...]:
        self.stuck_before.append(stuck_before)
        return ()


@pytest.mark.parametrize("alone", [True, False])
async def test_what_a_predecessor_left_behind(alone: bool) -> None:
    """Alone, whatever runs since before we began is stuck, from the first look on; else only what nobody has touched for minutes."""
    clock, store, nothing = SetClock(), Looked(), object()
    began = clock.now()
    sweeper = Sweeper(store, nothing, nothing, clock, alone=alone)  # type: ignore[arg-type]
    clock.move(1)
    await sweeper.turn()
    clock.move(600)
    await sweeper.turn()
    first, later = store.stuck_before
    assert first == (began if alone else began + dt.timedelta(seconds=1) - STUCK_AFTER)
    assert later == began + dt.timedelta(seconds=601) - STUCK_AFTER
