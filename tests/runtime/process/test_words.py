"""Each word of a table does what it says, and its journal line shows it."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken
from runtime.bus.contract import EVERYONE
from runtime.process.declare import decide, point_of_no_return, tell
from runtime.process.engine import Engine
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import (
    Memory,
    always,
    deciding,
    do,
    doing,
    doing_each,
    finished,
    hand_over,
    job_of,
    never,
    nod,
    shows,
    table,
    too_small,
)
from tests.runtime.process.vendor import Begin2, JobDone, TakeBack, Vendor
from tests.runtime.process.world import TENANT


async def test_ask_asks_under_the_step_key_and_learns_from_the_reply(world_of: NewWorld, vendor: Vendor) -> None:
    """`ask` asks the port under process/key/step, and what the reply says is in the memory."""
    world = world_of(doing("one"))
    await world.start()
    assert vendor.step_keys() == ["jobs/J-1/one"]
    assert msgspec.json.decode((await world.row()).memory, type=Memory).refs == {"one": "R-one"}


async def test_ask_keeps_in_the_journal_how_it_is_taken_back(world_of: NewWorld) -> None:
    """The line of an `ask` holds the command that would undo it, made from the values of that moment."""
    world = world_of(doing("one"))
    await world.start()
    line = next(line for line in await world.journal() if line.kind == "ask")
    assert (line.asked, line.answered, line.connection) == ("bench.Do", "Done", "workbench")
    assert (line.undo_type, msgspec.json.decode(line.undo, type=TakeBack)) == ("bench.TakeBack", TakeBack(ref="R-one"))


async def test_a_step_is_asked_only_when_the_one_before_it_is_in_the_journal(world_of: NewWorld, vendor: Vendor) -> None:
    """When the vendor is asked for a step, the journal line of the step before it is committed."""
    world, seen = world_of(doing("one"), doing("two")), {}

    async def look(context: object) -> None:
        seen[vendor.step_keys()[-1]] = await world.lines()

    vendor.meanwhile = look
    await world.start()
    assert seen == {"jobs/J-1/one": ["started"], "jobs/J-1/two": ["started", "ask one"]}


async def test_ask_each_asks_one_after_the_other_under_keys_of_their_own(world_of: NewWorld, vendor: Vendor) -> None:
    """`ask_each` asks every command with a numbered key and a journal line each."""
    world = world_of(doing_each("part"))
    await world.start(size=3)
    assert vendor.step_keys() == ["jobs/J-1/part.1", "jobs/J-1/part.2", "jobs/J-1/part.3"]
    assert await world.lines() == ["started", "ask part.1", "ask part.2", "ask part.3", "done"]


async def test_ask_each_of_nothing_is_done_at_once(world_of: NewWorld, vendor: Vendor) -> None:
    """`ask_each` without commands asks nothing and goes on."""
    world = world_of(doing_each("part"), doing("one"))
    await world.start(size=0)
    assert vendor.step_keys() == ["jobs/J-1/one"]


async def test_tell_sends_an_event_to_everyone_with_the_commit(world_of: NewWorld) -> None:
    """`tell` of an event goes to whoever subscribed, and is in the outbox with the journal line."""
    world = world_of(tell("finished", finished))
    await world.start()
    assert [(send.address, send.letter.type) for send in world.posted] == [(EVERYONE, "JobDone")]
    left = await world.store.unsent(older_than=world.clock.now() + dt.timedelta(seconds=1))
    assert [row.letter.id for row in left] == [world.posted[0].letter.id]


async def test_tell_sends_a_command_to_the_process_that_starts_on_it(world_of: NewWorld, vendor: Vendor) -> None:
    """`tell` of a command starts the other process, with the same correlation id, once however often it is delivered."""
    second = table(doing("two"), name="others", starts_on=Begin2, begin=lambda m: Memory(job=m.job), key=job_of)
    world = world_of(processes=(table(tell("hand_over", hand_over)), second))
    await world.start()
    copies = list(world.posted)
    await world.deliver()
    world.posted = copies
    await world.deliver()
    assert (await world.row(process="others")).correlation_id == "q2c-test"
    assert vendor.step_keys() == ["others/J-1/two"]


async def test_a_command_that_no_process_starts_on_parks_the_step(world_of: NewWorld) -> None:
    """`tell` of a command that nobody serves is not lost: the instance is parked."""
    world = world_of(tell("hand_over", hand_over))
    await world.start()
    row = await world.row()
    assert row.status == "parked"
    assert row.reason is not None
    assert row.reason.code == "no_route"


async def test_wait_goes_on_when_its_event_comes(world_of: NewWorld) -> None:
    """`wait` rests under the event's name and key, and learns from the event when it comes."""
    world = world_of(nod("sign"), doing("one"))
    await world.start()
    row = await world.row()
    assert (row.status, row.waiting_for, row.due_at) == ("waiting", "Nodded:J-1:sign", world.clock.now() + dt.timedelta(hours=1))
    await world.nod("sign")
    row = await world.row()
    assert (row.status, msgspec.json.decode(row.memory, type=Memory).nods) == ("done", ("sign",))


