"""The promises of the bus, on each implementation. The numbers are those of `runtime.bus.contract`; here 1 to 6."""

import asyncio

import pytest

from canonical.failures import Broken, Rejected, Unavailable
from runtime.bus.contract import EVERYONE, Address, Bus
from runtime.bus.wire import Envelope
from tests.contracts.buses import CASH, ORDERS, QUEUES, TO_ORDERS, Basket, Bench, BusMaker, Gate, dead, letter

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
    """5: After its last attempt a message lies among the dead letters with its reason, its correlation id and the attempt count (Q6)."""
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
    """5: Attempts that failed before a restart count after it (Q7)."""
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
    """5: A message that fails again and again does not hold up the others, even where only one is in work at a time (Q6)."""
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
    """6: A letter whose type nobody knows is buried when its handler opens it, at the first attempt (Q11)."""
    unknown, tries = letter("NobodyDeclaredThis"), []

    async def handle(one: Envelope) -> None:
        tries.append(one.id)
        one.open()

    await bus.publish(TO_ORDERS, unknown)
    await bus.consume(ORDERS.name, handle)
    (buried,) = await dead(bus, 1)
    assert (buried.letter, tries) == (unknown, [unknown.id])
    assert "NobodyDeclaredThis" in buried.reason
