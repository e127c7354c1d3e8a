"""The promises of the bus about work: how much at a time (7), the dead letters (8), and the stop (10)."""

import asyncio

import pytest

from canonical.failures import Unavailable
from runtime.bus.contract import Address, Bus
from runtime.bus.wire import Envelope
from tests.contracts.buses import CASH, ORDERS, TO_ORDERS, Basket, Bench, BusMaker, Gate, dead, letter, until

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
    """8: `redrive` sends a dead letter back with a fresh attempt count; a second one finds nothing (Q12)."""
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


# 10 stopping


async def test_stopping_lets_work_end(bus_maker: BusMaker) -> None:
    """10: A handler that is in work ends during the stop, and its message does not come again (P10)."""
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
    """10: A handler that does not end in time is broken off, and its message and those that waited behind it come again (P10)."""
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