async def test_wait_shows_a_person_a_case_and_closes_it(world_of: NewWorld) -> None:
    """A person who has to act finds an open case with the money at stake; the event resolves it and says by whom."""
    world = world_of(nod("sign"))
    await world.start()
    case = await world.case("sign")
    assert case is not None
    assert (case.status, case.title, case.amount, case.currency, case.owner) == ("open", "Agree to J-1", "10.00", "EUR", "boss")
    await world.nod("sign", actor="eve")
    case = await world.case("sign")
    assert case is not None
    assert (case.status, case.resolution) == ("resolved", "Nodded by eve")


async def test_wait_goes_on_without_the_event_when_its_time_is_over(world_of: NewWorld) -> None:
    """After its time `wait` goes on with what `late` says, and the case is closed."""
    world = world_of(nod("sign", within=dt.timedelta(minutes=10)), doing("one"))
    await world.start()
    assert await world.later(599) == 0
    assert await world.later(1) == 1
    row = await world.row()
    assert (row.status, msgspec.json.decode(row.memory, type=Memory).late) == ("done", ("sign",))
    assert await world.lines() == ["started", "wait sign", "wait sign", "ask one", "done"]
    case = await world.case("sign")
    assert case is not None
    assert (case.status, case.resolution) == ("resolved", "time is over")


async def test_an_event_after_the_time_is_over_finds_nobody(world_of: NewWorld) -> None:
    """An event that comes too late is refused with a reason, so that it can be seen among the dead letters."""
    world = world_of(nod("sign"), nod("other"))
    await world.start()
    await world.later(3600)
    with pytest.raises(Broken, match="waits for Nodded:J-1:sign"):
        await world.nod("sign")
    assert (await world.row()).waiting_for == "Nodded:J-1:other"


async def test_decide_goes_on_or_ends_with_the_reason(world_of: NewWorld) -> None:
    """`decide` goes on where the test holds; else the instance ends for the reason given, as an event and a case."""
    world = world_of(deciding(), decide("no", never, otherwise=too_small), doing("one"))
    await world.start()
    assert await world.lines() == ["started", "decide big_enough", "failed no", "tell if_undone", "undone"]
    row = await world.row()
    assert row.status == "undone"
    assert row.reason is not None
    assert (row.reason.word, row.reason.code, row.reason.detail) == ("rejected", "no", "J-1 is too small")
    case = await world.case("rejected")
    assert case is not None
    assert case.title == "Job J-1: J-1 is too small"


async def test_when_skips_a_step_without_a_trace(world_of: NewWorld, vendor: Vendor) -> None:
    """A step whose `when` does not hold is passed over: nothing is asked, told, awaited or written."""
    world = world_of(doing("one", when=never), tell("told", finished, when=never), nod("sign", when=never), doing("two", when=always))
    await world.start()
    assert vendor.step_keys() == ["jobs/J-1/two"]
    assert await world.lines() == ["started", "ask two", "done"]


async def test_the_point_of_no_return_is_a_line(world_of: NewWorld) -> None:
    """Passing the point of no return is journalled."""
    world = world_of(point_of_no_return())
    await world.start()
    assert await world.lines() == ["started", "pivot point_of_no_return", "done"]


