"""A synchronous question asks several ports at once and is answered in time, with a word about what could not be checked."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from canonical.failures import Failure, Rejected, Unavailable
from canonical.messages import Command, Event
from runtime.context import Context, current
from runtime.process.asking import Answer
from runtime.process.inquiry import Inquiry, check, consider, inquire
from tests.runtime.process.vendor import Do, Done


class Answered(Event, frozen=True, kw_only=True):
    """What each check has said."""

    said: tuple[str, ...]


class Wonder(Command[Answered], frozen=True, kw_only=True):
    """A question."""

    port = "bench"
    about: str
    small: bool = False


def first(q: Wonder) -> Do:
    return Do(what="first")


def second(q: Wonder) -> Do:
    return Do(what="second")


def judged(q: Wonder, reply: Done) -> str:
    return f"{reply.what}: {reply.ref}"


def thought(q: Wonder) -> str:
    return f"thought about {q.about}"


def missed(q: Wonder, name: str, failure: Failure) -> str:
    return f"{name} missed: {failure.code}"


def conclude(q: Wonder, verdicts: Sequence[str]) -> Event:
    return Answered(said=tuple(verdicts))


TABLE = Inquiry(
    name="wondering",
    answers=Wonder,
    entity=lambda q: "DE01",
    within_s=5,
    checks=(
        check("first", first, judge=judged),
        consider("thought", thought),
        check("second", second, judge=judged, when=lambda q: not q.small),
    ),
    missed=missed,
    conclude=conclude,
)


class Oracle:
    """Answers at once, except where it is told otherwise."""

    def __init__(self, **ways: object) -> None:
        self.ways = ways
        self.contexts: list[Context] = []
        self.cancelled: list[str] = []

    async def ask(self, command: Command[Event], context: Context, *, within_s: float | None = None) -> Answer:
        assert isinstance(command, Do)
        self.contexts.append(context)
        assert current().key == context.key
        way = self.ways.get(command.what)
        if isinstance(way, Exception):
            raise way
        if way == "silence":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(command.what)
                raise
        return Answer(Done(what=command.what, ref="yes"), "workbench")


async def said(oracle: Oracle, table: Inquiry = TABLE, **fields: bool) -> tuple[str, ...]:
    reply = await inquire(table, Wonder(about="it", **fields), Context(tenant="acme", entity="US01", correlation_id="q2c-1"), oracle)
    assert isinstance(reply, Answered)
    return reply.said


async def test_all_checks_are_heard_in_table_order() -> None:
    """The verdicts come in the order of the table, however the answers come."""
    assert await said(Oracle()) == ("first: yes", "thought about it", "second: yes")


async def test_a_check_that_does_not_apply_is_left_out() -> None:
    """`when` takes a check out of the question."""
    assert await said(Oracle(), small=True) == ("first: yes", "thought about it")


async def test_each_check_has_a_key_and_the_entity_of_the_question() -> None:
    """A check is asked of the connections of the question's entity, under a key of its own."""
    oracle = Oracle()
    await said(oracle)
    assert [(c.entity, c.key, c.tenant) for c in oracle.contexts] == [
        ("DE01", "wondering/q2c-1/first", "acme"),
        ("DE01", "wondering/q2c-1/second", "acme"),
    ]


@pytest.mark.parametrize("failure", [Unavailable("away"), Rejected("unknown_customer")], ids=lambda f: f.word)
async def test_a_check_that_fails_is_missed(failure: Failure) -> None:
    """A failure of one port costs its own check only."""
    assert await said(Oracle(first=failure)) == (f"first missed: {failure.code}", "thought about it", "second: yes")


async def test_a_check_that_never_answers_is_cancelled_and_said() -> None:
    """When the time is over the answer is given without the check that did not answer; its call is cancelled, and the finding says so."""
    oracle = Oracle(second="silence")
    table = msgspec.structs.replace(TABLE, within_s=0.05)
    assert await said(oracle, table) == ("first: yes", "thought about it", "second missed: too_slow")
    await asyncio.sleep(0)
    assert oracle.cancelled == ["second"]


@pytest.mark.parametrize("bug", [ValueError("x"), AttributeError("y"), KeyError("z"), ZeroDivisionError()], ids=repr)
@pytest.mark.parametrize("place", ["judge of an answer", "judge by itself"])
async def test_a_judge_that_fails_is_missed(bug: Exception, place: str) -> None:
    """A check that stumbles over an answer, or over the question itself, is said to be broken; the others are heard."""

    def stumble(*_: object) -> str:
        raise bug

    position = 0 if place == "judge of an answer" else 1
    checks = tuple(msgspec.structs.replace(c, judge=stumble) if i == position else c for i, c in enumerate(TABLE.checks))
    heard = await said(Oracle(), msgspec.structs.replace(TABLE, checks=checks))
    assert heard[position] == f"{TABLE.checks[position].name} missed: check_failed"
    assert len(heard) == 3
