"""The six words, before and after the point of no return: tried later, undone, or put before a person."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.process.declare import Retry, point_of_no_return
from tests.runtime.process.conftest import NewWorld
from tests.runtime.process.tables import CALM, doing, doing_each, nod
from tests.runtime.process.vendor import After, Vendor, again

LATER = [Throttled("slow_down", "too fast"), Unavailable("away", "not reachable"), OutcomeUnknown("no_answer", "who knows")]
PARKED = [Misconfigured("bad_key", "the key is wrong"), Broken("unreadable", "not JSON", raw="<html>")]
STEPS = (doing("one"), point_of_no_return(), doing("two"))
SIDES = pytest.mark.parametrize("step", ["one", "two"], ids=["before the pivot", "after the pivot"])


def word(failure: Failure) -> str:
    return failure.word


@SIDES
@pytest.mark.parametrize("failure", LATER, ids=word)
async def test_what_may_pass_is_tried_again_later(world_of: NewWorld, vendor: Vendor, failure: Failure, step: str) -> None:
    """Throttled, unavailable and unknown outcomes get a due time; then the same key is asked again and the instance goes on."""
    vendor.plan(step, failure)
    world = world_of(*STEPS)
    await world.start()
    row = await world.row()
    assert (row.status, row.attempts, row.due_at) == ("running", 1, world.clock.now() + dt.timedelta(seconds=1))
    assert row.reason is not None
    assert (row.reason.word, row.reason.code) == (failure.word, failure.code)
    assert await world.later(0.9) == 0
    assert await world.later(0.1) == 1
    assert (await world.row()).status == "done"
    assert vendor.step_keys().count(f"jobs/J-1/{step}") == 2
    assert f"failed {step}" in await world.lines()


@SIDES
@pytest.mark.parametrize("failure", PARKED, ids=word)
async def test_what_needs_a_person_is_parked_with_a_case(world_of: NewWorld, vendor: Vendor, failure: Failure, step: str) -> None:
    """Misconfigured and broken park the instance, with a case that names the step, the reason, the raw answer and the money."""
    vendor.plan(step, failure)
    world = world_of(*STEPS)
    await world.start()
    row = await world.row()
    assert (row.status, row.due_at) == ("parked", None)
    case = await world.case("parked")
    assert case is not None
    assert (case.kind, case.status, case.amount, case.currency) == ("parked", "open", "10.00", "EUR")
    assert case.title == f"Job J-1: {step} stopped, {failure.detail}"
    document = msgspec.json.decode(case.document)
    assert (document["step"], document["undoing"], document["failure"]["raw"]) == (step, False, failure.raw)
    assert await world.later(3600) == 0


@SIDES
async def test_a_parked_instance_goes_on_from_its_step_when_it_is_resumed(world_of: NewWorld, vendor: Vendor, step: str) -> None:
    """Resuming tries the step at which the instance stopped, closes the case, and asks nothing that is in the journal."""
    vendor.plan(step, Misconfigured("bad_key"))
    world = world_of(*STEPS)
    await world.start()
    assert await world.worker.engine.resume("acme", "jobs", "J-1", by="eve")
    await world.deliver()
    assert (await world.row()).status == "done"
    assert sorted(vendor.step_keys()) == sorted(["jobs/J-1/one", "jobs/J-1/two", f"jobs/J-1/{step}"])
    case = await world.case("parked")
    assert case is not None
    assert (case.status, case.resolution) == ("resolved", "resumed by eve")


async def test_a_refusal_before_the_pivot_undoes(world_of: NewWorld, vendor: Vendor) -> None:
    """Rejected before the point of no return: what was done is taken back, and the end is told with the vendor's reason."""
    vendor.plan("two", Rejected("no", "not sold in EUR"))
    world = world_of(doing("one"), doing("two"), point_of_no_return())
    await world.start()
    assert await world.lines() == ["started", "ask one", "failed two", "undo one", "tell if_undone", "undone"]
    assert world.told() == ["JobGivenUp"]
    assert vendor.left() == []


async def test_a_refusal_after_the_pivot_parks(world_of: NewWorld, vendor: Vendor) -> None:
    """Rejected after the point of no return: nothing is undone, a person is called."""
    vendor.plan("two", Rejected("no", "closed period"))
    world = world_of(*STEPS)
    await world.start()
    assert (await world.row()).status == "parked"
    assert await world.lines() == ["started", "ask one", "pivot point_of_no_return", "parked two"]
    assert vendor.left() == ["jobs/J-1/one"]


