"""The desk of the system layer: takes a command for a connection, runs the card's operation, and turns what happens into six words."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from canonical.failures import Broken, Failure, Misconfigured, Rejected
from canonical.messages import Command, Event
from runtime import metrics, telemetry
from runtime.clock import Clock
from runtime.context import Context, working_in
from runtime.effects import Attempt, EffectsLedger
from runtime.http.circuit import Circuit
from runtime.http.governor import Governor
from runtime.process.asking import Answer
from runtime.store.contract import Store
from system_apis.connector import Call, Connector, Once, Operation

KEYED = {Once.NATIVE_KEY, Once.EXTERNAL_ID_UPSERT}


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor account: its card, its settings, and the entities that use it. ``strict`` refuses what the vendor would silently drop.

    ``poll_every_s`` overrides the card's own rhythm where it is above zero; ``settles_in`` overrides its settle times where it is given.
    """

    name: str
    card: Connector
    settings: Any
    entities: tuple[str, ...] = ()
    tenant: str = "default"
    strict: bool = True
    poll_every_s: float = 0.0
    settles_in: dt.timedelta | None = None


class Desk:
    """Serves the connections of this process."""

    def __init__(self, connections: Iterable[Connection], *, store: Store, clock: Clock) -> None:
        self.connections: Mapping[str, Connection] = {c.name: c for c in connections}
        self._ledger = EffectsLedger(store, clock)
        self._clock = clock
        self._clients: dict[str, Any] = {}
        limits = {c.name: c.card.limit for c in self.connections.values()}
        self.circuits = {name: Circuit(name, limit.in_flight_max, clock) for name, limit in limits.items()}
        self.governors = {
            name: Governor(limit.in_flight_max, limit.per_minute_max, clock, self.circuits[name]) for name, limit in limits.items()
        }

    def serves(self, connection: str) -> bool:
        """Whether this process holds the connection."""
        return connection in self.connections

    def call(self, connection: Connection, context: Context) -> Call:
        """What an operation of the connection is given."""
        if connection.name not in self._clients:
            self._clients[connection.name] = connection.card.client(connection.settings)
        return Call(
            client=self._clients[connection.name],
            settings=connection.settings,
            connection=connection.name,
            key=context.key,
            correlation_id=context.correlation_id,
            entity=context.entity or next(iter(connection.entities), ""),
            now=self._clock.now(),
        )

    async def ask(self, name: str, command: Command[Any], context: Context) -> Answer:
        """Run the command at a connection of this process. A write with a key that is known gives the known answer."""
        connection = self.connections.get(name)
        if connection is None:
            raise Misconfigured("unknown_connection", f"no connection is called {name!r}")
        operation = connection.card.does.get(type(command))
        if operation is None:
            raise Misconfigured("not_on_card", f"{connection.card.title} does not do {command.wire_name()}")
        _refuse_loss(connection, command)
        if operation.once is Once.READ:
            return Answer(await self._run(connection, operation, command, context), name)
        if not context.key:
            raise Misconfigured("no_key", f"{command.wire_name()} is a write and needs an idempotency key")
        return await self._ledger.perform(self._attempt(connection, operation, command, context), context)

    def _attempt(self, connection: Connection, operation: Operation, command: Command[Any], context: Context) -> Attempt:
        async def run() -> Event:
            return await self._run(connection, operation, command, context)

        probe = operation.find

        async def find() -> Event | None:
            if probe is None:
                return None
            async with self.governors[connection.name].call(write=True):  # a write waits for what is found
                with self.calling(connection, context):
                    found: Event | None = await in_words(probe(self.call(connection, context), command))
            return found

        return Attempt(
            connection=connection.name,
            command=command,
            handle=operation.once in KEYED,
            replays=operation.once is Once.NATIVE_KEY,
            settles_in=operation.settles_in if connection.settles_in is None else connection.settles_in,
            run=run,
            find=find if probe else None,
        )

    async def _run(self, connection: Connection, operation: Operation, command: Command[Any], context: Context) -> Event:
        async with self.governors[connection.name].call(write=operation.once is not Once.READ):
            with self.calling(connection, context):
                reply: Event = await in_words(operation.run(self.call(connection, context), command))
        if not isinstance(reply, type(command).reply_type()):
            raise Broken("wrong_reply", f"{command.wire_name()} was answered with {type(reply).__name__}")
        return reply

    def calling(self, connection: Connection, context: Context) -> "_Calling":
        """The vendor's own time, counted; log lines and outgoing calls know the connection."""
        return _Calling(connection.name, context, self._clock)

    async def aclose(self) -> None:
        """Close all clients."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


class _Calling:
    """A block in which a vendor is asked."""

    __slots__ = ("_began_s", "_clock", "_name", "_working")

    def __init__(self, name: str, context: Context, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._working = working_in(msgspec.structs.replace(context, connection=name))

    def __enter__(self) -> None:
        self._began_s = self._clock.monotonic_s()
        telemetry.note({"q2c.connection": self._name})
        self._working.__enter__()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._working.__exit__()
        outcome = "done" if error is None else error.word if isinstance(error, Failure) else "broken_off"
        metrics.called(self._name, outcome, self._clock.monotonic_s() - self._began_s)


async def in_words(work: Any) -> Any:
    """Await a vendor's code and let nothing out but the six words: a mapping that stumbles over an answer is `Broken`."""
    try:
        return await work
    except Failure:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError) as bug:
        raise Broken("mapping_failed", f"{type(bug).__name__}: {bug}") from bug


def _refuse_loss(connection: Connection, command: Command[Any]) -> None:
    """In strict mode a field that the vendor would silently drop is refused before anything is sent."""
    if not connection.strict:
        return
    for path in connection.card.loses.get(type(command), ()):
        if _filled(command, path.split(".")):
            pointer = "/" + path.replace(".", "/")
            raise Rejected("field_would_be_lost", f"{connection.card.title} silently drops {path}", pointer=pointer)


def _filled(value: Any, path: list[str]) -> bool:
    """Whether the field at the end of a dotted path holds anything, in any element of the lists on the way.

    ``name[1:]`` means the elements from the second on: what a vendor drops that keeps one of them only.
    """
    if isinstance(value, tuple | list):
        return any(_filled(element, path) for element in value)
    if not path:
        return value not in (None, "", (), {})
    name, _, start = path[0].partition("[")
    inner = getattr(value, name, None)
    if start and isinstance(inner, tuple | list):
        inner = inner[int(start.partition(":")[0]) :]
    return inner is not None and _filled(inner, path[1:])
