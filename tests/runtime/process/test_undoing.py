"""The walk up the table: last first, from the values of then, exactly what was done."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken, Rejected, Unavailable
from runtime.process.declare import decide
from runtime.store.contract import Effect, PutEffect
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import Memory, doing, keep, nod, too_small
from tests.runtime.process.vendor import Done, TakeBack, Vendor

REFUSED = Rejected("no", "not sold in EUR")


async def test_undoing_goes_in_reverse_order(world_of: NewWorld, vendor: Vendor) -> None:
    """The last step is taken back first; steps without an undo stay (M9, I8)."""
    vendor.plan("four", REFUSED)
    world = world_of(doing("one"), doing("two", undo=False), doing("three"), doing("four"))
    await world.start()
    assert vendor.step_keys()[3:] == ["jobs/J-1/four", "jobs/J-1/three/undo", "jobs/J-1/one/undo"]
    assert vendor.left() == ["jobs/J-1/two"]


async def test_what_was_saved_then_is_taken_back(world_of: NewWorld, vendor: Vendor) -> None:
    """A step is undone with the values of the time when it was done, whatever the memory has become since (I8)."""

    def forget(m: Memory, reply: Done) -> Memory:
        return msgspec.structs.replace(keep(m, reply), refs={"one": "something else"})

    vendor.plan("three", REFUSED)
    world = world_of(doing("one"), msgspec.structs.replace(doing("two", undo=False), learn=forget), doing("three"))
    await world.start()
    assert vendor.asked[-1] == ("jobs/J-1/one/undo", TakeBack(ref="R-one"))


async def test_a_step_right_before_a_decision_is_undone(world_of: NewWorld, vendor: Vendor) -> None:
    """A step whose journal line waits for the next commit when a decision ends the process is taken back like any other."""
    world = world_of(doing("one"), decide("small", lambda m: "one" not in m.refs, otherwise=too_small))
    await world.start()
    assert vendor.left() == []
    assert await world.lines() == ["started", "ask one", "failed small", "undo one", "tell if_undone", "undone"]


async def test_the_end_is_told_once_with_the_reason(world_of: NewWorld, vendor: Vendor) -> None:
    """When all is taken back, the event of the table says why, and a case lies before its owner."""
    vendor.plan("two", REFUSED)
    world = world_of(doing("one"), doing("two"))
    await world.start()
    row = await world.row()
    assert (row.status, row.due_at, row.waiting_for) == ("undone", None, "")
    assert [msgspec.json.decode(send.letter.body)["reason"] for send in world.posted] == ["not sold in EUR"]
    case = await world.case("rejected")
    assert case is not None
    assert (case.status, case.title, case.amount) == ("open", "Job J-1: not sold in EUR", "10.00")


async def test_an_undo_that_is_away_is_tried_later(world_of: NewWorld, vendor: Vendor) -> None:
    """A vendor that is away while a step is undone is asked again later, for the steps that are left only."""
    vendor.plan("three", REFUSED)
    vendor.plan("one/undo", Unavailable("away", "not reachable", retry_after_s=9.0))
    world = world_of(doing("one"), doing("two"), doing("three"))
    await world.start()
    row = await world.row()
    assert (row.status, row.due_at) == ("undoing", world.clock.now() + dt.timedelta(seconds=9))
    await world.later(9)
    assert (await world.row()).status == "undone"
    assert vendor.step_keys()[3:] == ["jobs/J-1/two/undo", "jobs/J-1/one/undo", "jobs/J-1/one/undo"]


async def test_the_reason_survives_trouble_with_undoing(world_of: NewWorld, vendor: Vendor) -> None:
    """What is told in the end is why the instance was undone, not what went wrong on the way back."""
    vendor.plan("two", REFUSED)
    vendor.plan("one/undo", Unavailable("away", "not reachable"), Rejected("closed", "the period is closed"))
    world = world_of(doing("one"), doing("two"))
    await world.start()
    await world.rest()
    await world.worker.engine.resume("acme", "jobs", "J-1", by="eve")
    await world.rest()
    assert [msgspec.json.decode(send.letter.body)["reason"] for send in world.posted] == ["not sold in EUR"]


async def test_an_undo_that_is_refused_is_put_before_a_person(world_of: NewWorld, vendor: Vendor) -> None:
    """A vendor that will not take a step back parks the instance; the story says so, and nothing further is undone (M10)."""
    vendor.plan("three", REFUSED)
    vendor.plan("two/undo", Rejected("closed", "the period is closed"))
    world = world_of(doing("one"), doing("two"), doing("three"))
    await world.start()
    row = await world.row()
    assert (row.status, row.waiting_for) == ("parked", "undo")
    assert vendor.left() == ["jobs/J-1/one", "jobs/J-1/two"]
    assert (await world.story()).splitlines()[-2:] == [
        "park    two                    rejected: the period is closed",
        "now     parked while being undone: not sold in EUR",
    ]
    case = await world.case("parked")
    assert case is not None
    assert msgspec.json.decode(case.document)["undoing"] is True


async def test_resuming_a_parked_undo_continues_the_undo(world_of: NewWorld, vendor: Vendor) -> None:
    """An instance that was parked while it was undone goes on undoing, not booking."""
    vendor.plan("three", REFUSED)
    vendor.plan("two/undo", Broken("unreadable"))
    world = world_of(doing("one"), doing("two"), doing("three"))
    await world.start()
    await world.worker.engine.resume("acme", "jobs", "J-1", by="eve")
    await world.deliver()
    assert (await world.row()).status == "undone"
    assert vendor.left() == []
    assert vendor.step_keys().count("jobs/J-1/three") == 1


async def test_a_table_whose_last_word_fails_is_parked(world_of: NewWorld, vendor: Vendor) -> None:
    """An `if_undone` that throws parks the instance; resumed after the fix, nothing is taken back twice."""
    works = [False]

    def last_word(m: Memory, failure: object) -> object:
        if not works[0]:
            raise ValueError("no")
        return Done(what="end", ref=m.job)

    vendor.plan("two", REFUSED)
    world = world_of(doing("one"), doing("two"), if_undone=last_word)
    await world.start()
    assert (await world.row()).status == "parked"
    works[0] = True
    await world.worker.engine.resume("acme", "jobs", "J-1", by="eve")
    await world.deliver()
    assert (await world.row()).status == "undone"
    assert (vendor.step_keys().count("jobs/J-1/one/undo"), world.told()) == (1, ["Done"])


async def test_a_table_without_a_last_word_ends_in_silence(world_of: NewWorld, vendor: Vendor) -> None:
    """Without `if_undone` nothing is told; the case is there all the same."""
    vendor.plan("one", REFUSED)
    world = world_of(doing("one"), if_undone=None)
    await world.start()
    assert (world.posted, (await world.row()).status) == ([], "undone")
    assert await world.case("rejected") is not None


async def test_the_ledger_says_that_an_effect_was_compensated(world_of: NewWorld, vendor: Vendor) -> None:
    """A confirmed effect whose step is taken back becomes compensated; others stay as they are."""
    world = world_of(doing("one"), doing("two"), nod("sign"), decide("no", lambda _: False, otherwise=too_small))
    await world.start()
    now = world.clock.now()
    for step in ("one", "unrelated"):
        effect = Effect(
            tenant="acme", key=f"jobs/J-1/{step}", connection="x", command="y", state="confirmed", correlation_id="z", updated_at=now
        )
        await world.store.commit([PutEffect(effect)])
    await world.nod("sign")
    states = {effect.key: effect.state for effect in await world.store.effects("acme")}
    assert states == {"jobs/J-1/one": "compensated", "jobs/J-1/unrelated": "confirmed"}


@pytest.mark.parametrize("bug", [LookupError("x"), AttributeError("y")], ids=repr)
async def test_a_bug_in_the_way_back_parks(world_of: NewWorld, vendor: Vendor, bug: Exception) -> None:
    """Whatever is thrown while a step is taken back, the instance is parked."""
    vendor.plan("two", REFUSED)
    vendor.plan("one/undo", bug)
    world = world_of(doing("one"), doing("two"))
    await world.start()
    assert ((await world.row()).status, (await world.row()).waiting_for) == ("parked", "undo")
