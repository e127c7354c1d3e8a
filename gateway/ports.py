"""From a port to the connection that serves it: here on the spot, or over the bus."""

from collections.abc import Mapping
from typing import Any

from canonical.failures import Misconfigured, Rejected
from canonical.messages import Command
from gateway.settings import EntitySettings
from runtime.bus.contract import Bus
from runtime.bus.topology import connection_queue
from runtime.bus.wire import envelope
from runtime.clock import Clock
from runtime.context import Context
from runtime.process.asking import Answer
from system_apis.desk import Desk

ASK_WITHIN_S = 45.0


class BoundAsker:
    """Asks the connection that an entity has bound to a command's port. Where it runs is topology, not code."""

    def __init__(self, entities: Mapping[str, EntitySettings], desk: Desk, bus: Bus, clock: Clock) -> None:
        self._entities = entities
        self._desk = desk
        self._bus = bus
        self._clock = clock

    async def ask(self, command: Command[Any], context: Context, *, within_s: float | None = None) -> Answer:
        """The answer of the bound connection. Raises one of the six failures."""
        name = self._connection(command, context)
        if self._desk.serves(name):
            return await self._desk.ask(name, command, context)
        letter = envelope(command, context, now=self._clock.now())
        answered = await self._bus.ask(connection_queue(name), letter, within_s=within_s or ASK_WITHIN_S)
        reply: Any = answered.open()
        return Answer(reply, name)

    def _connection(self, command: Command[Any], context: Context) -> str:
        # what a command itself says of its entity counts more than where it came from
        wanted = getattr(getattr(command, "document", None), "entity", "") or context.entity
        entity = self._entities.get(wanted)
        if entity is None:
            raise Rejected("unknown_entity", f"no legal entity is called {wanted!r}", pointer="/entity")
        try:
            return entity.bindings[command.port]
        except KeyError:
            raise Misconfigured("port_not_bound", f"{wanted} has bound no connection to the port {command.port}") from None
