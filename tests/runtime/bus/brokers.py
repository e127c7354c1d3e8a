"""What the tests of the bus on RabbitMQ share: a bus that is stopped in the end, a publisher that does not give up, a bare client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from canonical.failures import Unavailable
from runtime.bus.contract import Queue
from runtime.bus.rabbit import RabbitBus
from runtime.clock import SystemClock
from tests.contracts.buses import PAUSE_S

RETRY_S = 0.02


async def sent(publishing: Callable[[], Awaitable[None]]) -> None:
    """Publishes, again and again until it is taken, as the relay does; a broker that starts may take its time."""
    while True:
        try:
            await publishing()
        except Unavailable:
            await asyncio.sleep(RETRY_S)
        else:
            return


def bus_on(url: str, **options: Any) -> RabbitBus:
    """A bus with short pauses."""
    return RabbitBus(url, clock=SystemClock(), **{"pause_s": PAUSE_S, "reconnect_s": 0.1, "publish_timeout_s": 3.0} | options)


@contextlib.asynccontextmanager
async def running(url: str, queues: Iterable[Queue], **options: Any) -> AsyncIterator[RabbitBus]:
    """A bus that has started, and is stopped in the end."""
    bus = bus_on(url, **options)
    await bus.start(queues)
    try:
        yield bus
    finally:
        await bus.stop()


@contextlib.asynccontextmanager
async def bare(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel of a stranger who knows nothing of our conventions."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        yield channel
