"""A bus whose messages can be followed and are counted; it promises what the bus inside promises, and does not touch what is in a letter.

A sent message is a span of its sender's trace. Its handling begins a trace of its own, linked to that span, because a message may lie for
days and be handled more than once; a question, whose asker waits, is answered within the asker's trace.
"""

from collections.abc import Iterable

import msgspec
from opentelemetry.trace import SpanKind

from canonical.failures import Unavailable
from runtime import metrics, telemetry
from runtime.bus.contract import Address, Answerer, Bus, DeadLetter, Features, Handler, Queue
from runtime.bus.topology import EXCHANGE_EVENTS
from runtime.bus.wire import FAILURE_TYPE, Envelope
from runtime.context import Context, working_in


class ObservedBus:
    """See `runtime.bus.contract`."""

    def __init__(self, inside: Bus) -> None:
        self._inside = inside

    @property
    def features(self) -> Features:
        return self._inside.features

    async def start(self, queues: Iterable[Queue]) -> None:
        await self._inside.start(queues)

    async def stop(self) -> None:
        await self._inside.stop()

    async def publish(self, address: Address, letter: Envelope) -> None:
        """Publish, as a part of the trace of whoever wrote the letter, also when the relay sends it later."""
        destination = f"{EXCHANGE_EVENTS}:{letter.type}" if address.is_event else address.queue
        said = self._said(letter, destination, "send")
        with telemetry.span(f"send {destination}", SpanKind.PRODUCER, context=letter.context, attributes=said) as traced:
            await self._inside.publish(address, _within(letter, traced))

    async def consume(self, queue: str, handler: Handler, *, prefetch: int = 16) -> None:
        """Hand over each message in its own context, and count what becomes of it."""

        async def handle(letter: Envelope) -> None:
            span = telemetry.message_span(f"process {queue}", context=letter.context, attributes=self._said(letter, queue, "process"))
            with _counted(queue), span as traced, working_in(traced or letter.context):
                await handler(_within(letter, traced))

        await self._inside.consume(queue, handle, prefetch=prefetch)

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        """Ask, and wait for the answer within the same trace."""
        said = self._said(letter, queue, "send")
        with telemetry.span(f"ask {queue}", SpanKind.CLIENT, context=letter.context, attributes=said) as traced:
            return await self._inside.ask(queue, _within(letter, traced), within_s=within_s)

    async def answer(self, queue: str, answerer: Answerer, *, prefetch: int = 16) -> None:
        """Answer within the trace of the question, and count."""

        async def reply(letter: Envelope) -> Envelope:
            said = self._said(letter, queue, "process")
            with _counted(queue), telemetry.span(f"answer {queue}", SpanKind.SERVER, context=letter.context, attributes=said) as traced:
                with working_in(traced or letter.context):
                    answered = await answerer(_within(letter, traced))
                telemetry.note({"q2c.answered": answered.type}, failed=answered.type == FAILURE_TYPE)
                return answered

        await self._inside.answer(queue, reply, prefetch=prefetch)

    async def ready(self) -> bool:
        return await self._inside.ready()

    async def dead_letters(self, queue: str, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        return await self._inside.dead_letters(queue, limit=limit)

    async def redrive(self, queue: str, *, limit: int = 100) -> int:
        return await self._inside.redrive(queue, limit=limit)

    def _said(self, letter: Envelope, destination: str, operation: str) -> telemetry.Attributes:
        if not telemetry.active():
            return {}
        return {
            "messaging.system": self.features.name,
            "messaging.destination.name": destination,
            "messaging.operation.type": operation,
            "messaging.message.id": letter.id,
            "q2c.message_type": letter.type,
        }


def _within(letter: Envelope, traced: Context | None) -> Envelope:
    return letter if traced is None else msgspec.structs.replace(letter, traceparent=traced.traceparent)


class _counted:  # noqa: N801 - read as a word: with _counted(queue)
    """Counts how the handling of a message ends."""

    __slots__ = ("_queue",)

    def __init__(self, queue: str) -> None:
        self._queue = queue

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        outcome = "handled" if kind is None else "handed_back" if issubclass(kind, Unavailable) else "failed"
        metrics.handled(self._queue, outcome)
