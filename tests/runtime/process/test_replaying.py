"""Replay: the plan equals the effect, what is finished stays as it is, and what had stopped goes on."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Misconfigured, Rejected
from runtime.bus.contract import Address
from runtime.bus.wire import Envelope
from runtime.process.replaying import Plan, Replayer, Selection
from runtime.store.contract import Send
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import doing, nod
from tests.runtime.process.vendor import Begin, Vendor
from tests.runtime.process.world import TENANT, World

ALL = Selection(process="jobs")


class Post:
    """A bus that hands what is published to the world's post."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def publish(self, address: Address, letter: Envelope) -> None:
        self._world.posted.append(Send(address, letter))


def replayer(world: World) -> Replayer:
    return Replayer(world.worker.engine, world.store, Post(world))  # type: ignore[arg-type]


async def begin(world: World, job: str) -> None:
    """Start a job by a message that lies in the outbox, as real ones do."""
    letter = world.letter(Begin(job=job), correlation_id=f"q2c-{job}")
    await world.store.commit([Send(Address("process.jobs"), letter)])
    await world.worker.handle(letter)


def made(vendor: Vendor, before: int) -> list[str]:
    """What the vendor was asked since."""
    return vendor.step_keys()[before:]


def planned(plan: Plan) -> list[str]:
    """The keys of what a plan creates."""
    return [f"{one.process}/{one.key}/{step.partition(' ')[0]}" for one in plan.instances for step in one.creates]


async def mixture(world: World, vendor: Vendor) -> None:
    """One job that is done, one that is parked, one that was undone, one that waits."""
    await begin(world, "J-done")
    await world.nod("sign", "J-done")
    vendor.plan("two", Misconfigured("bad_key"))
    await begin(world, "J-parked")
    vendor.plan("one", Rejected("no"))
    await begin(world, "J-undone")
    await begin(world, "J-waiting")


@pytest.fixture
async def world(world_of: NewWorld, vendor: Vendor) -> World:
    """The mixture."""
    there = world_of(doing("one"), doing("two"), nod("sign"), doing("three"))
    await mixture(there, vendor)
    there.posted.clear()
    return there


async def test_the_preview_writes_nothing(world: World, vendor: Vendor) -> None:
    """A plan says of each instance what would become of it, and nobody is asked, nothing sent, nothing written for that."""
    trail, asked = await world.store.audit(TENANT), len(vendor.asked)
    plan = await replayer(world).plan(TENANT, ALL)
    assert {one.key: (one.status, one.deed, one.creates) for one in plan.instances} == {
        "J-done": ("done", "redeliver", ()),
        "J-parked": ("parked", "resume", ("two bench.Do", "three bench.Do")),
        "J-undone": ("undone", "redeliver", ()),
        "J-waiting": ("waiting", "redeliver", ()),
    }
    assert (plan.matched, plan.resumed, plan.redelivered, plan.creates) == (4, 1, 3, 2)
    assert (await world.store.audit(TENANT), len(vendor.asked), world.posted) == (trail, asked, [])


async def test_the_effect_is_the_planned_one(world: World, vendor: Vendor) -> None:
    """What a replay creates is what its preview said, and nothing else; a second replay creates nothing (EX4, Q12)."""
    asked = len(vendor.asked)
    plan = await replayer(world).plan(TENANT, ALL)
    done = await replayer(world).carry_out(TENANT, ALL, by="olga")
    assert done == plan
    await world.deliver()
    await world.nod("sign", "J-parked")
    assert made(vendor, asked) == planned(plan)
    assert (await world.row("J-parked")).status == "done"
    again = await replayer(world).carry_out(TENANT, ALL, by="olga")
    await world.deliver()
    assert (again.creates, made(vendor, asked)) == (0, planned(plan))
    lines = [line.detail for line in await world.journal("J-parked") if line.kind == "resumed"]
    assert lines == ["by olga (replay)"]


async def test_a_day_of_finished_work_has_no_new_effect(world_of: NewWorld, vendor: Vendor) -> None:
    """Hundreds of finished instances that are delivered again leave vendors, journals and the audit trail as they were (O6, D13)."""
    world = world_of(doing("one"))
    for number in range(300):
        await begin(world, f"J-{number:03d}")
    world.posted.clear()
    books, trail = list(vendor.books), await world.store.audit_heads()
    seen: list[int] = []
    plan = await replayer(world).plan(TENANT, ALL, seen.append)
    assert (plan.matched, plan.skips, plan.creates, seen[-1]) == (300, 300, 0, 300)
    assert await replayer(world).carry_out(TENANT, ALL, by="olga") == plan
    assert await world.deliver() == 300
    assert vendor.books == books
    assert await world.store.audit_heads() == trail


async def test_a_replay_takes_what_is_selected(world: World) -> None:
    """By transaction, by case, by process and by time: what is not meant is left out."""
    now, nobody = world.clock.now(), dt.timedelta(hours=1)
    one = replayer(world)

    async def keys(**how: object) -> set[str]:
        return {found.key for found in (await one.plan(TENANT, msgspec.convert(how, Selection))).instances}

    assert await keys(correlation_id="q2c-J-done") == {"J-done"}
    assert await keys(case_id="jobs/J-parked/parked") == {"J-parked"}
    assert await keys(case_id="no such case") == await keys(process="others") == set()
    assert await keys(since=now + nobody) == await keys(until=now - nobody) == set()
    assert len(await keys(since=now - nobody, until=now + nobody)) == 4
