"""A private RabbitMQ node keeps what it confirmed."""

import aio_pika

from deploy.services import rabbitmq as service
from deploy.services.rabbitmq import RabbitMQ


async def publish(url: str, queue: str, body: bytes) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue, timeout=20)


async def receive(url: str, queue: str) -> bytes | None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        message = await declared.get(timeout=20, fail=False)
        if message is None:
            return None
        await message.ack()
        return message.body


async def test_a_confirmed_message_survives_a_kill() -> None:
    """What a quorum queue confirmed is still there after SIGKILL and a restart on the same address."""
    server = service.start()
    try:
        url, pid = server.url, server.pid
        await publish(url, "orders", b"ORD-1")
        server.keep_queues()
        await publish(url, "orders", b"ORD-2")
        server.kill()
        server.restart()
        assert server.pid != pid
        assert server.url == url
        assert [await receive(url, "orders") for _ in range(2)] == [b"ORD-1", b"ORD-2"]
    finally:
        server.stop()


async def test_a_fresh_vhost_is_empty(rabbitmq: RabbitMQ) -> None:
    """Two virtual hosts share nothing: a message in the queue of one is not in the queue of the same name of the other."""
    here, there = rabbitmq.fresh_vhost(), rabbitmq.fresh_vhost()
    await publish(here, "orders", b"ORD-1")
    assert await receive(there, "orders") is None
    assert await receive(here, "orders") == b"ORD-1"
