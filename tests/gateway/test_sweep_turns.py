"""Turns of the sweep over a real store: what is due is called once, and again only after a while or when it has moved on."""

import msgspec
import pytest

from canonical.failures import Broken, Unavailable
from gateway.sweeping import Sweeper
from runtime.clock import SetClock
from runtime.store.engine import SqlStore
from tests.runtime.conftest import clock, migrated, store
from tests.runtime.process.tables import doing, nod, table
from tests.runtime.process.vendor import Begin, Vendor, again
from tests.runtime.process.world import World

__all__ = ["clock", "migrated", "store"]


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
async def world(store: SqlStore, clock: SetClock, vendor: Vendor) -> World:
    """A job whose first step is to be tried again."""
    vendor.plan("one", *again(Unavailable("away"), 3))
    made = World(store, clock, vendor, table(doing("one"), nod("sign")))
    await made.start()
    return made


def sweeper(world: World) -> Sweeper:
    return Sweeper(world.worker.store, world.worker.engine, world.worker, world.clock)


async def test_what_is_due_is_called_once(world: World) -> None:
    """Before its time nothing is called; at its time it is, and not a second time while the call is on its way."""
    sweep = sweeper(world)
    assert await sweep.turn() == 0
    world.clock.move(1)
    assert await sweep.turn() == 1
    world.clock.move(1)
    assert await sweep.turn() == 0
    assert await world.deliver() == 1


async def test_what_does_not_come_is_called_again_after_a_while(world: World) -> None:
    """A call that was lost is made again after half a minute."""
    sweep = sweeper(world)
    world.clock.move(1)
    await sweep.turn()
    world.posted.clear()
    world.clock.move(30)
    assert await sweep.turn() == 1


async def test_what_has_moved_on_is_called_at_its_next_time(world: World) -> None:
    """An instance that was tried and put off again is called at its new time, without that wait."""
    sweep = sweeper(world)
    world.clock.move(1)
    await sweep.turn()
    await world.deliver()
    world.clock.move(2)
    assert await sweep.turn() == 1


async def test_a_call_that_could_not_be_kept_is_made_at_the_next_turn(world: World) -> None:
    """When the store is away the turn ends, and the next one makes the call."""
    sweep = sweeper(world)
    world.clock.move(1)
    world.worker.store.refuses.append(Unavailable("store_down"))
    assert (await sweep.turn(), world.posted) == (0, [])
    assert await sweep.turn() == 1


async def test_of_two_workers_one_sweeps(world: World) -> None:
    """The second worker looks only when the first has been gone for a while (P13)."""
    first, second = sweeper(world), sweeper(world)
    assert await first.turn() == 0
    world.clock.move(1)
    assert await second.turn() == 0
    assert await first.turn() == 1
    world.clock.move(40)
    assert await second.turn() == 1


async def test_what_waits_for_a_person_is_left_alone(world: World, vendor: Vendor) -> None:
    """A parked instance is not called, however long it lies."""
    vendor.plan("one", Broken("unreadable"))
    assert (await world.rest()).status == "parked"
    world.clock.move(86400)
    assert await sweeper(world).turn() == 0


async def test_a_clock_that_jumps_wakes_nobody_early_and_nobody_twice(world: World) -> None:
    """An hour back nothing is due; a day forward it is called once, as if the clock had never jumped (D10)."""
    sweep = sweeper(world)
    world.clock.move(-3600)
    assert await sweep.turn() == 0
    world.clock.move(3600 + 86400)
    assert await sweep.turn() == 1
    assert await sweep.turn() == 0


async def test_money_that_moves_goes_on_first(store: SqlStore, clock: SetClock, vendor: Vendor) -> None:
    """Of instances that come due together those of the lower rank are called first, whatever began before (W10)."""
    vendor.plan("one", *again(Unavailable("away"), 2))
    slow, quick = table(doing("one")), msgspec.structs.replace(table(doing("one")), name="cash", rank=1)
    made = World(store, clock, vendor, slow, quick)
    await made.start()
    await made.worker.handle(made.letter(Begin(job="J-1")), "cash")
    made.posted.clear()
    clock.move(10)
    assert await sweeper(made).turn() == 2
    assert [send.address.queue for send in made.posted] == ["process.cash", "process.jobs"]
