"""A process with an embedded bus that takes a letter and never ends with it. It says so and waits to be killed.

python -m tests.runtime.bus.embedded_process STORE_URL QUEUE MESSAGE_ID
"""

import asyncio
import sys

from runtime.bus.contract import Address, Queue
from runtime.bus.embedded import EmbeddedBus
from runtime.bus.wire import Envelope
from runtime.clock import SystemClock
from runtime.store.engine import open_store
from tests.contracts.stores import letter


async def main(url: str, queue: str, message_id: str) -> None:
    """Publish it, begin to handle it, hang."""

    async def hang(taken: Envelope) -> None:
        sys.stdout.write(f"{taken.id}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    store = open_store(url, SystemClock())
    await store.start()
    bus = EmbeddedBus(store, SystemClock())
    await bus.start([Queue(name=queue)])
    await bus.publish(Address(queue), letter(message_id))
    await bus.consume(queue, hang)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
