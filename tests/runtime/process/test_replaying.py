"""Replay: the plan equals the effect, what is finished stays as it is, and what had stopped goes on."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Misconfigured, Rejected
from runtime.bus.contract import Address
from runtime.bus.wire import Envelope
from runtime.process.replaying import Plan, Replayer, Selection
from runtime.store.contract import Effect, PutEffect, SaveInstance, Send
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import deciding, doing, doing_each, nod
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


async def begin(world: World, job: str, size: int = 0) -> None:
    """Start a job by a message that lies in the outbox, as real ones do."""
    letter = world.letter(Begin(job=job, size=size), correlation_id=f"q2c-{job}")
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
        "J-parked": ("parked", "resume", ("two bench.Do",)),  # what follows stands behind a wait
        "J-undone": ("undone", "redeliver", ()),
        "J-waiting": ("waiting", "leave", ()),
    }
    assert (plan.matched, plan.resumed, plan.redelivered, plan.left, plan.creates) == (4, 1, 2, 1, 1)
    assert (await world.store.audit(TENANT), len(vendor.asked), world.posted) == (trail, asked, [])


async def test_the_effect_is_the_planned_one(world: World, vendor: Vendor) -> None:
    """What a replay creates is what its preview said, and nothing else; a second replay creates nothing (EX4, Q12)."""
    asked = len(vendor.asked)
    plan = await replayer(world).plan(TENANT, ALL)
    done = await replayer(world).carry_out(TENANT, ALL, by="olga")
    assert done == plan
    await world.deliver()
    assert made(vendor, asked) == planned(plan)
    assert (await world.row("J-parked")).status == "waiting"
    again = await replayer(world).carry_out(TENANT, ALL, by="olga")
    await world.deliver()
    assert (again.creates, made(vendor, asked)) == (0, planned(plan))
    lines = [line.detail for line in await world.journal("J-parked") if line.kind == "resumed"]
    assert lines == ["by olga (replay)"]


async def effect_of_replay(world: World, vendor: Vendor) -> tuple[Plan, list[str]]:
    """The preview, and what the vendor was asked when it was carried out."""
    plan, asked = await replayer(world).plan(TENANT, ALL), len(vendor.asked)
    assert await replayer(world).carry_out(TENANT, ALL, by="olga") == plan
    await world.deliver()
    return plan, made(vendor, asked)


async def test_of_many_of_a_kind_those_are_planned_that_are_left(world_of: NewWorld, vendor: Vendor) -> None:
    """A step with many parts that stopped at the second creates the rest, each by its own name (EX4)."""
    vendor.plan("many.2", Misconfigured("bad_key"))
    world = world_of(doing_each("many"), doing("last"))
    await begin(world, "J-1", size=3)
    plan, asked = await effect_of_replay(world, vendor)
    assert asked == planned(plan) == ["jobs/J-1/many.2", "jobs/J-1/many.3", "jobs/J-1/last"]


async def test_what_a_decision_ends_is_planned_as_its_undoing(world_of: NewWorld, vendor: Vendor) -> None:
    """A correction that a decision does not let pass leads back, and the plan says so (EX4)."""
    choosy = deciding(test=lambda m: m.size > 0)
    vendor.plan("two", Misconfigured("bad_key"))
    world = world_of(doing("one"), choosy, doing("two"))
    await begin(world, "J-1", size=1)
    row = await world.store.claim(TENANT, "jobs", "J-1")
    assert row is not None
    earlier = msgspec.structs.replace(row, position=1, memory=row.memory.replace(b'"size":1', b'"size":0'))
    await world.store.commit([SaveInstance(earlier)])
    plan, asked = await effect_of_replay(world, vendor)
    assert asked == planned(plan) == ["jobs/J-1/one/undo"]


async def test_what_the_ledger_knows_is_not_planned(world_of: NewWorld, vendor: Vendor) -> None:
    """A step whose reply is in the ledger creates nothing when it is tried again (EX4)."""
    vendor.plan("one", Misconfigured("bad_key"))
    world = world_of(doing("one"))
    await begin(world, "J-1")
    now = world.clock.now()
    done = Effect(
        tenant=TENANT, key="jobs/J-1/one", connection="erp", command="x", state="confirmed", correlation_id="", attempts=1, updated_at=now
    )
    await world.store.commit([PutEffect(done)])
    plan = await replayer(world).plan(TENANT, ALL)
    assert (plan.creates, plan.instances[0].skips) == (0, ("one bench.Do",))


async def test_one_that_cannot_be_replayed_does_not_stop_the_others(world_of: NewWorld, vendor: Vendor) -> None:
    """A memory that cannot be read, and a first message that is not kept, are left alone with the reason (EX4)."""
    vendor.plan("one", Misconfigured("bad_key"))
    world = world_of(doing("one"))
    await begin(world, "J-1")
    await world.start("J-2")  # by a message that the outbox does not have
    row = await world.store.claim(TENANT, "jobs", "J-1")
    assert row is not None
    await world.store.commit([SaveInstance(msgspec.structs.replace(row, memory=b"{"))])
    plan, asked = await effect_of_replay(world, vendor)
    assert {one.key: (one.deed, one.why.partition(":")[0]) for one in plan.instances} == {
        "J-1": ("leave", "its memory cannot be read"),
        "J-2": ("leave", "its first message is not kept any more"),
    }
    assert asked == []


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
