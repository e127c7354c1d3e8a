"""The process layer as a worker: runs every table, answers every inquiry and the reception, keeps the read models."""

from collections.abc import Iterable

import structlog

from canonical.failures import Broken, Failure
from canonical.messages import Command
from process_apis.read_models import QUEUE as READ_MODELS_QUEUE
from process_apis.read_models import ReadModels
from process_apis.reception import Reception
from runtime.bus.contract import Answerer, Bus, Queue
from runtime.bus.topology import RECEPTION, inquiry_queue, process_queue
from runtime.bus.wire import Envelope, envelope, failure_envelope
from runtime.clock import Clock
from runtime.process.asking import Asker
from runtime.process.declare import Process
from runtime.process.engine import Engine
from runtime.process.inquiry import Inquiry, inquire
from runtime.process.layout import queues

log = structlog.get_logger("q2c.worker")


def all_queues(processes: Iterable[Process], inquiries: Iterable[Inquiry]) -> tuple[Queue, ...]:
    """Every queue of the process layer."""
    asking = tuple(Queue(name=inquiry_queue(i.name), asks=True) for i in inquiries)
    return (*queues(processes), *asking, Queue(name=RECEPTION, asks=True), READ_MODELS_QUEUE)


def desks(inquiries: Iterable[Inquiry], reception: Reception) -> dict[str, str]:
    """Which queue answers which command."""
    table = {i.answers.wire_name(): inquiry_queue(i.name) for i in inquiries}
    return table | {command.wire_name(): RECEPTION for command in reception.commands}


async def serve(
    bus: Bus,
    engine: Engine,
    inquiries: Iterable[Inquiry],
    *,
    asker: Asker,
    reception: Reception,
    read_models: ReadModels,
    clock: Clock,
    prefetch: int = 100,
) -> None:
    """Begin to serve; returns when every subscription stands."""
    for process in engine.newest:
        await bus.consume(process_queue(process.name), engine.handler(process), prefetch=prefetch)
    for inquiry in inquiries:
        await bus.answer(inquiry_queue(inquiry.name), _answering(inquiry, asker, clock), prefetch=prefetch)
    await bus.answer(RECEPTION, reception.answer, prefetch=prefetch)
    await bus.consume(READ_MODELS_QUEUE.name, read_models.handle, prefetch=1)


def _answering(inquiry: Inquiry, asker: Asker, clock: Clock) -> Answerer:
    async def answer(letter: Envelope) -> Envelope:
        try:
            question = letter.open()
            if not isinstance(question, Command):
                raise Broken("misaddressed", f"{inquiry.name} does not answer {letter.type}")
            reply = await inquire(inquiry, question, letter.context, asker)
        except Failure as failure:
            return failure_envelope(failure, letter, now=clock.now())
        return envelope(reply, letter.context, now=clock.now(), causation_id=letter.id)

    return answer
