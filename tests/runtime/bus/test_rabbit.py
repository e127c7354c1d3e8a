"""The bus on a real RabbitMQ that answers: what lies in its queues, and what becomes of messages that are not as they should be."""

import asyncio
import dataclasses
from typing import Any

import aio_pika
import aio_pika.exceptions
import pytest
from aiormq.abc import ChannelFrame
from pamqp import commands as spec
from pamqp.header import ContentHeader

from canonical.failures import Unavailable
from deploy.services.rabbitmq import RabbitMQ
from runtime.bus.contract import EVERYONE, Address, Queue
from runtime.bus.rabbit import RabbitBus
from runtime.bus.wire import Envelope, decode
from tests.contracts.buses import Basket, letter, until
from tests.runtime.bus.brokers import bare, running

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
pytestmark = pytest.mark.rabbitmq


async def lie_dead(bus: RabbitBus, orders: Queue, *ids: str) -> bool:
    """Whether these are the dead letters. A broker that is still busy with deleting a queue may close the connection that asks."""
    try:
        return [dead.id for dead in await bus.dead_letters(orders.name)] == list(ids)
    except Unavailable:
        return False


async def test_what_lies_in_the_queue_is_durable_and_says_what_it_is(url: str, orders: Queue, to_orders: Address) -> None:
    """A message lies on disk under the letter's id, with type, correlation id and trace on its outside."""
    told = letter("process.BookOrder", traceparent=TRACE)
    async with running(url, [orders]) as bus, bare(url) as stranger:
        await bus.publish(to_orders, told)
        message = await (await stranger.get_queue(orders.name)).get(timeout=10)
        assert message is not None
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        assert (message.message_id, message.type, message.correlation_id) == (told.id, told.type, told.correlation_id)
        assert message.headers["traceparent"] == TRACE
        assert decode(message.body) == told
        await message.ack()


async def test_queues_are_quorum_queues_with_a_safe_way_to_the_dead_letters(rabbitmq: RabbitMQ, url: str, orders: Queue) -> None:
    """The queue, its pause and its dead letters are quorum queues, and the broker itself never drops what it moves between them."""
    async with running(url, [orders]):
        listed = rabbitmq.control("list_queues", "--vhost", url.rsplit("/", 1)[1], "name", "type", "durable", "arguments")
    lines = {line.split("\t")[0]: line for line in listed.splitlines() if "process." in line}
    assert set(lines) == {orders.name, f"{orders.name}.dead", f"{orders.name}.pause"}
    assert all("\tquorum\ttrue" in line for line in lines.values())
    for name in (orders.name, f"{orders.name}.pause"):
        assert "at-least-once" in lines[name]
        assert "reject-publish" in lines[name]


async def test_a_command_that_nobody_receives_is_refused(url: str, orders: Queue) -> None:
    """Publishing to a queue that does not exist raises `Unavailable` with the code unroutable; an event for nobody is taken (Q4)."""
    async with running(url, [orders]) as bus:
        with pytest.raises(Unavailable) as refused:
            await bus.publish(Address("process.nobody"), letter())
        assert refused.value.code == "unroutable"
        await bus.publish(EVERYONE, letter("NobodyListens"))


async def test_twins_are_both_refused(url: str, orders: Queue) -> None:
    """The same message published many times at once to nobody is refused each time; none of the twins passes for delivered."""
    twin = letter()
    async with running(url, [orders]) as bus:
        outcomes = await asyncio.gather(*(bus.publish(Address("process.nobody"), twin) for _ in range(20)), return_exceptions=True)
    assert [getattr(outcome, "code", "delivered") for outcome in outcomes] == ["unroutable"] * 20


async def test_a_malformed_message_does_not_stop_those_behind_it(url: str, orders: Queue, to_orders: Address) -> None:
    """Bytes that a stranger puts by hand into a queue lie among the dead letters at once, and the letters behind them are handled (Q11)."""
    basket, behind = Basket(), [letter() for _ in range(3)]
    odd: dict[str, Any] = {"q2c-attempts": "many", "traceparent": 7, "x-death": "no list"}
    async with running(url, [orders]) as bus, bare(url) as stranger:
        for body, headers in ((b"\xff\x00 not json", {}), (b'{"id": 1}', odd), (b"", {})):
            await stranger.default_exchange.publish(aio_pika.Message(body, headers=headers), orders.name)
        for told in behind:
            await bus.publish(to_orders, told)
        await bus.consume(orders.name, basket, prefetch=1)
        await basket.holds(*behind)
        dead = await bus.dead_letters(orders.name)
        assert [letter.letter for letter in dead] == [None, None, None]
        assert [letter.raw for letter in dead] == ["\ufffd\x00 not json", '{"id": 1}', ""]
        assert all("unreadable_message" in letter.reason for letter in dead)
        assert await bus.redrive(orders.name) == 0
        assert len(await bus.dead_letters(orders.name)) == 3


async def test_what_the_client_library_cannot_read_does_not_stop_those_behind_it(url: str, orders: Queue, to_orders: Address) -> None:
    """A message whose type is no UTF-8 breaks every connection that it is sent to; the broker takes it away and the rest is handled."""
    basket, behind = Basket(), letter()
    async with running(url, [orders], reconnect_s=0.01) as bus:
        async with bare(url) as stranger:
            underlay: Any = await stranger.get_underlay_channel()
            frames: tuple[Any, ...] = (
                spec.Basic.Publish(routing_key=orders.name),
                ContentHeader(properties=spec.Basic.Properties(message_type="utf8")),
            )
            frame = ChannelFrame.marshall(channel_number=underlay.number, frames=frames)
            await underlay.write_queue.put(dataclasses.replace(frame, payload=frame.payload.replace(b"utf8", b"\xff\xfe\xfd\xfc")))
            await stranger.declare_queue(orders.name, passive=True)  # answered when the frames before it have been read
        await bus.publish(to_orders, behind)
        await bus.consume(orders.name, basket, prefetch=1)
        await basket.holds(behind)


