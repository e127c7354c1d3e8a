"""What the bus promises. One suite in tests/contracts runs each sentence on RabbitMQ and on the embedded bus.

1.  `publish` returns when the message is safe (a quorum has it on disk; the embedded store has committed it), or raises `Unavailable`.
2.  A safe message is delivered at least once, also when the process or the broker is killed and started again.
3.  A message that nobody is declared to receive is refused (`Unavailable`, code ``unroutable``), unless it is an event: an event without
    subscribers is fine.
4.  An event goes to every queue that is bound to its type; a command goes to the one queue that it is addressed to.
5.  A handler that returns has finished the message. A handler that raises gets it again, with the attempt counted by us; after
    ``attempts_max`` attempts the message lies among the dead letters with its reason, correlation id and attempt count. A handler that
    raises `Unavailable` (its own store or a vendor is away) gets it again after a pause, and that counts as no attempt.
6.  A message that cannot be read lies among the dead letters at once; the messages behind it flow.
7.  At most ``prefetch`` messages of a queue are in work at one time per consumer.
8.  A dead letter can be sent back to its queue (`redrive`), once.
9.  `ask` returns the answer, raises the failure that the answer carries, or raises `Unavailable` when the time budget is over. An ask is
    not durable: nobody waits for a lost one.
10. `stop` finishes what is in work or hands it back; nothing is acknowledged that was not done.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from runtime.bus.wire import Envelope

Handler = Callable[[Envelope], Awaitable[None]]
Answerer = Callable[[Envelope], Awaitable[Envelope]]

ATTEMPTS_MAX = 5


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue and the event types that it wants; ``name`` like ``process.order_booking``. ``asks`` marks a queue of requests."""

    name: str
    events: tuple[str, ...] = ()
    asks: bool = False


class Address(msgspec.Struct, frozen=True):
    """Where a message goes: to one queue, or, with an empty queue, to all who subscribed to its type."""

    queue: str = ""

    @property
    def is_event(self) -> bool:
        return not self.queue


EVERYONE = Address()


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be handled. ``letter`` is None where it could not even be read; ``raw`` is then what there was."""

    id: str
    queue: str
    reason: str
    attempts: int
    correlation_id: str = ""
    letter: Envelope | None = None
    raw: str = ""


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What an implementation can and cannot do."""

    name: str
    crosses_processes: bool


class Bus(Protocol):
    """See the promises above."""

    @property
    def features(self) -> Features: ...

    async def start(self, queues: Iterable[Queue]) -> None:
        """Connect (keeps trying until it succeeds or is cancelled) and declare the queues; declaring again changes nothing."""
        ...

    async def stop(self) -> None: ...

    async def publish(self, address: Address, letter: Envelope) -> None: ...

    async def consume(self, queue: str, handler: Handler, *, prefetch: int = 16) -> None:
        """Begin to hand the messages of a declared queue to the handler, in the background."""
        ...

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        """Send a request to a queue with ``asks`` and wait for its answer."""
        ...

    async def answer(self, queue: str, answerer: Answerer, *, prefetch: int = 16) -> None:
        """Begin to answer the requests of a queue, in the background. The answerer turns failures into envelopes itself."""
        ...

    async def ready(self) -> bool:
        """Whether a publish would be taken at this moment."""
        ...

    async def dead_letters(self, queue: str, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        """The dead letters of a queue, oldest first; they stay where they are."""
        ...

    async def redrive(self, queue: str, *, limit: int = 100) -> int:
        """Send dead letters that can be read back to their queue with a fresh attempt count; returns how many."""
        ...
