"""A system downstream: hears what becomes of orders, drops what it has heard under the same message id, and writes the rest into its books.

As vendors do, it knows no business: two messages with different ids about one order are two effects, and the oracle sees it.
"""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

QUEUE = "storm.listener"
EVENTS = ("OrderBooked", "OrderRejected")
EXCHANGE = "q2c.events"


class Listener:
    """``ended`` counts the orders of which it has heard the end."""

    def __init__(self, url: str, ledger: Path) -> None:
        self._url = url
        self._file = ledger.open("ab", buffering=0)
        self._heard: set[str] = set()
        self._orders: set[str] = set()
        self._lost = asyncio.Event()

    def ended(self) -> int:
        return len(self._orders)

    def close(self) -> None:
        """Close the books."""
        self._file.close()

    async def declare(self) -> None:
        """Its queue, before the first order."""
        connection = await aio_pika.connect(self._url)
        async with connection:
            await self._queue(await connection.channel())

    async def _queue(self, channel: Any) -> Any:
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        for event in EVENTS:
            await queue.bind(exchange, routing_key=event)
        return queue

    async def run(self) -> None:
        """Listen until cancelled, whatever becomes of the broker."""
        while True:
            # as a value: the library reports a hung broker as a cancellation, too
            await asyncio.gather(self._listen(), return_exceptions=True)
            await asyncio.sleep(0.3)

    async def _listen(self) -> None:
        lost = asyncio.Event()
        async with asyncio.timeout(10):
            connection = await aio_pika.connect(self._url, heartbeat=5)
            connection.close_callbacks.add(lambda *_: lost.set())
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=100)
            queue = await self._queue(channel)
            await queue.consume(self._hear)
        try:
            await lost.wait()
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(connection.close(), 2)

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        message_id = message.message_id or ""
        if message_id not in self._heard:
            body = json.loads(message.body)
            order = body["body"]["order_id"]
            line = {"seq": len(self._heard) + 1, "at": time.time(), "kind": body["type"], "ref": order, "id": message_id, "act": "make"}
            self._file.write(json.dumps({**line, "key": message_id, "amount": "", "currency": ""}).encode() + b"\n")
            self._heard.add(message_id)
            self._orders.add(order)
        with contextlib.suppress(Exception):  # a lost connection: it comes again, and is known then
            await message.ack()
