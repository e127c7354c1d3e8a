"""Questions and answers in memory, within one process. Nobody waits for a lost one."""

import asyncio

import structlog

from canonical.failures import Broken, Failure, Unavailable
from runtime.bus.contract import Answerer
from runtime.bus.handling import reason_of
from runtime.bus.wire import FAILURE_TYPE, Envelope, failure_envelope
from runtime.clock import Clock

log = structlog.get_logger("q2c.bus")

Question = tuple[Envelope, "asyncio.Future[Envelope]"]


class Inquiries:
    """One queue of questions, and those who answer them."""

    def __init__(self, queue: str, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self._takers: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(self, letter: Envelope, *, within_s: float) -> Envelope:
        """The answer. Raises the failure that it carries, or `Unavailable` when the budget is over."""
        answer: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()
        self._questions.put_nowait((letter, answer))
        try:
            async with asyncio.timeout(within_s):
                reply = await answer
        except TimeoutError:
            raise Unavailable("no_answer", f"{self._queue} did not answer within {within_s:g} s") from None
        if reply.type == FAILURE_TYPE:
            reply.open()  # raises what it carries
        return reply

    def answer(self, answerer: Answerer, *, prefetch: int) -> None:
        """Begin to answer, in the background."""
        self._takers.add(asyncio.create_task(self._take(answerer, asyncio.Semaphore(prefetch)), name=f"answer {self._queue}"))

    async def stop(self, within_s: float) -> None:
        """Take no more questions, and let the answers in work end."""
        for task in self._takers:
            task.cancel()
        if self._answering:
            _, late = await asyncio.wait(self._answering, timeout=within_s)
            for task in late:
                task.cancel()
        while not self._questions.empty():
            _, answer = self._questions.get_nowait()
            if not answer.done():
                answer.set_exception(Unavailable("bus_stopped", "the bus stopped before the question was answered"))

    async def _take(self, answerer: Answerer, slots: asyncio.Semaphore) -> None:
        while True:
            await slots.acquire()
            letter, answer = await self._questions.get()
            task = asyncio.create_task(self._reply(answerer, letter, answer))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            task.add_done_callback(lambda _: slots.release())

    async def _reply(self, answerer: Answerer, asked: Envelope, answer: "asyncio.Future[Envelope]") -> None:
        """Answer one question. It goes on when the asker has given up: what it has begun outside must not be cut in two."""
        if answer.done():
            return
        [outcome] = await asyncio.gather(answerer(asked), return_exceptions=True)
        if isinstance(outcome, BaseException):
            log.error("bus_answerer_failed", queue=self._queue, correlation_id=asked.correlation_id, reason=reason_of(outcome))
            failure = outcome if isinstance(outcome, Failure) else Broken("answerer_failed", reason_of(outcome))
            outcome = failure_envelope(failure, asked, now=self._clock.now())
        if not answer.done():
            answer.set_result(outcome)