async def test_what_kills_its_worker_each_time_is_buried_by_the_broker(url: str, orders: Queue, to_orders: Address) -> None:
    """A message that always comes back unacknowledged ends among the dead letters, with the broker's reason, and can be redriven.

    Shown here (P12, Q7).
    """
    basket, deadly = Basket(), letter()
    async with running(url, [orders]) as bus, bare(url) as stranger:
        await bus.publish(to_orders, deadly)
        queue, deliveries = await stranger.get_queue(orders.name), 0
        while (message := await queue.get(fail=False)) is not None:
            deliveries += 1
            await message.nack(requeue=True)
        assert deliveries == 21
        await until(lambda: lie_dead(bus, orders, deadly.id))
        [dead] = await bus.dead_letters(orders.name)
        assert (dead.id, dead.reason, dead.letter) == (deadly.id, "broker: delivery_limit", deadly)
        assert dead.correlation_id == deadly.correlation_id
        assert await bus.redrive(orders.name) == 1
        await bus.consume(orders.name, basket)
        await basket.holds(deadly)


async def test_many_readers_lose_no_dead_letter(url: str, orders: Queue, to_orders: Address) -> None:
    """Readers in two processes at once each see every dead letter, oldest first, and they are all still there."""
    poison = [letter() for _ in range(6)]

    async def fail(_: Envelope) -> None:
        raise ValueError("poison")

    async with running(url, [orders], attempts_max=1) as bus, running(url, [orders]) as other:
        await bus.consume(orders.name, fail, prefetch=1)
        for told in poison:
            await bus.publish(to_orders, told)

        await until(lambda: lie_dead(bus, orders, *(told.id for told in poison)))
        looks = await asyncio.gather(*(reader.dead_letters(orders.name) for reader in (bus, other) * 4))
        assert [[dead.id for dead in look] for look in looks] == [[told.id for told in poison]] * 8
        assert [dead.id for dead in await other.dead_letters(orders.name, limit=2)] == [told.id for told in poison[:2]]
        assert {dead.reason for dead in looks[0]} == {"ValueError: poison"}


async def test_two_redrives_at_once_send_each_dead_letter_once(url: str, orders: Queue) -> None:
    """Two operators who redrive at the same time send every dead letter back once between them (Q12)."""
    basket = Basket()
    poison = [letter() for _ in range(6)]
    async with running(url, [orders]) as bus, running(url, [orders]) as other, bare(url) as stranger:
        for told in poison:
            await bus.publish(Address(f"{orders.name}.dead"), told)
        assert sum(await asyncio.gather(bus.redrive(orders.name), other.redrive(orders.name))) == len(poison)
        assert await bus.dead_letters(orders.name) == ()
        queue = await stranger.declare_queue(orders.name, passive=True)
        assert queue.declaration_result.message_count == len(poison)
        await bus.consume(orders.name, basket)
        await basket.holds(*poison)


async def test_a_deleted_queue_comes_back(url: str, orders: Queue, to_orders: Address) -> None:
    """When an operator deletes a queue with all that belongs to it, consumer, queue, binding and dead letters stand again by themselves.

    Shown here (Q5).
    """
    basket = Basket()
    poison, command, event = letter("Poison"), letter(), letter(orders.events[0])

    async def handle(told: Envelope) -> None:
        if told.type == "Poison":
            raise ValueError("poison")
        await basket(told)

    async with running(url, [orders], attempts_max=2) as bus, bare(url) as stranger:
        await bus.consume(orders.name, handle)
        for name in (f"{orders.name}.dead", f"{orders.name}.pause", orders.name):
            await stranger.queue_delete(name)

        async def consumed() -> bool:
            try:
                async with bare(url) as looking:
                    queue = await looking.declare_queue(orders.name, passive=True)
                    return bool(queue.declaration_result.consumer_count)
            except aio_pika.exceptions.ChannelClosed:
                return False

        await until(consumed)
        await bus.publish(to_orders, command)
        await bus.publish(EVERYONE, event)
        await bus.publish(to_orders, poison)
        await basket.holds(command, event)

        await until(lambda: lie_dead(bus, orders, poison.id))


async def test_who_only_publishes_puts_a_deleted_queue_back(url: str, orders: Queue, to_orders: Address) -> None:
    """Where nobody consumes, the message for a deleted queue is refused once and the next one arrives (Q5)."""
    async with running(url, [orders]) as bus, bare(url) as stranger:
        await stranger.queue_delete(orders.name)
        with pytest.raises(Unavailable) as refused:
            await bus.publish(to_orders, letter())
        assert refused.value.code == "unroutable"
        await bus.publish(to_orders, letter())


async def test_the_graves_are_dug_again(url: str, orders: Queue, to_orders: Address) -> None:
    """A message that cannot be buried, because the dead letters' queue is gone, comes again and is buried then; it is never dropped."""
    poison = letter()

    async def fail(_: Envelope) -> None:
        raise ValueError("poison")

    async with running(url, [orders], attempts_max=1) as bus, bare(url) as stranger:
        await stranger.queue_delete(f"{orders.name}.dead")
        await bus.consume(orders.name, fail)
        await bus.publish(to_orders, poison)

        await until(lambda: lie_dead(bus, orders, poison.id))
