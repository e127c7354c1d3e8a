"""The system layer as a worker: serves the asks of its connections from other processes, translates what comes in, and polls."""

import asyncio
import contextlib

import structlog

from canonical.failures import Broken, Failure
from canonical.messages import Command
from runtime.bus.contract import Bus, Queue
from runtime.bus.topology import INBOX, connection_queue
from runtime.bus.wire import Envelope, envelope, failure_envelope
from runtime.clock import Clock
from runtime.context import working_in
from runtime.store.contract import Fenced, Store
from system_apis.desk import Desk
from system_apis.intake import Intake, Poller

log = structlog.get_logger("q2c.worker")

TURN_S = 0.5


def all_queues(desk: Desk) -> tuple[Queue, ...]:
    """Every queue of the system layer."""
    return (Queue(name=INBOX), *(Queue(name=connection_queue(name), asks=True) for name in desk.connections))


async def serve(bus: Bus, desk: Desk, intake: Intake, *, store: Store, clock: Clock, prefetch: int = 16) -> None:
    """Begin to serve; returns when every subscription stands."""
    await bus.consume(INBOX, intake.translate, prefetch=prefetch)
    for name, connection in desk.connections.items():

        async def answer(letter: Envelope, name: str = name) -> Envelope:
            return await _answered(desk, name, letter, store, clock)

        await bus.answer(connection_queue(name), answer, prefetch=connection.card.limit.in_flight_max)


async def _answered(desk: Desk, name: str, letter: Envelope, store: Store, clock: Clock) -> Envelope:
    """One ask from another process: what the ledger has to know is committed here, before the answer goes back."""
    try:
        with working_in(letter.context):
            command = letter.open()
            if not isinstance(command, Command):
                raise Broken("misaddressed", f"{name} does not answer {letter.type}")
            answer = await desk.ask(name, command, letter.context)
            with contextlib.suppress(Fenced):  # another worker has confirmed the very same effect: the answer stands
                await store.commit(answer.writes)
    except Failure as failure:
        return failure_envelope(failure, letter, now=clock.now())
    return envelope(answer.reply, letter.context, now=clock.now(), causation_id=letter.id)


async def poll_for_ever(poller: Poller, clock: Clock) -> None:
    """Turn by turn, until cancelled; a turn that fails is logged and the next one comes."""
    while True:
        try:
            await poller.turn()
        except Exception:  # a broken card must not stop the polling of the others
            log.exception("poll_turn_failed")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
        await clock.sleep(TURN_S)
