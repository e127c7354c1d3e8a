"""A worker that is frozen in the middle of a write and goes on, with its lock gone: what it may still do at a vendor without a handle."""

import asyncio

import msgspec
import pytest

from canonical.failures import OutcomeUnknown, Unavailable
from runtime.clock import SetClock
from runtime.effects import LOCK_S
from runtime.store.contract import Fenced, PutEffect, Unit
from runtime.store.engine import SqlStore
from tests.runtime.test_effects import SETTLES_IN, Desk

AWAIT_S = 10.0  # a test that goes wrong ends, too


@pytest.fixture
def bare(store: SqlStore, clock: SetClock) -> Desk:
    """A vendor that has no handle to make a write single."""
    return Desk(store, clock, handle=False)


class Frozen:
    """A worker that stops right after it has committed its intent, and holds no lock any more when it goes on."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stopped, self.thaw = asyncio.Event(), asyncio.Event()
        self._commit = desk.store.commit
        monkeypatch.setattr(desk.store, "commit", self._stopping)
        monkeypatch.setattr(desk.ledger, "_keep", self._renews_nothing)

    async def _stopping(self, unit: Unit) -> None:
        await self._commit(unit)
        if not self.stopped.is_set():
            self.stopped.set()
            await self.thaw.wait()

    async def _renews_nothing(self, *_lock: object) -> None:
        return


async def test_a_worker_that_was_frozen_before_it_sent_does_not_send_any_more(
    bare: Desk, clock: SetClock, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock has run out, another worker has looked, and sent: what was frozen on the way to the vendor stays unsent (P11)."""
    frozen, other = Frozen(bare, monkeypatch), Desk(store, clock, handle=False)
    first = asyncio.create_task(bare.write())
    await asyncio.wait_for(frozen.stopped.wait(), AWAIT_S)
    clock.move(LOCK_S + SETTLES_IN.total_seconds())
    await other.write()
    frozen.thaw.set()
    with pytest.raises(Fenced):
        await first
    assert (bare.trace, other.trace) == ([], ["find", "send"])
    assert (await bare.effect()).state == "confirmed"


async def test_a_frozen_worker_that_nobody_stood_in_for_leaves_its_write_planned(
    bare: Desk, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was certainly not sent is not in doubt, and is sent at the next try (P11)."""
    frozen = Frozen(bare, monkeypatch)
    first = asyncio.create_task(bare.write())
    await asyncio.wait_for(frozen.stopped.wait(), AWAIT_S)
    clock.move(LOCK_S)
    frozen.thaw.set()
    with pytest.raises(Unavailable, match="lock_lost"):
        await first
    assert ((await bare.effect()).state, bare.trace) == ("planned", [])
    await bare.write()
    assert bare.trace == ["find", "send"]


async def test_a_late_failure_says_nothing_of_a_later_attempt(bare: Desk, clock: SetClock) -> None:
    """A worker that comes late with its failure does not make a write that another one has sent look unsent (P11)."""
    bare.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await bare.write()
    early = await bare.effect()
    clock.move(SETTLES_IN.total_seconds())
    bare.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await bare.write()
    with pytest.raises(Fenced):
        await bare.store.commit([PutEffect(msgspec.structs.replace(early, state="planned"))])
    assert ((await bare.effect()).state, (await bare.effect()).attempts) == ("uncertain", 2)
