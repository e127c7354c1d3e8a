"""The bus on a real RabbitMQ that is killed, frozen, full or away."""

import asyncio

import pytest

from canonical.failures import Unavailable
from deploy.services.rabbitmq import RabbitMQ
from runtime.bus.contract import Address, Queue
from runtime.bus.wire import Envelope
from tests.contracts.buses import Basket, Gate, letter
from tests.runtime.bus.brokers import bus_on, running, sent

QUESTIONS = Queue(name="ask.process.reception", asks=True)
pytestmark = pytest.mark.rabbitmq


async def test_a_killed_broker_loses_no_confirmed_message(rabbitmq: RabbitMQ, url: str, orders: Queue, to_orders: Address) -> None:
    """The broker is killed in the middle of a burst and started again: every confirmed message is handled, and consumers go on (Q1)."""
    basket, confirmed = Basket(), list[Envelope]()
    enough, over = asyncio.Event(), asyncio.Event()

    async def burst() -> None:
        while not over.is_set():
            told = letter()
            await sent(lambda told=told: bus.publish(to_orders, told))  # type: ignore[misc]
            confirmed.append(told)
            if len(confirmed) >= 300:
                enough.set()

    async with running(url, [orders]) as bus:
        rabbitmq.keep_queues()
        await bus.consume(orders.name, basket)
        publishers = [asyncio.create_task(burst()) for _ in range(8)]
        try:
            await enough.wait()
            await asyncio.to_thread(rabbitmq.kill)
            before = len(confirmed)
        finally:
            await asyncio.to_thread(rabbitmq.restart)
        told = letter()
        await sent(lambda: bus.publish(to_orders, told))
        over.set()
        await asyncio.gather(*publishers)
        await basket.holds(told, *confirmed)
        assert len(confirmed) >= before >= 300


async def test_starting_while_the_broker_is_away(rabbitmq: RabbitMQ, url: str, orders: Queue, to_orders: Address) -> None:
    """A bus that starts before its broker waits for it, is not ready meanwhile, and works as soon as the broker is there (P14)."""
    basket, told = Basket(), letter()
    await asyncio.to_thread(rabbitmq.shut_down)
    bus = bus_on(url)
    try:
        starting = asyncio.create_task(bus.start([orders]))
        assert not await bus.ready()
        with pytest.raises(Unavailable):
            await bus.publish(to_orders, told)
        assert not starting.done()
    finally:
        await asyncio.to_thread(rabbitmq.restart)
    await starting
    assert await bus.ready()
    await bus.consume(orders.name, basket)
    await bus.publish(to_orders, told)
    await basket.holds(told)
    await bus.stop()


async def test_a_start_that_is_given_up_leaves_nothing_behind(orders: Queue) -> None:
    """Cancelling a start that finds no broker ends it, and no task goes on trying."""
    before = asyncio.all_tasks()
    starting = asyncio.create_task(bus_on("amqp://127.0.0.1:1/").start([orders]))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert asyncio.all_tasks() == before


async def test_a_hung_broker_is_unavailable_until_it_goes_on(rabbitmq: RabbitMQ, url: str, orders: Queue, to_orders: Address) -> None:
    """While the broker is frozen a publish ends with `Unavailable` and the bus is not ready; afterwards both are well again (Q2)."""
    basket, late, told = Basket(), letter(), letter()
    async with running(url, [orders], publish_timeout_s=0.5) as bus:
        await bus.consume(orders.name, basket)
        rabbitmq.pause()
        try:
            with pytest.raises(Unavailable) as hung:
                await bus.publish(to_orders, late)
            assert hung.value.code == "bus_timed_out"
            assert not await bus.ready()
        finally:
            rabbitmq.resume()
        await sent(lambda: bus.publish(to_orders, told))
        assert await bus.ready()
        await basket.holds(told)


