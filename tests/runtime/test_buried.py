"""Messages that cannot be handled are counted where they lie."""

from pathlib import Path

import msgspec
from prometheus_client import REGISTRY

from canonical.failures import Broken
from runtime.bus.contract import Address, Queue
from runtime.bus.embedded import EmbeddedBus
from runtime.bus.observed import ObservedBus
from runtime.bus.wire import Envelope
from runtime.clock import SystemClock
from runtime.store.engine import open_store
from runtime.store.migrations import migrate
from tests.integration.doors import until


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("q2c_messages_total", {"queue": "process.buried", "outcome": outcome}) or 0.0


async def test_a_message_that_fails_for_good_is_counted(tmp_path: Path) -> None:
    """Each attempt that fails is counted, and once that the message was buried."""
    url = f"sqlite:///{tmp_path / 'q2c.db'}"
    await migrate(url)
    store = open_store(url, SystemClock())
    await store.start()
    bus = ObservedBus(EmbeddedBus(store, SystemClock(), attempts_max=3, pause_s=0.01))
    try:

        async def fail(_letter: Envelope) -> None:
            raise Broken("no", "never")

        async def lies_there() -> bool:
            return len(await bus.dead_letters("process.buried")) == 1 and counted("buried") == 1

        await bus.start([Queue(name="process.buried")])
        await bus.consume("process.buried", fail)
        await bus.publish(Address("process.buried"), Envelope(id="m-1", type="X", body=msgspec.Raw(b"{}"), correlation_id="q2c-1"))
        await until(lies_there, "the message is buried")
        assert (counted("failed"), counted("handled")) == (3, 0)
    finally:
        await bus.stop()
        await store.stop()
