"""Questions over the broker, both ends: who waits for which answer, and how a question is answered. Nothing of it is durable."""

import asyncio

import structlog

from canonical.failures import Broken, Failure, Unavailable
from runtime.bus.contract import Answerer
from runtime.bus.handling import Send, reason_of
from runtime.bus.layout import REPLY_TO
from runtime.bus.parcel import Delivery, Parcel, Posting
from runtime.bus.wire import FAILURE_TYPE, Envelope, decode, failure_envelope
from runtime.clock import Clock
from runtime.keys import new_message_id

log = structlog.get_logger("q2c.bus")


class Questions:
    """The questions of this process that wait for their answers."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: dict[str, asyncio.Future[bytes]] = {}

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        """The answer. Raises the failure that it carries, or `Unavailable` when the budget is over or the connection was lost."""
        token, answer = new_message_id(), asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        question = Posting(parcel=Parcel.of(letter), to=queue, durable=False, expires_s=within_s, answer_to=REPLY_TO, token=token)
        try:
            async with asyncio.timeout(within_s):
                await self._send(question)
                body = await answer
        except TimeoutError:
            raise Unavailable("no_answer", f"{queue} did not answer within {within_s:g} s") from None
        finally:
            del self._waiting[token]
        reply: Envelope = decode(body)
        if reply.type == FAILURE_TYPE:
            reply.open()  # raises what it carries
        return reply

    def arrived(self, token: str, body: bytes) -> None:
        """An answer has come; one that nobody waits for any more is dropped."""
        answer = self._waiting.get(token)
        if answer is not None and not answer.done():
            answer.set_result(body)

    def lost(self) -> None:
        """The connection is gone, and with it the address to which the answers were to come."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unavailable("bus_away", "the connection was lost before the answer came"))


class Answering:
    """Answers the questions of one queue."""

    def __init__(self, queue: str, answerer: Answerer, *, send: Send, clock: Clock) -> None:
        self._queue = queue
        self._answerer = answerer
        self._send = send
        self._clock = clock

    async def __call__(self, delivery: Delivery) -> None:
        """One question, to its end; an unreadable one is dropped, for there is nobody to be told."""
        try:
            asked = delivery.parcel.letter()
        except Broken as unreadable:
            log.warning("bus_question_unreadable", queue=self._queue, reason=str(unreadable))
        else:
            [outcome] = await asyncio.gather(self._answerer(asked), return_exceptions=True)
            await self._reply(delivery, asked, outcome)
        await delivery.done()

    async def _reply(self, delivery: Delivery, asked: Envelope, outcome: Envelope | BaseException) -> None:
        if isinstance(outcome, BaseException):
            log.error("bus_answerer_failed", queue=self._queue, correlation_id=asked.correlation_id, reason=reason_of(outcome))
            failure = outcome if isinstance(outcome, Failure) else Broken("answerer_failed", reason_of(outcome))
            outcome = failure_envelope(failure, asked, now=self._clock.now())
        reply = Posting(parcel=Parcel.of(outcome), to=delivery.answer_to, mandatory=False, durable=False, token=delivery.token)
        try:
            await self._send(reply)
        except Unavailable as failure:
            log.warning("bus_answer_not_sent", queue=self._queue, correlation_id=asked.correlation_id, reason=str(failure))