async def test_waits_double_up_to_their_maximum(world_of: NewWorld, vendor: Vendor) -> None:
    """Each wait is twice the one before, up to the longest that the step allows (V2)."""
    vendor.plan("one", *again(Unavailable("away"), 6))
    world = world_of(doing("one", retry=Retry(attempts_max=10, wait_s=2.0, wait_s_max=10.0, within=dt.timedelta(hours=1))))
    await world.start()
    waits = []
    for _ in range(5):
        row = await world.row()
        assert row.due_at is not None
        waits.append((row.due_at - world.clock.now()).total_seconds())
        await world.later(waits[-1])
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5)])
async def test_waits_are_scattered(world_of: NewWorld, vendor: Vendor, jitter: float, wait_s: float) -> None:
    """A wait is between half and one and a half of its nominal length, so that many instances do not come back at once (V2)."""
    vendor.plan("one", Unavailable("away"))
    world = world_of(doing("one"))
    world.worker.engine.jitter = lambda: jitter
    await world.start()
    assert (await world.row()).due_at == world.clock.now() + dt.timedelta(seconds=wait_s)


async def test_retry_after_wins(world_of: NewWorld, vendor: Vendor) -> None:
    """Where the vendor says when, the step is not tried before (V1)."""
    vendor.plan("one", Throttled("slow_down", retry_after_s=17.0))
    world = world_of(doing("one"))
    await world.start()
    assert (await world.row()).due_at == world.clock.now() + dt.timedelta(seconds=17)


@pytest.mark.parametrize("retry_after_s", [1e300, float("inf")])
async def test_an_absurd_retry_after_is_cut_to_the_patience_of_the_step(world_of: NewWorld, vendor: Vendor, retry_after_s: float) -> None:
    """A vendor cannot put an instance off for longer than its step is tried at all (V1)."""
    vendor.plan("one", Throttled("slow_down", retry_after_s=retry_after_s))
    world = world_of(doing("one"))
    await world.start()
    assert (await world.row()).due_at == world.clock.now() + CALM.within


async def test_after_the_last_attempt_a_person_is_called(world_of: NewWorld, vendor: Vendor) -> None:
    """When the attempts of a step are used up, the instance is parked with the last failure (EX1)."""
    vendor.plan("one", *again(Unavailable("away", "not reachable"), 9))
    world = world_of(doing("one"))
    await world.start()
    row = await world.rest()
    assert (row.status, len(vendor.asked)) == ("parked", CALM.attempts_max)
    assert (await world.lines())[-1] == "parked one"


async def test_after_the_time_of_a_step_a_person_is_called(world_of: NewWorld, vendor: Vendor) -> None:
    """When a step has failed for longer than it may be tried, the instance is parked, however few the attempts."""
    vendor.plan("one", *again(Throttled("slow_down", retry_after_s=3600.0), 9))
    world = world_of(doing("one"))
    await world.start()
    row = await world.rest()
    assert (row.status, len(vendor.asked)) == ("parked", 3)


async def test_each_step_has_a_patience_of_its_own(world_of: NewWorld, vendor: Vendor) -> None:
    """A step that is done leaves no attempts behind for the next one."""
    for step in ("one", "two"):
        vendor.plan(step, *again(Unavailable("away"), CALM.attempts_max - 1))
    world = world_of(doing("one"), doing("two"))
    await world.start()
    assert (await world.rest()).status == "done"
    assert len(vendor.asked) == 2 * CALM.attempts_max


async def test_a_resumed_step_gets_a_fresh_patience(world_of: NewWorld, vendor: Vendor) -> None:
    """After a person has resumed it, an instance is tried as often as in the beginning."""
    vendor.plan("one", *again(Unavailable("away"), 2 * CALM.attempts_max - 1))
    world = world_of(doing("one"))
    await world.start()
    assert (await world.rest()).status == "parked"
    await world.worker.engine.resume("acme", "jobs", "J-1", by="eve")
    assert (await world.rest()).status == "done"


async def test_an_unknown_outcome_is_asked_again_under_the_same_key(world_of: NewWorld, vendor: Vendor) -> None:
    """A time-out after the thing was done leads to the same key, and so to one thing (V6)."""
    vendor.plan("one", After(OutcomeUnknown("no_answer")))
    world = world_of(doing("one"))
    await world.start()
    assert (await world.rest()).status == "done"
    assert vendor.step_keys() == ["jobs/J-1/one"] * 2
    assert vendor.books == ["jobs/J-1/one"]


