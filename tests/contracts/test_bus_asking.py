"""The promises of the bus about questions and answers: 9."""

import asyncio

import pytest

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.bus.contract import Bus
from runtime.bus.wire import Envelope, failure_envelope
from tests.contracts.buses import QUESTIONS, Gate, letter
from tests.contracts.stores import NOW

# 9 asking


async def echo(asked: Envelope) -> Envelope:
    return letter("Answered", causation_id=asked.id, correlation_id=asked.correlation_id)


async def test_a_question_gets_its_answer(bus: Bus) -> None:
    """9: Forty questions at a time each get their own answer."""
    await bus.answer(QUESTIONS.name, echo, prefetch=4)
    asked = [letter("Ask", correlation_id=f"q2c-{n}") for n in range(40)]
    answers = await asyncio.gather(*(bus.ask(QUESTIONS.name, one, within_s=30) for one in asked))
    assert [(answer.causation_id, answer.correlation_id) for answer in answers] == [(one.id, one.correlation_id) for one in asked]


FAILURES: tuple[Failure, ...] = (
    Rejected("discount_too_high", "30 % is too much", pointer="/lines/0/discount"),
    Misconfigured("no_key"),
    Throttled("slow_down", retry_after_s=2.5),
    Unavailable("erp_down"),
    OutcomeUnknown("who_knows"),
    Broken("unreadable", raw="<html>"),
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.word)
async def test_a_failure_that_the_answer_carries_is_raised(bus: Bus, failure: Failure) -> None:
    """9: Where the answer is a failure the asker gets it as if it had happened here."""

    async def refuse(asked: Envelope) -> Envelope:
        return failure_envelope(failure, asked, now=NOW)

    await bus.answer(QUESTIONS.name, refuse)
    with pytest.raises(type(failure)) as raised:
        await bus.ask(QUESTIONS.name, letter("Ask"), within_s=30)
    fields = ("code", "detail", "pointer", "retry_after_s", "raw")
    assert [getattr(raised.value, name) for name in fields] == [getattr(failure, name) for name in fields]


async def test_an_answerer_that_breaks_says_so(bus: Bus) -> None:
    """9: An answerer that raises is an answer, too: nobody waits out his budget for a bug, and the next question is answered."""

    async def answer(asked: Envelope) -> Envelope:
        if asked.type == "Trap":
            raise LookupError("a bug")
        return await echo(asked)

    await bus.answer(QUESTIONS.name, answer, prefetch=1)
    with pytest.raises(Broken, match="a bug"):
        await bus.ask(QUESTIONS.name, letter("Trap"), within_s=30)
    assert (await bus.ask(QUESTIONS.name, letter("Ask"), within_s=30)).type == "Answered"


async def test_a_question_has_a_budget(bus: Bus) -> None:
    """9: When the budget is over the asker gets `Unavailable`, whether nobody answers or somebody takes long; later ones are answered."""
    with pytest.raises(Unavailable) as nobody:
        await bus.ask(QUESTIONS.name, letter("Ask"), within_s=0.05)
    gate = Gate()

    async def slow(asked: Envelope) -> Envelope:
        if asked.type == "Slow":
            await gate(asked)
        return await echo(asked)

    await bus.answer(QUESTIONS.name, slow)
    with pytest.raises(Unavailable) as late:
        await bus.ask(QUESTIONS.name, letter("Slow"), within_s=0.05)
    assert (nobody.value.code, late.value.code) == ("no_answer", "no_answer")
    gate.open()
    assert (await bus.ask(QUESTIONS.name, letter("Ask"), within_s=30)).type == "Answered"


async def test_a_question_to_nobody_is_refused(bus: Bus) -> None:
    """9: Asking a queue that nobody declared raises `Unavailable` at once."""
    with pytest.raises(Unavailable) as refused:
        await bus.ask("ask.process.nobody", letter("Ask"), within_s=30)
    assert refused.value.code == "unroutable"


async def test_no_more_answers_are_in_work_than_wanted(bus: Bus) -> None:
    """9: At most ``prefetch`` questions are in work at one time."""
    gate = Gate()

    async def answer(asked: Envelope) -> Envelope:
        await gate(asked)
        return await echo(asked)

    await bus.answer(QUESTIONS.name, answer, prefetch=2)
    asking = [asyncio.create_task(bus.ask(QUESTIONS.name, letter("Ask"), within_s=30)) for _ in range(6)]
    await gate.holds(2)
    gate.open()
    assert len(await asyncio.gather(*asking)) == 6
    assert gate.most == 2
