"""A broker that has lost all its data is filled again from the outbox."""

import asyncio
import datetime as dt

import pytest

from deploy.services.rabbitmq import RabbitMQ
from runtime.bus.contract import Address, Queue
from runtime.bus.rabbit import RabbitBus
from runtime.bus.wire import Envelope
from runtime.clock import SystemClock
from runtime.process.replaying import republish
from runtime.store.contract import Send
from runtime.store.engine import SqlStore
from tests.contracts.stores import NOW, letter
from tests.runtime.conftest import clock, migrated, store

__all__ = ["clock", "migrated", "store"]

pytestmark = pytest.mark.rabbitmq
QUEUE = Queue(name="process.jobs")


async def test_what_a_wiped_broker_has_lost_is_published_again(store: SqlStore, rabbitmq: RabbitMQ) -> None:
    """All messages since a moment lie in the queues again, under their own ids, also those that were marked as sent (Q14)."""
    ids = {f"m-{number:03d}" for number in range(450)}
    await store.commit([Send(Address(QUEUE.name), letter(one)) for one in sorted(ids)])
    await store.mark_sent(sorted(ids))
    heard: set[str] = set()
    whole = asyncio.Event()

    async def handle(told: Envelope) -> None:
        heard.add(told.id)
        if heard == ids:
            whole.set()

    wiped = RabbitBus(rabbitmq.fresh_vhost(), clock=SystemClock())
    await wiped.start([QUEUE])
    await wiped.consume(QUEUE.name, handle)
    try:
        assert await republish(store, wiped, NOW + dt.timedelta(days=1)) == 0
        assert await republish(store, wiped, NOW - dt.timedelta(minutes=1)) == 450
        await asyncio.wait_for(whole.wait(), 20)
    finally:
        await wiped.stop()