async def test_the_entity_of_an_instance_is_the_one_that_its_memory_names(world_of: NewWorld, vendor: Vendor) -> None:
    """Where a table says whose connections are asked, that counts; else the entity of the message."""
    seen = []

    async def look(context: object) -> None:
        seen.append(getattr(context, "entity", ""))

    vendor.meanwhile = look
    for number, fields in enumerate(({}, {"entity": lambda _: "DE01"})):
        await world_of(doing("one"), **fields).start(f"J-{number}")
    assert seen == ["US01", "DE01"]


async def test_a_related_transaction_has_the_instance_in_its_chain(world_of: NewWorld) -> None:
    """What an instance relates to makes it part of that transaction, too."""
    first = table(doing("one"))
    second = table(
        doing("two"),
        name="others",
        starts_on=Begin2,
        begin=lambda m: Memory(job=m.job),
        relates=lambda m: [("jobs", "J-1"), ("jobs", "J-9")],
    )
    world = world_of(processes=(first, second))
    await world.start()
    await world.worker.handle(world.letter(Begin2(job="K-1"), correlation_id="q2c-other"), "others")
    chain = await world.store.instances(TENANT, correlation_id="q2c-test")
    assert [(row.process, row.key) for row in chain] == [("jobs", "J-1"), ("others", "K-1")]


async def test_the_story_of_an_instance_reads_line_by_line(world_of: NewWorld) -> None:
    """The journal as text: each word, what it asked and learned, and how it stands."""
    world = world_of(doing("one"), deciding(), nod("sign"), point_of_no_return(), tell("finished", finished))
    await world.start()
    assert (await world.story()).splitlines() == [
        "jobs/J-1  started by Begin                                                              correlation q2c-test",
        "ask     one                    bench.Do -> Done                                           workbench        0 ms",
        "decide  big_enough             yes",
        "wait    sign                   for Nodded",
        "now     waiting for Nodded:J-1:sign",
    ]
    await world.nod("sign")
    assert (await world.story()).splitlines()[4:] == [
        "wait    sign                   -> Nodded by ann",
        "pivot   point_of_no_return     nothing is undone from here on",
        "tell    finished               JobDone",
        "now     done",
    ]


def test_a_table_with_two_steps_of_one_name_is_refused() -> None:
    """Two steps cannot share a name, for their keys would be the same."""
    with pytest.raises(TypeError, match="same name"):
        table(doing("one"), doing("one"))


def test_a_step_has_to_say_which_command_it_asks() -> None:
    """An `ask` whose function does not name its command is refused when the table is made."""
    from runtime.process.declare import ask  # noqa: PLC0415 - beside its only use

    def unnamed(m):  # type: ignore[no-untyped-def]
        return do("one")(m)

    with pytest.raises(TypeError, match="unnamed must say which command"):
        ask("one", unnamed)


def test_a_table_knows_its_questions_events_and_pivot() -> None:
    """A table lists what it can ask, undoing included, what it waits for, and where its point of no return lies."""
    process = table(doing("one"), nod("sign"), point_of_no_return(), doing_each("part"))
    assert [command.wire_name() for command in process.asks] == ["bench.Do", "bench.TakeBack"]
    assert [event.__name__ for event in process.waits_for] == ["Nodded"]
    assert (process.pivot, table(doing("one")).pivot) == (2, 1)


def test_new_instances_start_on_the_newest_version(world_of: NewWorld) -> None:
    """Of two versions of a table the higher one takes new instances, whatever their order in the roster."""
    old, new = table(doing("one")), table(doing("one"), version=2)
    engine: Engine = world_of(processes=(new, old)).worker.engine
    assert [process.version for process in engine.newest] == [2]


async def test_a_message_that_the_process_does_not_know_is_refused(world_of: NewWorld) -> None:
    """A command or event that is none of the table's business is refused, not swallowed."""
    world = world_of(doing("one"))
    for stray in (Begin2(job="J-1"), JobDone(job="J-1")):
        with pytest.raises(Broken, match="misaddressed"):
            await world.worker.handle(world.letter(stray))


def test_shows_is_asked_for_the_title() -> None:
    """The made-up table shows its job by name."""
    assert shows(Memory(job="J-7")).title == "Job J-7"
