"""Messages come twice, too early, too late, and several at once: what is done is done once, and nothing is lost in silence."""

import asyncio
import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken, Rejected, Unavailable
from runtime.process.declare import tell
from runtime.store.contract import Send
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import Memory, doing, finished, job_of, nod, table
from tests.runtime.process.vendor import Begin, Begin2, Death, Nodded, Noticed, Vendor
from tests.runtime.process.world import TENANT


async def test_the_start_message_again_starts_nothing(world_of: NewWorld, vendor: Vendor) -> None:
    """The same message delivered twice is one instance, asked once (Q8)."""
    world = world_of(doing("one"))
    letter = world.letter(Begin(job="J-1"))
    for _ in range(3):
        await world.worker.handle(letter)
    assert vendor.step_keys() == ["jobs/J-1/one"]
    assert await world.lines() == ["started", "ask one", "done"]


async def test_the_same_business_key_joins_the_transactions(world_of: NewWorld, vendor: Vendor) -> None:
    """A second start with a key that is there finds the first: one instance, which then belongs to both correlation ids."""
    world = world_of(doing("one"))
    await world.start()
    await world.worker.handle(world.letter(Begin(job="J-1", size=7), correlation_id="q2c-second"))
    assert vendor.step_keys() == ["jobs/J-1/one"]
    row = await world.row()
    assert (row.correlation_id, msgspec.json.decode(row.memory, type=Memory).size) == ("q2c-test", 0)
    for correlation_id in ("q2c-test", "q2c-second"):
        assert [(r.process, r.key) for r in await world.store.instances(TENANT, correlation_id=correlation_id)] == [("jobs", "J-1")]


async def test_a_start_message_that_comes_again_goes_on_with_what_was_left(world_of: NewWorld, vendor: Vendor) -> None:
    """A redelivered start message brings an instance back that nobody works on, from where its journal ends."""
    world = world_of(doing("one"), doing("two"))
    letter = world.letter(Begin(job="J-1"))
    world.worker.store.dies_after = 3
    with pytest.raises(Death):
        await world.worker.handle(letter)
    await world.new_worker().handle(letter)
    assert (await world.row()).status == "done"


async def test_an_instance_in_work_lets_a_second_message_come_again(world_of: NewWorld, vendor: Vendor) -> None:
    """While one task works on an instance, another message for it is handed back; when it comes again, it counts (M8)."""
    world = world_of(doing("one"), nod("sign"))
    reached, gate = asyncio.Event(), asyncio.Event()

    async def hold(context: object) -> None:
        reached.set()
        await gate.wait()

    vendor.meanwhile = hold
    working = asyncio.create_task(world.start())
    await reached.wait()
    other = world.letter(Begin(job="J-1"), correlation_id="q2c-second")
    with pytest.raises(Unavailable, match="in_work"):
        await world.worker.handle(other)
    gate.set()
    await working
    await world.worker.handle(other)
    assert len(await world.store.instances(TENANT, correlation_id="q2c-second")) == 1


async def test_an_event_that_comes_while_the_wait_is_told_is_not_lost(world_of: NewWorld) -> None:
    """An answer that is quicker than the end of the step that asked for it is handed back and learned a moment later."""
    world = world_of(tell("finished", finished), nod("sign"))
    answered: list[str] = []

    async def answer(sends: list[Send]) -> None:
        if not sends:
            return
        with pytest.raises(Unavailable, match="in_work"):
            await world.nod("sign")
        answered.append("once")

    world.worker.publish_now = answer  # type: ignore[method-assign]
    await world.start()
    assert answered == ["once"]
    await world.nod("sign")
    assert (await world.row()).status == "done"


async def test_an_event_delivered_twice_counts_once(world_of: NewWorld) -> None:
    """The same event again is recognised, also where the instance waits for the same key anew (Q8)."""
    world = world_of(nod("sign"), nod("second"), nod("third"))
    await world.start()
    letter = world.letter(Nodded(job="J-1", about="sign"))
    await world.worker.handle(letter)
    await world.worker.handle(letter)
    assert (await world.row()).waiting_for == "Nodded:J-1:second"


async def test_an_event_delivered_twice_does_not_serve_two_waits_of_one_key(world_of: NewWorld) -> None:
    """Where a table waits for the same key twice, it takes two events, not one that comes twice."""
    first = nod("sign")
    world = world_of(first, msgspec.structs.replace(first, name="again"))
    await world.start()
    letter = world.letter(Nodded(job="J-1", about="sign"))
    await world.worker.handle(letter)
    await world.worker.handle(letter)
    assert (await world.row()).status == "waiting"
    await world.nod("sign")
    assert (await world.row()).status == "done"


async def test_an_early_event_is_refused_until_somebody_waits(world_of: NewWorld, vendor: Vendor) -> None:
    """An event for which nobody waits yet is given back to the bus; when it comes again later, it is learned (Q9)."""
    vendor.plan("one", Unavailable("away"))
    world = world_of(doing("one"), nod("sign"))
    await world.start()
    letter = world.letter(Nodded(job="J-1", about="sign"))
    with pytest.raises(Broken, match="nobody_waits"):
        await world.worker.handle(letter)
    await world.later(2)
    await world.worker.handle(letter)
    assert (await world.row()).status == "done"


async def test_an_event_for_another_key_is_not_taken(world_of: NewWorld) -> None:
    """An event with another correlating key leaves the instance waiting."""
    world = world_of(nod("sign"))
    await world.start()
    for job, about in (("J-2", "sign"), ("J-1", "other")):
        with pytest.raises(Broken, match="nobody_waits"):
            await world.nod(about, job=job)
    assert (await world.row()).status == "waiting"


