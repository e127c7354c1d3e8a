"""What a person may do with an instance: try it again, or have it undone where that is still possible and known to be complete."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Unavailable
from runtime.process.declare import point_of_no_return
from runtime.store.contract import Effect, EffectState, PutEffect
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import doing, nod
from tests.runtime.process.vendor import Begin, Death, Vendor
from tests.runtime.process.world import TENANT, World

NAME = (TENANT, "jobs", "J-1")


async def cancel(world: World) -> bool:
    return await world.worker.engine.cancel(*NAME, by="eve", reason="a mistake")


async def test_cancelling_a_wait_undoes_what_was_done(world_of: NewWorld, vendor: Vendor) -> None:
    """An instance that waits is undone when a person says so; the reason is told, and the case of the wait is closed."""
    world = world_of(doing("one"), nod("sign"))
    await world.start()
    assert await cancel(world)
    assert await world.deliver() == 1
    assert await world.lines() == [
        "started",
        "ask one",
        "wait sign",
        "cancelled",
        "undo one",
        "tell if_undone",
        "undone",
    ]
    assert vendor.left() == []
    assert msgspec.json.decode(world.posted[-1].letter.body)["reason"] == "cancelled by eve: a mistake"
    case = await world.case("sign")
    assert case is not None
    assert (case.status, case.resolution) == ("resolved", "cancelled by eve: a mistake")


async def test_cancelling_a_parked_instance_closes_its_case(world_of: NewWorld, vendor: Vendor) -> None:
    """A parked instance can be undone instead of resumed, and then nobody is called for it any more."""
    vendor.plan("two", Misconfigured("bad_key"))
    world = world_of(doing("one"), doing("two"))
    await world.start()
    assert await cancel(world)
    await world.deliver()
    case = await world.case("parked")
    assert case is not None
    assert ((await world.row()).status, case.status) == ("undone", "resolved")


async def test_cancelling_while_a_step_waits_for_its_next_attempt(world_of: NewWorld, vendor: Vendor) -> None:
    """A step that has certainly done nothing does not keep an instance from being undone."""
    vendor.plan("two", Unavailable("away"))
    world = world_of(doing("one"), doing("two"))
    await world.start()
    assert await cancel(world)
    await world.deliver()
    assert ((await world.row()).status, vendor.left()) == ("undone", [])


async def test_nothing_is_cancelled_beyond_the_pivot(world_of: NewWorld, vendor: Vendor) -> None:
    """Beyond the point of no return a person cannot undo, either."""
    vendor.plan("two", Rejected("no"))
    world = world_of(doing("one"), point_of_no_return(), doing("two"))
    await world.start()
    before = await world.journal()
    assert not await cancel(world)
    assert ((await world.row()).status, await world.journal()) == ("parked", before)


async def test_what_has_ended_is_neither_cancelled_nor_resumed(world_of: NewWorld, vendor: Vendor) -> None:
    """An instance that is done or undone, or is not there, is left alone."""
    world = world_of(doing("one"))
    await world.start()
    assert not await cancel(world)
    assert not await world.worker.engine.resume(*NAME, by="eve")
    assert not await world.worker.engine.resume(TENANT, "jobs", "nobody", by="eve")
    assert (await world.lines())[-1] == "done"


async def test_only_a_parked_instance_is_resumed(world_of: NewWorld) -> None:
    """An instance that waits is not resumed: the wait stays as it was."""
    world = world_of(nod("sign"))
    await world.start()
    assert not await world.worker.engine.resume(*NAME, by="eve")
    assert (await world.row()).status == "waiting"


@pytest.mark.parametrize("state", ["sent", "uncertain", "confirmed"])
async def test_a_step_in_doubt_is_not_cancelled(world_of: NewWorld, vendor: Vendor, state: EffectState) -> None:
    """Where the ledger shows a write that the journal does not, cancelling is refused: the effect would never be taken back."""
    failures = {"sent": Broken("unreadable"), "uncertain": OutcomeUnknown("no_answer"), "confirmed": Broken("unreadable")}
    vendor.plan("two", failures[state])
    world = world_of(doing("one"), doing("two"))
    await world.start()
    effect = Effect(
        tenant=TENANT, key="jobs/J-1/two", connection="x", command="y", state=state, correlation_id="z", updated_at=world.clock.now()
    )
    await world.store.commit([PutEffect(effect)])
    before = await world.journal()
    assert not await cancel(world)
    assert await world.journal() == before


@pytest.mark.parametrize("state", ["planned", "refused"])
async def test_a_step_that_did_nothing_is_no_obstacle(world_of: NewWorld, vendor: Vendor, state: EffectState) -> None:
    """Where the ledger shows that nothing was done, cancelling is allowed."""
    vendor.plan("two", Misconfigured("bad_key"))
    world = world_of(doing("one"), doing("two"))
    await world.start()
    effect = Effect(
        tenant=TENANT, key="jobs/J-1/two", connection="x", command="y", state=state, correlation_id="z", updated_at=world.clock.now()
    )
    await world.store.commit([PutEffect(effect)])
    assert await cancel(world)


async def test_an_instance_in_flight_is_not_cancelled_and_goes_on(world_of: NewWorld, vendor: Vendor) -> None:
    """An instance whose worker died over a step, or is at it elsewhere, is not cancelled but handed on, so that the outcome is known."""
    vendor.plan("two", Death())
    world = world_of(doing("one"), doing("two"), nod("sign"))
    with pytest.raises(Death):
        await world.worker.handle(world.letter(Begin(job="J-1")))
    world.new_worker()
    assert not await cancel(world)
    assert await world.deliver() == 1
    assert (await world.row()).status == "waiting"
    assert await cancel(world)
    await world.deliver()
    assert ((await world.row()).status, vendor.left()) == ("undone", [])


async def test_the_first_resume_counts(world_of: NewWorld, vendor: Vendor) -> None:
    """Of two people who resume an instance, the second is told that it is not parked."""
    vendor.plan("one", Misconfigured("bad_key"))
    world = world_of(doing("one"))
    await world.start()
    assert await world.worker.engine.resume(*NAME, by="eve")
    assert not await world.worker.engine.resume(*NAME, by="ann")
    await world.deliver()
    assert await world.lines() == ["started", "parked one", "resumed", "ask one", "done"]


async def test_a_lost_wake_up_is_made_good(world_of: NewWorld, vendor: Vendor) -> None:
    """When the message that brings a resumed instance back is lost, looking who was left lying finds it."""
    vendor.plan("one", Misconfigured("bad_key"))
    world = world_of(doing("one"))
    await world.start()
    await world.worker.engine.resume(*NAME, by="eve")
    world.posted.clear()
    await world.later(dt.timedelta(minutes=4).total_seconds())
    assert (await world.row()).status == "done"


async def test_a_correction_is_kept_and_tried(world_of: NewWorld, vendor: Vendor) -> None:
    """A person corrects a parked instance: before and after are in the journal, and it goes on with the corrected values (EX3)."""
    vendor.plan("two", Rejected("no such size"))
    world = world_of(doing("one"), point_of_no_return(), doing("two"))
    await world.start()
    assert (await world.row()).status == "parked"
    engine = world.worker.engine
    assert await engine.edit(*NAME, patch={"size": 3}, by="eve", reason="a typing mistake")
    assert await world.deliver() == 1
    row = await world.row()
    assert (row.status, msgspec.json.decode(row.memory)["size"]) == ("done", 3)
    [line] = [line for line in await world.journal() if line.kind == "edited"]
    assert line.detail == 'by eve: a typing mistake; {"/size":[0,3]}'
    case = await world.case("parked")
    assert case is not None
    assert (case.status, case.resolution) == ("resolved", "resumed by eve")


@pytest.mark.parametrize("patch", [{"size": "many"}, {"job": None}, {"refs": []}, {"sizee": 3}, {"size": 0}])
async def test_a_correction_that_does_not_fit_changes_nothing(world_of: NewWorld, vendor: Vendor, patch: dict[str, object]) -> None:
    """What the table could not read is refused with its place, and the instance stays parked as it was (EX3)."""
    vendor.plan("one", Misconfigured("bad_key"))
    world = world_of(doing("one"))
    await world.start()
    before = await world.row()
    with pytest.raises(Rejected, match="edit_does_not_fit"):
        await world.worker.engine.edit(*NAME, patch=patch, by="eve", reason="a guess")
    after = await world.row()
    assert (after.status, after.memory, await world.lines()) == ("parked", before.memory, ["started", "parked one"])


@pytest.mark.parametrize("state", ["sent", "uncertain", "confirmed"])
async def test_what_the_vendor_may_have_done_is_not_corrected(world_of: NewWorld, vendor: Vendor, state: EffectState) -> None:
    """A step that may have been done with the old values is found out first: the vendor would keep them while we remember others (EX3)."""
    vendor.plan("one", Misconfigured("bad_key"))
    world = world_of(doing("one"))
    await world.start()
    now = world.clock.now()
    effect = Effect(
        tenant=TENANT, key=vendor.step_keys()[-1], connection="erp", command="x", state=state, correlation_id="", attempts=1, updated_at=now
    )
    await world.store.commit([PutEffect(effect)])
    with pytest.raises(Rejected, match="edit_in_doubt"):
        await world.worker.engine.edit(*NAME, patch={"size": 3}, by="eve", reason="a guess")
    assert (await world.row()).status == "parked"


async def test_only_a_parked_instance_is_corrected(world_of: NewWorld) -> None:
    """An instance that has ended stays as it is."""
    world = world_of(doing("one"))
    await world.start()
    assert not await world.worker.engine.edit(*NAME, patch={"size": 3}, by="eve", reason="too late")


async def test_a_case_keeps_when_it_was_opened(world_of: NewWorld, vendor: Vendor) -> None:
    """A case that is resolved later was opened when it was opened (EX2)."""
    vendor.plan("one", Misconfigured("bad_key"))
    world = world_of(doing("one"))
    await world.start()
    opened = world.clock.now()
    world.clock.move(3600)
    was = await world.case("parked")
    assert await world.worker.engine.resume(*NAME, by="eve")
    case = await world.case("parked")
    assert was is not None
    assert case is not None
    assert (case.opened_at, case.closed_at, case.status) == (opened, world.clock.now(), "resolved")
    assert (case.title, case.amount, case.document) == (was.title, was.amount, was.document)