async def test_a_lost_heartbeat_is_a_failure_and_no_cancellation(rabbitmq: RabbitMQ, url: str, orders: Queue, to_orders: Address) -> None:
    """A broker that hangs past its heartbeat ends a publish and an ask with `Unavailable`; the tasks that wait for them live on (Q2)."""
    basket, told = Basket(), letter()
    async with running(url, [orders, QUESTIONS], publish_timeout_s=60.0, heartbeat_s=1) as bus:
        await bus.consume(orders.name, basket)
        rabbitmq.pause()
        try:
            waiting = (bus.publish(to_orders, letter()), bus.ask(QUESTIONS.name, letter(), within_s=60))
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            rabbitmq.resume()
        assert [(type(outcome), getattr(outcome, "code", "")) for outcome in outcomes] == [(Unavailable, "bus_away")] * 2
        await sent(lambda: bus.publish(to_orders, told))
        await basket.holds(told)


async def test_a_real_cancellation_stays_one(rabbitmq: RabbitMQ, url: str, orders: Queue, to_orders: Address) -> None:
    """Whoever cancels a publish that waits for a frozen broker gets his cancellation, not a failure."""
    async with running(url, [orders], publish_timeout_s=60.0) as bus:
        rabbitmq.pause()
        try:
            publishing = asyncio.create_task(bus.publish(to_orders, letter()))
            await asyncio.sleep(0)
            publishing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await publishing
        finally:
            rabbitmq.resume()


async def test_a_broker_short_of_disk_still_delivers(rabbitmq: RabbitMQ, url: str, orders: Queue, to_orders: Address) -> None:
    """While the broker's disk alarm rings a publish is `Unavailable`, and consumers work on: the next message comes when one is done.

    Shown here (Q3).
    """
    gate, basket, waiting, after = Gate(), Basket(), [letter() for _ in range(3)], letter()

    async def handle(told: Envelope) -> None:
        await gate(told)
        await basket(told)

    async with running(url, [orders], publish_timeout_s=0.5) as bus:
        for told in waiting:
            await bus.publish(to_orders, told)
        await bus.consume(orders.name, handle, prefetch=1)
        await gate.holds(1)
        await asyncio.to_thread(rabbitmq.control, "set_disk_free_limit", "9000GB")
        try:
            with pytest.raises(Unavailable):
                await bus.publish(to_orders, letter())
            assert not await bus.ready()
            gate.open()
            await basket.holds(*waiting)
        finally:
            await asyncio.to_thread(rabbitmq.control, "set_disk_free_limit", "50MB")
        await sent(lambda: bus.publish(to_orders, after))
        await basket.holds(after)


async def test_a_lost_connection_does_not_break_off_the_work(rabbitmq: RabbitMQ, url: str, orders: Queue, to_orders: Address) -> None:
    """A handler whose connection is cut works on to its end, and the message, sent anew, waits for it: prefetch holds over both (Q13)."""
    told = letter()
    begun, go_on, again = asyncio.Event(), asyncio.Event(), asyncio.Event()
    inside, most, finished = 0, 0, 0

    async def handle(_: Envelope) -> None:
        nonlocal inside, most, finished
        inside, most = inside + 1, max(most, inside + 1)
        begun.set()
        await go_on.wait()
        inside, finished = inside - 1, finished + 1
        if finished == 2:
            again.set()

    async with running(url, [orders, QUESTIONS]) as bus:
        await bus.consume(orders.name, handle, prefetch=1)
        await bus.publish(to_orders, told)
        await begun.wait()
        question = asyncio.create_task(bus.ask(QUESTIONS.name, letter(), within_s=60))
        await sent(lambda: bus.publish(to_orders, told))  # goes through the same channel behind the question
        await asyncio.to_thread(rabbitmq.control, "close_all_connections", "--vhost", url.rsplit("/", 1)[1], "test")
        with pytest.raises(Unavailable, match="connection was lost"):
            await question
        await sent(lambda: bus.publish(to_orders, told))
        go_on.set()
        await again.wait()
        assert most == 1
