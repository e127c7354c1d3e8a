"""How a queue of the contract is laid out on RabbitMQ: three quorum queues for work, one classic queue for asks.

Changing the arguments of a queue that exists is refused by the broker: a new layout needs new names, or emptied and deleted queues.
"""

from typing import Any

import msgspec

from runtime.bus.contract import Queue

REPLY_TO = "amq.rabbitmq.reply-to"
PROBE = "q2c.probe"  # nothing is ever declared under this name
DEFAULT_EXCHANGE = ""

QUORUM = {"x-queue-type": "quorum"}
# The broker moves messages only when it is sure that they have arrived: without both of these, dead-lettering may lose them.
SURELY = {"x-dead-letter-exchange": DEFAULT_EXCHANGE, "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
# A message that kills its worker each time is counted by nobody but the broker. RabbitMQ 4 has this limit by default, 3.10 has none.
DELIVERIES_MAX = 20
# Looking at dead letters takes and returns them, and that must never use them up.
LOOKS_MAX = 2_000_000_000


class Laid(msgspec.Struct, frozen=True):
    """One durable queue of the broker: its name, arguments, and the event types bound to it."""

    name: str
    arguments: dict[str, Any]
    events: tuple[str, ...] = ()


def dead_queue(queue: str) -> str:
    """Where the dead letters of a queue lie."""
    return f"{queue}.dead"


def pause_queue(queue: str) -> str:
    """Where a message waits, without being in anyone's way, before its queue gets it again."""
    return f"{queue}.pause"


def lock_queue(queue: str) -> str:
    """Exists while somebody reads the dead letters of a queue, and belongs to that connection alone."""
    return f"q2c.lock.{queue}"


def laid_out(queue: Queue) -> tuple[Laid, ...]:
    """The broker's queues for one queue of the contract."""
    if queue.asks:
        return (Laid(queue.name, {"x-queue-type": "classic"}),)
    dead, pause = dead_queue(queue.name), pause_queue(queue.name)
    return (
        Laid(dead, QUORUM | {"x-delivery-limit": LOOKS_MAX}),
        Laid(queue.name, QUORUM | SURELY | {"x-dead-letter-routing-key": dead, "x-delivery-limit": DELIVERIES_MAX}, queue.events),
        Laid(pause, QUORUM | SURELY | {"x-dead-letter-routing-key": queue.name}),
    )
