"""The ceiling: a consumer of aio-pika that makes the five calls and keeps nothing. ``python -m tests.bench.bare``."""

import asyncio

import aio_pika
import msgspec
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from tests.bench.work import DONE_QUEUE, STEPS, Place, call, client

QUEUE = "bench.bare"


async def main() -> None:
    place = Place.here()
    http = client(place)
    connection = await aio_pika.connect_robust(place.broker)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=place.in_flight)
    queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})

    async def take(message: AbstractIncomingMessage) -> None:
        order = msgspec.json.decode(message.body)
        for step in STEPS:
            await call(http, step, order["order"], order["amount"])
        done = aio_pika.Message(message.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(done, routing_key=DONE_QUEUE)
        await message.ack()

    await queue.consume(take)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
