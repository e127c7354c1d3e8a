"""The process is killed at every point at which it can be: a second one goes on from the journal, and everything is done once."""

from collections.abc import Callable

import pytest

from canonical.failures import Rejected
from runtime.process.declare import point_of_no_return, tell
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import deciding, doing, doing_each, finished, nod
from tests.runtime.process.vendor import After, Begin, Death, Nodded, Vendor
from tests.runtime.process.world import World

GOOD = (
    doing("one"),
    deciding(),
    doing("two"),
    doing_each("part"),
    nod("sign"),
    point_of_no_return(),
    doing("three", undo=False),
    tell("finished", finished),
)
ASKED = ["one", "two", "part.1", "part.2", "three"]
COMMITS = 8  # of the good way; checked below, so that a commit more or less is noticed
COMMITS_UNDOING = 10


async def play(world: World) -> None:
    """Every message that there is, to the end; what dies is started again by the same message, as a broker would."""
    start, agree = world.letter(Begin(job="J-1", size=2)), world.letter(Nodded(job="J-1", about="sign"))
    await to_the_end(world, lambda: world.worker.handle(start))
    if (await world.row()).status == "waiting":
        await to_the_end(world, lambda: world.worker.handle(agree))
    await world.rest()


async def to_the_end(world: World, deliver: Callable[[], object]) -> None:
    for _ in range(2):
        try:
            await deliver()  # type: ignore[misc]
        except Death:
            world.new_worker()
        else:
            return


def once(vendor: Vendor) -> None:
    """Everything was made once, and each key was asked again only where the first answer had not been journalled."""
    assert len(set(vendor.books)) == len(vendor.books)


async def test_the_number_of_commits_is_known(world_of: NewWorld, vendor: Vendor) -> None:
    """The good way and the way back take as many commits as the crash tests count on."""
    world = world_of(*GOOD)
    await play(world)
    assert world.worker.store.commits == COMMITS
    assert vendor.books == [f"jobs/J-1/{step}" for step in ASKED]
    assert (await world.row()).status == "done"


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("commit", range(1, COMMITS + 1))
async def test_death_at_a_commit(world_of: NewWorld, vendor: Vendor, commit: int, side: str) -> None:
    """Killed right before or right after any commit: the end is the same, each step is made once, no journalled one is asked again (P7)."""
    world = world_of(*GOOD)
    setattr(world.worker.store, f"dies_{side}", commit)
    first = world.worker
    await play(world)
    assert first is not world.worker, "nobody died"
    assert (await world.row()).status == "done"
    assert vendor.books == [f"jobs/J-1/{step}" for step in ASKED]
    assert len(vendor.asked) - len(ASKED) <= (1 if side == "before" else 0)
    assert [line for line in await world.lines() if line.startswith("ask")] == [f"ask {step}" for step in ASKED]
    assert "JobDone" in [row.letter.type for row in await world.store.unsent(older_than=world.clock.now().replace(year=2030))]


@pytest.mark.parametrize("moment", ["before the call", "after the call"])
@pytest.mark.parametrize("step", ASKED)
async def test_death_at_a_call(world_of: NewWorld, vendor: Vendor, step: str, moment: str) -> None:
    """Killed before the vendor is reached, or after it has done its part: the same key is asked again, and only that one (P5, P6)."""
    vendor.plan(step, Death() if moment == "before the call" else After(Death()))
    world = world_of(*GOOD)
    await play(world)
    assert (await world.row()).status == "done"
    assert vendor.books == [f"jobs/J-1/{step}" for step in ASKED]
    assert sorted(vendor.step_keys()) == sorted(f"jobs/J-1/{name}" for name in [*ASKED, step])


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("commit", range(1, COMMITS_UNDOING + 1))
async def test_death_on_the_way_back(world_of: NewWorld, vendor: Vendor, commit: int, side: str) -> None:
    """Killed at any commit while an instance is undone: what was done is taken back, once, and nothing else (P8)."""
    steps = [doing(name) for name in ("one", "two", "three", "four", "five")]
    vendor.plan("five", *[Rejected("no", "not sold in EUR")] * 3)
    world = world_of(*steps)
    first = world.worker
    setattr(first.store, f"dies_{side}", commit)
    await play(world)
    assert first is not world.worker, "nobody died"
    row = await world.row()
    assert (row.status, row.reason.detail if row.reason else "") == ("undone", "not sold in EUR")
    names = ["one", "two", "three", "four"]
    assert vendor.books == [*(f"jobs/J-1/{name}" for name in names), *(f"jobs/J-1/{name}/undo" for name in reversed(names))]
    assert (await world.lines()).count("undone") == 1


@pytest.mark.parametrize("moment", ["before the call", "after the call"])
async def test_death_at_an_undo(world_of: NewWorld, vendor: Vendor, moment: str) -> None:
    """Killed while the vendor takes a step back: it is asked again under the same key (P8)."""
    vendor.plan("three", *[Rejected("no")] * 2)
    vendor.plan("one/undo", Death() if moment == "before the call" else After(Death()))
    world = world_of(doing("one"), doing("two"), doing("three"))
    await play(world)
    assert (await world.row()).status == "undone"
    assert vendor.step_keys()[3:] == ["jobs/J-1/two/undo", "jobs/J-1/one/undo", "jobs/J-1/one/undo"]
    assert vendor.left() == []


async def test_two_deaths_in_a_row(world_of: NewWorld, vendor: Vendor) -> None:
    """A worker that dies where the one before it died is followed by a third."""
    vendor.plan("two", After(Death()), After(Death()))
    world = world_of(doing("one"), doing("two"))
    letter = world.letter(Begin(job="J-1"))
    for _ in range(2):
        with pytest.raises(Death):
            await world.worker.handle(letter)
        world.new_worker()
    await world.worker.handle(letter)
    assert ((await world.row()).status, vendor.books) == ("done", ["jobs/J-1/one", "jobs/J-1/two"])