async def test_all_who_wait_for_an_event_learn_from_it(world_of: NewWorld) -> None:
    """Two instances that wait for one event both go on; of a crash between them the second learns when the event comes again."""
    waits = msgspec.structs.replace(nod("sign"), key=lambda _: "everybody", event_key=lambda _: "everybody")
    world = world_of(waits)
    for job in ("J-1", "J-2"):
        await world.start(job)
    letter = world.letter(Nodded(job="any"))
    world.worker.store.dies_after = world.worker.store.commits + 1
    with pytest.raises(Death):
        await world.worker.handle(letter)
    assert sorted([(await world.row(job)).status for job in ("J-1", "J-2")]) == ["done", "waiting"]
    await world.new_worker().handle(letter)
    assert [(await world.row(job)).status for job in ("J-1", "J-2")] == ["done", "done"]


async def test_an_event_reaches_each_process_by_its_own_queue(world_of: NewWorld) -> None:
    """Two processes that wait for the same event and key each learn from their own copy of it."""
    second = table(nod("sign"), name="others", starts_on=Begin2, begin=lambda m: Memory(job=m.job), key=job_of)
    world = world_of(processes=(table(nod("sign")), second))
    await world.start()
    await world.worker.handle(world.letter(Begin2(job="J-1")), "others")
    letter = world.letter(Nodded(job="J-1", about="sign"))
    await world.worker.handle(letter, "jobs")
    assert ((await world.row()).status, (await world.row(process="others")).status) == ("done", "waiting")
    await world.worker.handle(letter, "others")
    assert (await world.row(process="others")).status == "done"


async def test_an_event_can_start_an_instance(world_of: NewWorld, vendor: Vendor) -> None:
    """A table may start on an event, too; command and event with one key are one instance."""
    world = world_of(doing("one"), also_on=(Noticed,), begin=lambda m: Memory(job=m.job))
    await world.worker.handle(world.letter(Noticed(job="J-1")))
    await world.start()
    assert vendor.step_keys() == ["jobs/J-1/one"]
    assert (await world.row()).started_by == "Noticed"


async def test_a_call_to_go_on_before_the_time_does_nothing(world_of: NewWorld, vendor: Vendor) -> None:
    """A call for an instance whose time has not come, that waits, or that has ended, changes nothing, not even its fence."""
    vendor.plan("one", Unavailable("away"))
    world = world_of(doing("one"), nod("sign"), doing("two"))
    await world.start()
    for change in (lambda: world.later(2), lambda: world.nod("sign")):
        before = await world.row()
        await world.worker.engine.go_on(TENANT, "jobs", "J-1")
        assert await world.row() == before
        await change()
    before = await world.row()
    await world.worker.engine.go_on(TENANT, "jobs", "J-1")
    await world.worker.engine.go_on(TENANT, "jobs", "nobody")
    assert (before.status, await world.row()) == ("done", before)


async def test_what_was_left_lying_is_found(world_of: NewWorld, vendor: Vendor) -> None:
    """An instance that no message brings back is found by looking who was left untouched."""
    world = world_of(doing("one"), doing("two"))
    world.worker.store.dies_after = 2
    with pytest.raises(Death):
        await world.start()
    world.new_worker()
    assert await world.later(179) == 0
    assert await world.later(2) == 1
    assert (await world.row()).status == "done"


@pytest.mark.parametrize("trouble", [Unavailable("store_down"), Rejected("nul_in_text")], ids=lambda f: f.code)
async def test_what_the_store_does_not_take_counts_for_nothing(world_of: NewWorld, vendor: Vendor, trouble: Exception) -> None:
    """When a commit fails, the message is handed back, nothing of what was learned is kept by half, and the second try is complete."""
    world = world_of(doing("one"), tell("finished", finished), doing("two"))
    letter = world.letter(Begin(job="J-1"))
    world.worker.store.refuses.extend([None, trouble])
    with pytest.raises(type(trouble)):
        await world.worker.handle(letter)
    assert (await world.lines(), world.told()) == (["started"], [])
    await world.worker.handle(letter)
    assert await world.lines() == ["started", "ask one", "tell finished", "ask two", "done"]
    assert world.told() == ["JobDone"]


async def test_a_commit_in_doubt_is_handed_back(world_of: NewWorld, vendor: Vendor) -> None:
    """When nobody can say whether a commit was done, the message comes again, as one that the store's absence costs no attempt."""
    from canonical.failures import OutcomeUnknown  # noqa: PLC0415 - beside its only use

    world = world_of(doing("one"))
    letter = world.letter(Begin(job="J-1"))
    world.worker.store.refuses.extend([None, OutcomeUnknown("commit_in_doubt")])
    with pytest.raises(Unavailable, match="commit_in_doubt"):
        await world.worker.handle(letter)
    await world.worker.handle(letter)
    assert ((await world.row()).status, vendor.books) == ("done", ["jobs/J-1/one"])


async def test_the_id_of_a_told_message_follows_from_its_step(world_of: NewWorld) -> None:
    """What is told after a crash bears the id that it had before, so that its readers can tell."""
    world = world_of(tell("finished", finished), nod("sign"))
    await world.start()
    await world.start("J-2")
    ids = [send.letter.id for send in world.posted]
    left = [row.letter.id for row in await world.store.unsent(older_than=world.clock.now() + dt.timedelta(seconds=1))]
    assert len(set(ids)) == 2
    assert set(left) == set(ids)
