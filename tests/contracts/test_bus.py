"""The promises of the bus, on each implementation. The numbers are those of `runtime.bus.contract`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.bus.contract import EVERYONE, Address, Bus, DeadLetter, Queue
from runtime.bus.wire import Envelope, failure_envelope
from tests.contracts.buses import BENCHES, Basket, Bench, Gate, letter, until
from tests.contracts.stores import NOW

ORDERS = Queue(name="process.order_booking", events=("QuoteAccepted", "PaymentSettled"))
CASH = Queue(name="process.cash_application", events=("PaymentSettled",))
QUESTIONS = Queue(name="ask.process.quote_validation", asks=True)
QUEUES = (ORDERS, CASH, QUESTIONS)
TO_ORDERS = Address(ORDERS.name)

BusMaker = Callable[..., Awaitable[Bus]]


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.rabbitmq] if name == "rabbitmq" else []) for name in BENCHES])
async def bench(request: pytest.FixtureRequest, migrated_file: Path) -> AsyncIterator[Bench]:
    """Where the buses of a test come from."""
    async with BENCHES[request.param](request) as one:
        yield one


@pytest.fixture
async def bus_maker(bench: Bench) -> AsyncIterator[BusMaker]:
    """Makes buses that have started, and stops them in the end."""
    made: list[Bus] = []

    async def make(*, attempts_max: int = 3) -> Bus:
        bus = await bench.bus(attempts_max=attempts_max)
        await bus.start(QUEUES)
        made.append(bus)
        return bus

    yield make
    for bus in made:
        await bus.stop()


@pytest.fixture
async def bus(bus_maker: BusMaker) -> Bus:
    """A bus that has started. A message is dead after three attempts."""
    return await bus_maker()


async def dead(bus: Bus, number: int, queue: str = ORDERS.name) -> tuple[DeadLetter, ...]:
    """The dead letters of a queue, once there are so many."""

    async def there() -> bool:
        return len(await bus.dead_letters(queue)) >= number

    await until(there)
    return await bus.dead_letters(queue)


# 1 to 4 publishing


async def test_a_message_arrives_as_it_was_sent(bus: Bus) -> None:
    """1: A published message reaches the consumer of its queue with everything that is in its envelope."""
    sent, basket = (
        letter("process.BookOrder", entity="DE", actor="anna", key="ORD-1/step", traceparent="00-ab", causation_id="ö☃"),
        Basket(),
    )
    await bus.publish(TO_ORDERS, sent)
    await bus.consume(ORDERS.name, basket)
    await basket.holds(sent)
    assert basket.got == [sent]


async def test_a_message_that_is_safe_outlives_its_process(bus_maker: BusMaker, bench: Bench) -> None:
    """2: A message whose publication returned is delivered by the next process when the first one is killed."""
    first, sent, basket = await bus_maker(), [letter() for _ in range(20)], Basket()
    await asyncio.gather(*(first.publish(TO_ORDERS, one) for one in sent))
    await bench.kill(first)
    second = await bus_maker()
    await second.consume(ORDERS.name, basket)
    await basket.holds(*sent)
    assert sorted(basket.ids) == sorted(one.id for one in sent)


async def test_what_a_killed_process_had_in_work_comes_again(bus_maker: BusMaker, bench: Bench) -> None:
    """2: A message whose handler was running when the process was killed is delivered again, and no attempt is lost by that."""
    first, sent, gate, basket = await bus_maker(), letter(), Gate(), Basket()
    await first.publish(TO_ORDERS, sent)
    await first.consume(ORDERS.name, gate)
    await gate.holds(1)
    await bench.kill(first)
    second = await bus_maker()
    await second.consume(ORDERS.name, basket)
    await basket.holds(sent)


async def test_a_message_that_nobody_receives_is_refused(bus: Bus) -> None:
    """3: Publishing to a queue that nobody declared raises `Unavailable` with the code unroutable."""
    with pytest.raises(Unavailable) as refused:
        await bus.publish(Address("process.nobody"), letter())
    assert refused.value.code == "unroutable"


async def test_an_event_without_subscribers_is_fine(bus: Bus) -> None:
    """3: An event that nobody wants is taken, and arrives nowhere."""
    basket, wanted = Basket(), letter("QuoteAccepted")
    await bus.consume(ORDERS.name, basket)
    await bus.publish(EVERYONE, letter("NobodyCares"))
    await bus.publish(EVERYONE, wanted)
    await basket.holds(wanted)
    assert basket.ids == [wanted.id]


async def test_a_stopped_bus_takes_nothing(bus_maker: BusMaker) -> None:
    """1: After `stop` the bus is not ready, and publishing raises `Unavailable`: events, too, which would otherwise be lost unseen."""
    bus = await bus_maker()
    assert await bus.ready()
    await bus.stop()
    assert not await bus.ready()
    for address in (TO_ORDERS, EVERYONE):
        with pytest.raises(Unavailable):
            await bus.publish(address, letter("PaymentSettled"))


async def test_an_event_goes_to_all_who_want_it(bus: Bus) -> None:
    """4: An event reaches every queue that is bound to its type, once each, and no other."""
    orders, cash = Basket(), Basket()
    await bus.consume(ORDERS.name, orders)
    await bus.consume(CASH.name, cash)
    both, one = letter("PaymentSettled"), letter("QuoteAccepted")
    await bus.publish(EVERYONE, one)
    await bus.publish(EVERYONE, both)
    await orders.holds(both, one)
    await cash.holds(both)
    assert (sorted(orders.ids), cash.ids) == (sorted([one.id, both.id]), [both.id])


async def test_a_command_goes_to_its_queue_alone(bus: Bus) -> None:
    """4: What is addressed to a queue reaches that one only, whatever its type."""
    orders, cash = Basket(), Basket()
    await bus.consume(ORDERS.name, orders)
    await bus.consume(CASH.name, cash)
    command, after = letter("PaymentSettled"), letter("PaymentSettled")
    await bus.publish(Address(CASH.name), command)
    await bus.publish(EVERYONE, after)
    await cash.holds(command, after)
    await orders.holds(after)
    assert orders.ids == [after.id]


async def test_declaring_again_changes_nothing(bus: Bus) -> None:
    """4: A second declaration of the same queues leaves the messages in them, and delivers each event once."""
    lying, after, basket = letter(), letter("PaymentSettled"), Basket()
    await bus.publish(TO_ORDERS, lying)
    await bus.start(QUEUES)
    await bus.publish(EVERYONE, after)
    await bus.consume(ORDERS.name, basket)
    await basket.holds(lying, after)
    assert sorted(basket.ids) == sorted([lying.id, after.id])


async def test_an_undeclared_queue_cannot_be_consumed(bus: Bus) -> None:
    """4: Consuming a queue that nobody declared is refused."""
    with pytest.raises(Unavailable):
        await bus.consume("process.nobody", Basket())


# 5 and 6 handling


async def test_a_handled_message_is_finished(bus_maker: BusMaker) -> None:
    """5: A message whose handler returned does not come again, neither here nor to the next process."""
    first, sent, after, basket = await bus_maker(), letter(), letter(), Basket()
    await first.publish(TO_ORDERS, sent)
    await first.consume(ORDERS.name, basket)
    await basket.holds(sent)
    await first.stop()
    second, later = await bus_maker(), Basket()
    await second.publish(TO_ORDERS, after)
    await second.consume(ORDERS.name, later)
    await later.holds(after)
    assert (basket.ids, later.ids) == ([sent.id], [after.id])


async def test_a_failed_message_comes_again(bus: Bus) -> None:
    """5: A handler that raises gets the message again under the same id; when it returns the message is finished."""
    sent, after, basket = letter(), letter(), Basket(ValueError("first"), KeyError("second"))
    await bus.publish(TO_ORDERS, sent)
    await bus.consume(ORDERS.name, basket, prefetch=1)
    await basket.holds(sent, times=3)
    await bus.publish(TO_ORDERS, after)
    await basket.holds(after)
    assert basket.ids == [sent.id] * 3 + [after.id]
    assert await bus.dead_letters(ORDERS.name) == ()


@pytest.mark.parametrize("failure", [ValueError("no such order"), Rejected("no_such_order"), Broken("our_bug")], ids=repr)
async def test_a_message_that_always_fails_lies_among_the_dead(bus: Bus, failure: Exception) -> None:
    """5: After its last attempt a message lies among the dead letters with its reason, its correlation id and the attempt count."""
    poison, behind, basket = letter(correlation_id="q2c-poison"), letter(), Basket(*[failure] * 3)
    await bus.publish(TO_ORDERS, poison)
    await bus.consume(ORDERS.name, basket, prefetch=1)
    await basket.holds(poison, times=3)
    (buried,) = await dead(bus, 1)
    assert (buried.queue, buried.attempts, buried.correlation_id) == (ORDERS.name, 3, "q2c-poison")
    assert buried.letter == poison
    assert type(failure).__name__ in buried.reason
    assert str(failure) in buried.reason
    await bus.publish(TO_ORDERS, behind)
    await basket.holds(behind)
    assert basket.ids.count(poison.id) == 3
    assert len(await bus.dead_letters(ORDERS.name)) == 1


async def test_being_unavailable_counts_as_no_attempt(bus: Bus) -> None:
    """5: A handler that raises `Unavailable` gets the message again as often as it takes."""
    sent, basket = letter(), Basket(*[Unavailable("store_down")] * 7)
    await bus.publish(TO_ORDERS, sent)
    await bus.consume(ORDERS.name, basket)
    await basket.holds(sent, times=8)
    assert await bus.dead_letters(ORDERS.name) == ()


async def test_attempts_are_counted_across_processes(bus_maker: BusMaker) -> None:
    """5: Attempts that failed before a restart count after it."""
    first, sent, handler = await bus_maker(), letter(), Basket(ValueError("once"), Unavailable("away"))
    await first.publish(TO_ORDERS, sent)
    await first.consume(ORDERS.name, handler)
    await handler.holds(sent, times=2)
    await first.stop()
    second, poison = await bus_maker(), Basket(*[ValueError("again")] * 3)
    await second.consume(ORDERS.name, poison)
    (buried,) = await dead(second, 1)
    assert (buried.attempts, poison.ids) == (3, [sent.id] * 2)


async def test_those_behind_a_failing_message_flow(bus: Bus) -> None:
    """5: A message that fails again and again does not hold up the others, even where only one is in work at a time."""
    failing, behind = letter(), [letter() for _ in range(5)]
    handled = Basket()

    async def handle(one: Envelope) -> None:
        if one.id == failing.id:
            raise Unavailable("its_vendor_is_away")
        await handled(one)

    await bus.publish(TO_ORDERS, failing)
    for one in behind:
        await bus.publish(TO_ORDERS, one)
    await bus.consume(ORDERS.name, handle, prefetch=1)
    await handled.holds(*behind)


@pytest.mark.parametrize("data", [b"\xff\x00 not json", b'{"id": 1}', b"", b"[" * 5000], ids=["bytes", "wrong", "empty", "deep"])
async def test_an_unreadable_message_lies_among_the_dead_at_once(bus: Bus, bench: Bench, data: bytes) -> None:
    """6: What cannot be read is buried without being tried, shows what there was, and those behind it flow."""
    behind, basket = letter(), Basket()
    await bench.put(ORDERS.name, data)
    await bus.publish(TO_ORDERS, behind)
    await bus.consume(ORDERS.name, basket, prefetch=1)
    await basket.holds(behind)
    (buried,) = await dead(bus, 1)
    assert (buried.letter, buried.raw) == (None, data[:4000].decode("utf-8", "replace"))
    assert "unreadable_message" in buried.reason
    assert basket.ids == [behind.id]


async def test_a_message_of_an_unknown_type_is_not_tried_again(bus: Bus) -> None:
    """6: A letter whose type nobody knows is buried when its handler opens it, at the first attempt."""
    unknown, tries = letter("NobodyDeclaredThis"), []

    async def handle(one: Envelope) -> None:
        tries.append(one.id)
        one.open()

    await bus.publish(TO_ORDERS, unknown)
    await bus.consume(ORDERS.name, handle)
    (buried,) = await dead(bus, 1)
    assert (buried.letter, tries) == (unknown, [unknown.id])
    assert "NobodyDeclaredThis" in buried.reason


# 7 prefetch


@pytest.mark.parametrize("prefetch", [1, 3])
async def test_no_more_are_in_work_than_wanted(bus: Bus, prefetch: int) -> None:
    """7: Never more than ``prefetch`` messages of a queue are in work at one time; all get their turn."""
    gate, rest, sent = Gate(), Basket(), [letter() for _ in range(10)]

    async def handle(one: Envelope) -> None:
        await gate(one)
        await rest(one)

    for one in sent:
        await bus.publish(TO_ORDERS, one)
    await bus.consume(ORDERS.name, handle, prefetch=prefetch)
    await gate.holds(prefetch)
    gate.open()
    await rest.holds(*sent)
    assert gate.most == prefetch


async def test_messages_are_worked_on_side_by_side(bus: Bus) -> None:
    """7: Up to ``prefetch`` messages are in work together; queues do not wait for one another."""
    gate, other, sent = Gate(), Basket(), letter()
    for _ in range(8):
        await bus.publish(TO_ORDERS, letter())
    await bus.consume(ORDERS.name, gate, prefetch=8)
    await bus.consume(CASH.name, other)
    await gate.holds(8)
    await bus.publish(Address(CASH.name), sent)
    await other.holds(sent)
    gate.open()


async def test_two_consumers_of_a_queue_share_its_messages(bus: Bus) -> None:
    """7: Where a queue is consumed twice, each message goes to one of the two, and both are at work."""
    gates, sent = (Gate(), Gate()), [letter() for _ in range(4)]
    for gate in gates:
        await bus.consume(ORDERS.name, gate, prefetch=2)
    for one in sent:
        await bus.publish(TO_ORDERS, one)
    for gate in gates:
        await gate.holds(2)
    assert sorted(gates[0].got + gates[1].got) == sorted(one.id for one in sent)
    for gate in gates:
        gate.open()


# 8 dead letters


async def test_a_dead_letter_is_sent_back_once(bus: Bus) -> None:
    """8: `redrive` sends a dead letter back with a fresh attempt count; a second one finds nothing."""
    poison = [letter() for _ in range(3)]
    basket = Basket(*[ValueError("no")] * 9, ValueError("still no"), ValueError("no"))
    await bus.consume(ORDERS.name, basket, prefetch=1)
    for one in poison:
        await bus.publish(TO_ORDERS, one)
    assert [buried.letter for buried in await dead(bus, 3)] == poison
    assert sum(await asyncio.gather(bus.redrive(ORDERS.name), bus.redrive(ORDERS.name))) == 3
    assert await bus.redrive(ORDERS.name) == 0
    await basket.holds(*poison, times=4)

    async def clean() -> bool:
        return await bus.dead_letters(ORDERS.name) == ()

    await until(clean)


async def test_dead_letters_stay_where_they_are_when_looked_at(bus: Bus) -> None:
    """8: Dead letters are listed oldest first, as many as asked for, as often as asked for."""
    poison = [letter() for _ in range(4)]
    await bus.consume(ORDERS.name, Basket(*[ValueError("no")] * 12), prefetch=1)
    for number, one in enumerate(poison, start=1):
        await bus.publish(TO_ORDERS, one)
        await dead(bus, number)
    for _ in range(2):
        assert [buried.letter for buried in await bus.dead_letters(ORDERS.name)] == poison
    assert [buried.letter for buried in await bus.dead_letters(ORDERS.name, limit=2)] == poison[:2]
    assert await bus.dead_letters(CASH.name) == ()


async def test_what_cannot_be_read_is_not_sent_back(bus: Bus, bench: Bench) -> None:
    """8: `redrive` leaves unreadable dead letters where they are."""
    await bench.put(ORDERS.name, b"not a letter")
    await bus.consume(ORDERS.name, Basket())
    await dead(bus, 1)
    assert await bus.redrive(ORDERS.name) == 0
    assert len(await bus.dead_letters(ORDERS.name)) == 1


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


# 10 stopping


async def test_stopping_lets_work_end(bus_maker: BusMaker) -> None:
    """10: A handler that is in work ends during the stop, and its message does not come again."""
    first, sent, after, gate = await bus_maker(), letter(), letter(), Gate()
    await first.publish(TO_ORDERS, sent)
    await first.consume(ORDERS.name, gate)
    await gate.holds(1)
    stopping = asyncio.create_task(first.stop())
    await asyncio.sleep(0)
    gate.open()
    await stopping
    second, basket = await bus_maker(), Basket()
    await second.publish(TO_ORDERS, after)
    await second.consume(ORDERS.name, basket)
    await basket.holds(after)
    assert basket.ids == [after.id]


async def test_what_does_not_end_is_handed_back(bus_maker: BusMaker) -> None:
    """10: A handler that does not end in time is broken off, and its message and those that waited behind it come again."""
    first, sent, gate = await bus_maker(), [letter() for _ in range(5)], Gate()
    for one in sent:
        await first.publish(TO_ORDERS, one)
    await first.consume(ORDERS.name, gate, prefetch=2)
    await gate.holds(2)
    await first.stop()
    assert gate.now == 0
    second, basket = await bus_maker(), Basket()
    await second.consume(ORDERS.name, basket)
    await basket.holds(*sent)
    assert await second.dead_letters(ORDERS.name) == ()


async def test_a_message_that_fails_during_the_stop_comes_again(bus_maker: BusMaker) -> None:
    """10: What failed while the bus stopped, or was waiting for its next attempt, is not lost."""
    first, sent, basket = await bus_maker(), [letter() for _ in range(3)], Basket(*[Unavailable("away")] * 1000)
    for one in sent:
        await first.publish(TO_ORDERS, one)
    await first.consume(ORDERS.name, basket)
    await basket.holds(*sent)
    await first.stop()
    second, later = await bus_maker(), Basket()
    await second.consume(ORDERS.name, later)
    await later.holds(*sent)


async def test_a_bus_that_did_nothing_stops(bus_maker: BusMaker) -> None:
    """10: Stopping at once, and stopping twice, is fine."""
    bus = await bus_maker()
    await bus.stop()
    await bus.stop()
