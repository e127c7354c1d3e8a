"""An instance stays on the version of the table that it began with; what this release cannot read is parked, not lost."""

import msgspec
import pytest

from canonical.failures import Broken, Unavailable
from runtime.process.declare import Step
from runtime.process.versions import orphans
from runtime.store.contract import VersionInUse
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import Memory, doing, nod, table
from tests.runtime.process.vendor import Vendor
from tests.runtime.process.world import World

OLD: tuple[Step, ...] = (doing("one"), nod("sign"), doing("old"))
NEW: tuple[Step, ...] = (doing("new"), nod("sign"), doing("newer"))


async def test_an_instance_finishes_on_its_own_version(world_of: NewWorld, vendor: Vendor) -> None:
    """When a new version is deployed, running instances keep the old table, new ones take the new (P15)."""
    world = world_of(*OLD)
    await world.start("J-1")
    world.new_worker(table(*OLD), table(*NEW, version=2))
    await world.start("J-2")
    for job in ("J-1", "J-2"):
        await world.nod("sign", job=job)
    assert vendor.step_keys() == ["jobs/J-1/one", "jobs/J-2/new", "jobs/J-1/old", "jobs/J-2/newer"]


async def test_the_older_release_leaves_newer_instances_alone(world_of: NewWorld, vendor: Vendor) -> None:
    """Beside a newer release the older one neither claims nor parks what began on a version it does not have: it hands the message back,
    whether that brings the instance on, or an event, or a person's wish (P15).
    """
    vendor.plan("new", Unavailable("away"))
    world = world_of(*OLD)
    older, newer = world.worker, world.new_worker(table(*OLD), table(*NEW, version=2))
    await world.start("J-2")
    world.clock.move(2)
    before = await world.row("J-2")
    world.worker = older
    with pytest.raises(Unavailable, match="newer_release"):
        await older.handle(older.engine.wake(before).letter)
    with pytest.raises(Unavailable, match="newer_release"):
        await older.engine.cancel("acme", "jobs", "J-2", by="eve", reason="")
    assert await world.row("J-2") == before
    await newer.handle(newer.engine.wake(before).letter)
    waiting = await world.row("J-2")
    assert waiting.waiting_for == "Nodded:J-2:sign"
    with pytest.raises(Unavailable, match="newer_release"):
        await world.nod("sign", job="J-2")
    assert await world.row("J-2") == waiting
    world.worker = newer
    await world.nod("sign", job="J-2")
    assert (vendor.step_keys(), (await world.row("J-2")).status) == (["jobs/J-2/new", "jobs/J-2/new", "jobs/J-2/newer"], "done")


def test_what_a_release_would_leave_behind() -> None:
    """A version on which something runs and that is not among the tables, older or newer, is named; one that is there is not (P15)."""
    used = [VersionInUse(process=p, version=v, instances=n) for p, v, n in (("jobs", 1, 3), ("jobs", 2, 5), ("gone", 1, 1))]
    assert orphans(used[:1], [table(*OLD)]) == []
    assert orphans(used, [table(*OLD)]) == [
        "5 of jobs run on version 2 of its table, which this release does not have: keep that version in the roster until none is left",
        "1 of gone run on version 1 of its table, which this release does not have: keep that version in the roster until none is left",
    ]


async def without_table(world: World) -> None:
    """A release that no longer has the version on which J-1 runs."""
    world.new_worker(table(*NEW, version=2))


async def test_an_instance_without_a_table_is_parked_with_a_case(world_of: NewWorld, vendor: Vendor) -> None:
    """An instance whose version is gone is put before a person, once, and its memory stays as it was."""
    vendor.plan("one", Unavailable("away"))
    world = world_of(*OLD)
    await world.start()
    memory = (await world.row()).memory
    await without_table(world)
    assert await world.later(2) == 1
    row = await world.row()
    assert (row.status, row.memory, row.reason.code if row.reason else "") == ("parked", memory, "table_gone")
    case = await world.case("parked")
    assert case is not None
    assert case.title == "jobs/J-1: table stopped, this release has no version 1 of jobs"
    assert await world.later(86400) == 0


async def test_it_goes_on_when_its_table_is_back(world_of: NewWorld, vendor: Vendor) -> None:
    """Resumed in a release that has the version, the instance goes on as if nothing had been."""
    vendor.plan("one", Unavailable("away"))
    world = world_of(*OLD)
    await world.start()
    await without_table(world)
    await world.later(2)
    world.new_worker(table(*OLD), table(*NEW, version=2))
    assert await world.worker.engine.resume("acme", "jobs", "J-1", by="eve")
    await world.deliver()
    assert (await world.row()).waiting_for == "Nodded:J-1:sign"


async def test_an_event_for_an_instance_without_a_table_is_kept(world_of: NewWorld) -> None:
    """The event is given back to the bus, to lie among the dead letters until the table is back; it is not used up."""
    world = world_of(*OLD)
    await world.start()
    await without_table(world)
    with pytest.raises(Unavailable, match="taken_over"):
        await world.nod("sign")
    with pytest.raises(Broken, match="nobody_waits"):
        await world.nod("sign")
    assert (await world.row()).status == "parked"


async def test_a_memory_that_cannot_be_read_parks(world_of: NewWorld, vendor: Vendor) -> None:
    """A table whose memory was changed without a new version parks its instances instead of guessing."""

    class OtherMemory(msgspec.Struct, frozen=True, kw_only=True):
        job: int

    vendor.plan("one", Unavailable("away"))
    world = world_of(*OLD)
    await world.start()
    world.new_worker(table(*OLD, memory=OtherMemory))
    await world.later(2)
    row = await world.row()
    assert (row.status, row.reason.code if row.reason else "") == ("parked", "memory_unreadable")
    assert msgspec.json.decode(row.memory, type=Memory).job == "J-1"


async def test_one_unreadable_instance_does_not_hold_up_the_others(world_of: NewWorld, vendor: Vendor) -> None:
    """Waking is possible for instances of any version, so that one of them cannot stop the sweep."""
    vendor.plan("one", Unavailable("away"), Unavailable("away"))
    world = world_of(*OLD)
    await world.start("J-1")
    world.new_worker(table(*OLD, version=2))
    await world.start("J-2")
    assert await world.later(2) == 2
    assert [(await world.row(job)).status for job in ("J-1", "J-2")] == ["parked", "waiting"]
