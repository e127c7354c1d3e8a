"""The door between the HTTP layers and the bus: send a command and have it kept, or ask and wait.

Inside a request whose route takes an idempotency key, what is sent is only collected: the policy commits it together with the stored
answer, so that a caller's retry and its effect can never part (see `policies.idempotency`).
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from canonical.failures import Misconfigured
from canonical.messages import Command, Event, Message
from runtime.bus.contract import EVERYONE, Address, Bus
from runtime.bus.wire import Envelope, envelope
from runtime.clock import Clock
from runtime.context import Context, current
from runtime.keys import new_correlation_id
from runtime.store.contract import Send, Store, Write

R = TypeVar("R", bound=Event)
_COLLECTED: ContextVar[list[Write] | None] = ContextVar("q2c_collected", default=None)


class Publisher(Protocol):
    """Sends what has just been committed; what it cannot send, the sweep will."""

    async def publish_now(self, sends: "list[Send]") -> None: ...


@contextmanager
def collecting() -> Iterator[list[Write]]:
    """Within the block, `House.send` and `House.tell` collect their writes here instead of committing them."""
    writes: list[Write] = []
    token = _COLLECTED.set(writes)
    try:
        yield writes
    finally:
        _COLLECTED.reset(token)


class House:
    """What a route is given. ``routes`` maps a command's wire name to the queue to which it is sent, ``desks`` to the
    queue on which it is answered; ``entities`` are the legal entities.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        publisher: Publisher,
        clock: Clock,
        *,
        routes: Mapping[str, str],
        desks: Mapping[str, str],
        entities: Collection[str] = (),
    ) -> None:
        self.store = store
        self.bus = bus
        self.clock = clock
        self.entities = frozenset(entities)
        self._publisher = publisher
        self._routes = routes
        self._desks = desks

    async def send(self, command: Command[Any], *, message_id: str = "") -> Envelope:
        """Have a command carried out in the background; it is safe when this (or the collecting request) returns."""
        return await self._put(self._address(command), command, message_id)

    def letter(self, command: Command[Any]) -> Send:
        """The write that sends a command, to be committed together with others."""
        return Send(self._address(command), envelope(command, _with_correlation(current()), now=self.clock.now()))

    def news(self, event: Event) -> Send:
        """The write that tells an event, to be committed together with others."""
        return Send(EVERYONE, envelope(event, _with_correlation(current()), now=self.clock.now()))

    async def tell(self, event: Event, *, message_id: str = "") -> Envelope:
        """Tell an event to everyone who subscribed to it."""
        return await self._put(EVERYONE, event, message_id)

    async def ask(self, command: Command[R], *, within_s: float) -> R:
        """Ask over the bus and wait; raises the failure of the other side, or `Unavailable` when the time is over."""
        letter = envelope(command, _with_correlation(current()), now=self.clock.now())
        queue = _served(self._desks, command)
        answer = await self.bus.ask(queue, letter, within_s=within_s)
        return answer.open()  # type: ignore[return-value]

    async def write(self, *writes: Write) -> None:
        """Commit some writes, together with whatever else the request sends where it is collecting."""
        collected = _COLLECTED.get()
        if collected is None:
            await self.commit(list(writes))
        else:
            collected.extend(writes)

    async def commit(self, writes: list[Write]) -> None:
        """Commit and publish at once what the writes send."""
        await self.store.commit(writes)
        await self._publisher.publish_now([write for write in writes if isinstance(write, Send)])

    async def _put(self, address: Address, message: Message, message_id: str) -> Envelope:
        letter = envelope(message, _with_correlation(current()), now=self.clock.now(), message_id=message_id)
        await self.write(Send(address, letter))
        return letter

    def _address(self, command: Command[Any]) -> Address:
        return Address(_served(self._routes, command))


def _served(table: Mapping[str, str], command: Command[Any]) -> str:
    try:
        return table[command.wire_name()]
    except KeyError:
        raise Misconfigured("no_route", f"nobody in the roster serves {command.wire_name()}") from None


def _with_correlation(context: Context) -> Context:
    if context.correlation_id:
        return context
    return Context(
        tenant=context.tenant,
        entity=context.entity,
        correlation_id=new_correlation_id(),
        traceparent=context.traceparent,
        actor=context.actor,
        key=context.key,
    )
