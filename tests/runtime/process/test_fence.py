"""Two processes on one instance: the one that took it over goes on, the other one writes nothing."""

import asyncio

import pytest

from canonical.failures import Unavailable
from runtime.store.contract import Fenced
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import doing, nod
from tests.runtime.process.vendor import Begin, Nodded, Vendor
from tests.runtime.process.world import TENANT


class Gate:
    """Holds the first caller of a step until it is opened; lets later ones pass."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, context: object) -> None:
        if getattr(context, "key", "").endswith(f"/{self.step}") and not self.reached.is_set():
            self.reached.set()
            await self.open.wait()


async def test_the_slower_worker_writes_nothing(world_of: NewWorld, vendor: Vendor) -> None:
    """A worker that was taken over in the middle of a call stops quietly: its answer is not journalled, its message is done with (P11)."""
    gate = Gate("two")
    vendor.meanwhile = gate
    world = world_of(doing("one"), doing("two"), doing("three"))
    letter = world.letter(Begin(job="J-1"))
    slow = world.worker
    task = asyncio.create_task(slow.handle(letter))
    await gate.reached.wait()
    await world.new_worker().handle(letter)
    before = (await world.row(), await world.journal())
    gate.open.set()
    await task
    assert (await world.row(), await world.journal()) == before
    assert before[0].status == "done"
    assert await world.lines() == ["started", "ask one", "ask two", "ask three", "done"]
    assert vendor.books == ["jobs/J-1/one", "jobs/J-1/two", "jobs/J-1/three"]


async def test_the_store_refuses_what_the_slower_worker_would_save(world_of: NewWorld, vendor: Vendor) -> None:
    """It is the store that refuses it, not the worker's good will (P11)."""
    world = world_of(nod("sign"))
    await world.start()
    stale = await world.row()
    assert await world.store.claim(TENANT, "jobs", "J-1") is not None
    from runtime.store.contract import SaveInstance  # noqa: PLC0415 - beside its only use

    with pytest.raises(Fenced):
        await world.store.commit([SaveInstance(stale)])


async def test_two_workers_do_not_take_an_instance_from_one_another_for_ever(world_of: NewWorld, vendor: Vendor) -> None:
    """A worker that was taken over does not come back for the instance: the other one gets to the end in peace."""
    gate = Gate("one")
    vendor.meanwhile = gate
    world = world_of(doing("one"))
    letter = world.letter(Begin(job="J-1"))
    slow = world.worker
    task = asyncio.create_task(slow.handle(letter))
    await gate.reached.wait()
    await world.new_worker().handle(letter)
    gate.open.set()
    await task  # raises nothing, so that the bus counts it as handled
    assert vendor.step_keys() == ["jobs/J-1/one"] * 2


async def test_of_two_events_for_one_wait_the_second_finds_nobody(world_of: NewWorld, vendor: Vendor) -> None:
    """Two workers with an event each for the same wait: one is learned, the other comes again and then finds nobody waiting."""
    world = world_of(nod("sign"), doing("one"))
    await world.start()
    one, two = world.worker, world.new_worker()
    row = await world.row()
    rows = [(row,), (row,)]

    async def both_see_it(*_: object) -> tuple[object, ...]:
        return rows.pop()

    for worker in (one, two):
        worker.store.waiting_for = both_see_it  # type: ignore[attr-defined]
    await one.handle(world.letter(Nodded(job="J-1", about="sign")))
    with pytest.raises(Unavailable, match="taken_over"):
        await two.handle(world.letter(Nodded(job="J-1", about="sign")))
    assert (await world.lines()).count("wait sign") == 2  # it began to wait, and it learned once


async def test_whoever_claims_a_running_instance_for_nothing_hands_it_on(world_of: NewWorld, vendor: Vendor) -> None:
    """An event that comes too late takes the instance from its worker; it is handed on at once and does not lie about."""
    gate = Gate("one")
    vendor.meanwhile = gate
    world = world_of(nod("sign"), doing("one"))
    await world.start()
    waiting = await world.row()
    first = world.worker
    task = asyncio.create_task(first.handle(world.letter(Nodded(job="J-1", about="sign"))))
    await gate.reached.wait()
    second = world.new_worker()

    async def as_it_was(*_: object) -> tuple[object, ...]:
        return (waiting,)

    second.store.waiting_for = as_it_was  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="taken_over"):
        await second.handle(world.letter(Nodded(job="J-1", about="sign")))
    gate.open.set()
    with pytest.raises(Unavailable, match="taken_over"):
        await task
    assert await world.deliver() == 1
    assert ((await world.row()).status, vendor.books) == ("done", ["jobs/J-1/one"])