async def test_ask_each_goes_on_in_the_middle(world_of: NewWorld, vendor: Vendor) -> None:
    """After a failure at the second of three only the second and the third are asked."""
    vendor.plan("part.2", Unavailable("away"))
    world = world_of(doing_each("part"))
    await world.start(size=3)
    assert (await world.rest()).status == "done"
    assert [key.removeprefix("jobs/J-1/") for key in vendor.step_keys()] == ["part.1", "part.2", "part.2", "part.3"]


async def test_ask_each_counts_attempts_for_each(world_of: NewWorld, vendor: Vendor) -> None:
    """Each command of an `ask_each` may fail as often as the step allows."""
    for part in ("part.1", "part.2"):
        vendor.plan(part, *again(Unavailable("away"), CALM.attempts_max - 1))
    world = world_of(doing_each("part"))
    await world.start(size=2)
    assert (await world.rest()).status == "done"


@pytest.mark.parametrize("broken", ["when", "command", "learn", "undo", "shows"])
async def test_a_function_of_a_table_that_fails_parks_the_step(world_of: NewWorld, vendor: Vendor, broken: str) -> None:
    """Whatever a table's own function throws, the instance is parked with the reason, and the rest of the journal stands."""

    def fail(*_: object) -> bool:
        raise AttributeError("no such field")

    step = doing("two")
    fields = {"shows": fail} if broken == "shows" else {}
    change = {"command": "commands"}.get(broken, broken)
    steps = (doing("one"), step if broken == "shows" else msgspec.structs.replace(step, **{change: fail}), doing("three"))
    if broken == "shows":
        vendor.plan("two", Broken("unreadable"))
    world = world_of(*steps, **fields)
    await world.start()
    row = await world.row()
    assert row.status == "parked"
    assert row.reason is not None
    assert row.reason.code == ("unreadable" if broken == "shows" else "step_broken")
    assert await world.lines() == ["started", "ask one", "parked two"]
    case = await world.case("parked")
    assert case is not None
    assert case.status == "open"


async def test_a_late_function_that_fails_parks_the_wait(world_of: NewWorld) -> None:
    """A `late` that throws does not come back again and again: it is parked."""

    def fail(_: object) -> None:
        raise ZeroDivisionError

    world = world_of(msgspec.structs.replace(nod("sign"), late=fail))
    await world.start()
    await world.later(3600)
    row = await world.row()
    assert (row.status, row.reason.code if row.reason else "") == ("parked", "step_broken")
    assert await world.later(86400) == 0


async def test_an_event_that_cannot_be_learned_leaves_the_wait_as_it_was(world_of: NewWorld) -> None:
    """An event on which `learn` stumbles is given back to the bus with the error; the instance still waits, its case still open."""

    def fail(*_: object) -> None:
        raise KeyError("by")

    world = world_of(msgspec.structs.replace(nod("sign"), learn=fail))
    await world.start()
    with pytest.raises(KeyError):
        await world.nod("sign")
    case = await world.case("sign")
    assert case is not None
    assert ((await world.row()).status, case.status) == ("waiting", "open")


async def test_words_that_no_store_can_hold_are_kept_as_well_as_can_be(world_of: NewWorld, vendor: Vendor) -> None:
    """A vendor's NUL or half character in a message does not stop the instance from being parked with it."""
    vendor.plan("one", Broken("unreadable", "a\x00b\ud800c"))
    world = world_of(doing("one"))
    await world.start()
    line = (await world.journal())[-1]
    assert (line.kind, line.detail) == ("parked", "broken: a\ufffdb?c")


@pytest.mark.parametrize("code", ["circuit_open", "budget_spent"])
async def test_what_was_not_sent_is_no_attempt(world_of: NewWorld, vendor: Vendor, code: str) -> None:
    """A connection that rests, or whose budget is spent, uses up the time of a step and none of its attempts (V20, EX1)."""
    vendor.plan("one", *again(Unavailable(code, retry_after_s=60), 20))
    world = world_of(doing("one"))
    await world.start()
    assert ((await world.row()).attempts, (await world.row()).first_failed_at) == (0, world.clock.now())
    for _ in range(20):
        await world.later(61)
    assert (await world.row()).status == "done"


async def test_waiting_for_a_circuit_has_an_end(world_of: NewWorld, vendor: Vendor) -> None:
    """A connection that rests for longer than a step may be tried at all is put before a person (ID6)."""
    vendor.plan("one", *again(Unavailable("circuit_open", retry_after_s=3600), 10))
    world = world_of(doing("one"))
    await world.start()
    assert (await world.rest()).status == "parked"
