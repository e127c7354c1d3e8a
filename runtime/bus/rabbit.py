"""The bus on RabbitMQ: quorum queues, publisher confirms, acknowledgement after the work. How, and why: docs/decisions/0003.

Two connections, because a broker that is short of disk stops reading from those that publish, and consumers shall go on meanwhile.
"""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aio_pika
import msgspec
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelClosed, DeliveryError, PublishError

from canonical.failures import Unavailable
from runtime.bus.contract import ATTEMPTS_MAX, Address, Answerer, DeadLetter, Features, Handler, Queue
from runtime.bus.drawer import Drawer, look, send_back
from runtime.bus.handling import Handling
from runtime.bus.layout import PROBE, REPLY_TO, Laid, dead_queue, laid_out, lock_queue
from runtime.bus.line import Line
from runtime.bus.parcel import Parcel, Posting
from runtime.bus.questions import Answering, Questions
from runtime.bus.subscription import Subscription
from runtime.bus.topology import EXCHANGE_EVENTS
from runtime.bus.wire import Envelope
from runtime.clock import Clock
from runtime.keys import new_message_id

log = structlog.get_logger("q2c.bus")

OPEN_WITHIN_S = 30.0
CLOSE_WITHIN_S = 1.0
READY_WITHIN_S = 1.0
LOOK_WITHIN_S = 30.0
LOCK_RETRY_S = 0.05

CODES: tuple[tuple[type[BaseException], str], ...] = (
    (PublishError, "unroutable"),
    (DeliveryError, "not_taken"),
    (TimeoutError, "bus_timed_out"),
)


class _Out(msgspec.Struct):
    """The publishing connection, its one channel, and what must not be collected while they live."""

    connection: AbstractConnection
    channel: AbstractChannel
    queues: AbstractExchange
    events: AbstractExchange
    answers: AbstractQueue


class _In(msgspec.Struct):
    """The consuming connection; of each subscription its channel, queue and consumer tag."""

    connection: AbstractConnection
    broken: Callable[[], None]
    consumers: dict[Subscription, tuple[AbstractChannel, AbstractQueue, str]]


class RabbitBus:
    """See the contract. A message that failed comes again after ``pause_s``; at the stop, handlers get ``stop_within_s`` to end."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        attempts_max: int = ATTEMPTS_MAX,
        publish_timeout_s: float = 10.0,
        pause_s: float = 5.0,
        reconnect_s: float = 1.0,
        heartbeat_s: int = 10,
        stop_within_s: float = 5.0,
    ) -> None:
        self._url = url
        self._clock = clock
        self._attempts_max = attempts_max
        self._publish_timeout_s = publish_timeout_s
        self._pause_s = pause_s
        self._heartbeat_s = heartbeat_s
        self._stop_within_s = stop_within_s
        self._queues: dict[str, Queue] = {}
        self._subscriptions: list[Subscription] = []
        self._subscribing = asyncio.Lock()
        self._questions = Questions(self._send)
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._stopping = False
        self._out: Line[_Out] = Line("publishing", opening=self._open_out, closing=_close, clock=clock, pause_s=reconnect_s)
        self._in: Line[_In] = Line("consuming", opening=self._open_in, closing=_close, clock=clock, pause_s=reconnect_s)

    @property
    def features(self) -> Features:
        return Features(name="rabbitmq", crosses_processes=True)

    # ---------------------------------------------------------------- start and stop

    async def start(self, queues: Iterable[Queue]) -> None:
        new = {queue.name: queue for queue in queues}
        standing = bool(self._queues)
        self._queues |= new
        try:
            out = await self._out.up()
            await self._in.up()
        except BaseException:
            await self._close_lines()
            raise
        if standing:
            async with _in_words(OPEN_WITHIN_S):
                await _declare(out.connection, new.values())

    async def stop(self) -> None:
        self._stopping = True
        with contextlib.suppress(Unavailable):
            cancelled = (_cancel(queue, tag) for _, queue, tag in self._in.opened.consumers.values())
            await asyncio.gather(*cancelled, return_exceptions=True)
        late = await asyncio.gather(*(s.finish(self._stop_within_s) for s in self._subscriptions))
        if sum(late):
            log.warning("bus_handed_back", messages=sum(late))
        await self._close_lines()

    async def _close_lines(self) -> None:
        # Closing the channels hands back whatever was not acknowledged.
        await self._in.stop()
        await self._out.stop()

    async def _connect(self, purpose: str, broken: Callable[[], None]) -> AbstractConnection:
        connection = await aio_pika.connect(
            self._url,
            timeout=self._publish_timeout_s,
            client_properties={"connection_name": f"q2c {purpose}"},
            heartbeat=self._heartbeat_s,
        )
        connection.close_callbacks.add(lambda *_: broken())
        return connection

    async def _open_out(self, broken: Callable[[], None]) -> _Out:
        def lost(*_: object) -> None:
            broken()
            self._questions.lost()

        connection = await self._connect("publishing", lost)
        async with _closed_on_failure(connection), asyncio.timeout(OPEN_WITHIN_S):
            await _declare(connection, self._queues.values())
            channel = connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize()
            channel.close_callbacks.add(lost)
            answers = await channel.get_queue(REPLY_TO, ensure=False)
            await answers.consume(self._on_answer, no_ack=True)
            events = await channel.get_exchange(EXCHANGE_EVENTS, ensure=False)
            return _Out(connection, channel, channel.default_exchange, events, answers)

    async def _open_in(self, broken: Callable[[], None]) -> _In:
        connection = await self._connect("consuming", broken)
        async with _closed_on_failure(connection), asyncio.timeout(OPEN_WITHIN_S), self._subscribing:
            await _declare(connection, self._queues.values())
            opened = _In(connection, broken, {})
            for subscription in () if self._stopping else self._subscriptions:
                await _begin(opened, subscription)
            return opened

    async def _on_answer(self, message: AbstractIncomingMessage) -> None:
        self._questions.arrived(message.correlation_id or "", message.body)

    # ---------------------------------------------------------------- publishing

    async def publish(self, address: Address, letter: Envelope) -> None:
        if address.is_event:
            await self._send(Posting(parcel=Parcel.of(letter), to=letter.type, event=True, mandatory=False))
        else:
            await self._send(Posting(parcel=Parcel.of(letter), to=address.queue))

    async def _send(self, posting: Posting) -> None:
        await self._send_within(self._publish_timeout_s, posting)

    async def _send_within(self, within_s: float, posting: Posting) -> None:
        """Hand a message to the broker and wait until it is safe. Raises `Unavailable`; after a time-out it may arrive all the same."""
        out = self._out.opened
        # One at a time for each id: the library finds a returned message by its id, and would take one of two twins for delivered.
        turn = self._turns.setdefault(posting.parcel.id, asyncio.Lock())
        try:
            async with _in_words(within_s), turn:
                exchange = out.events if posting.event else out.queues
                await exchange.publish(_message(posting), routing_key=posting.to, mandatory=posting.mandatory)
        except Unavailable as failure:
            if failure.code == "unroutable":
                await self._put_back(out, posting.to)
            raise

    async def _put_back(self, out: _Out, name: str) -> None:
        """Declare a queue of ours again that somebody has deleted, so that the next attempt arrives."""
        ours = {laid.name: queue for queue in self._queues.values() for laid in laid_out(queue)}
        if name in ours:
            log.error("bus_queue_was_gone", queue=name)
            async with _in_words(self._publish_timeout_s):
                await _declare(out.connection, [ours[name]])

    async def ready(self) -> bool:
        # A message for nobody, confirmed: a connection may look open while the broker hangs or takes no more.
        probe = Posting(parcel=Parcel(body=b"", id=new_message_id()), to=PROBE, mandatory=False, durable=False)
        try:
            await self._send_within(READY_WITHIN_S, probe)
        except Unavailable:
            return False
        return True

    # ---------------------------------------------------------------- consuming, asking, answering

    async def consume(self, queue: str, handler: Handler, *, prefetch: int = 16) -> None:
        work = Handling(queue, handler, send=self._send, clock=self._clock, attempts_max=self._attempts_max, pause_s=self._pause_s)
        await self._subscribe(Subscription(queue, work, prefetch=prefetch))

    async def answer(self, queue: str, answerer: Answerer, *, prefetch: int = 16) -> None:
        work = Answering(queue, answerer, send=self._send, clock=self._clock)
        await self._subscribe(Subscription(queue, work, prefetch=prefetch))

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        return await self._questions.ask(queue, letter, within_s=within_s)

    async def _subscribe(self, subscription: Subscription) -> None:
        if subscription.queue not in self._queues:
            raise Unavailable("unroutable", f"nobody has declared the queue {subscription.queue}")
        self._subscriptions.append(subscription)
        opened = await self._in.up()
        async with self._subscribing:
            if subscription not in opened.consumers:
                try:
                    async with _in_words(OPEN_WITHIN_S):
                        await _begin(opened, subscription)
                except Unavailable:  # the next connection begins with all subscriptions
                    opened.broken()

    # ---------------------------------------------------------------- dead letters

    async def dead_letters(self, queue: str, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        return await look(self._drawer, queue, limit=limit)

    async def redrive(self, queue: str, *, limit: int = 100) -> int:
        return await send_back(self._drawer, queue, self._send, limit=limit)

    @contextlib.asynccontextmanager
    async def _drawer(self, queue: str) -> AsyncIterator[Drawer]:
        """The dead letters of a queue, for one reader at a time in all processes, over a connection that nothing else depends on."""
        laid = next((laid for q in self._queues.values() for laid in laid_out(q) if laid.name == dead_queue(queue)), None)
        if laid is None:
            yield Drawer(_nothing)
            return
        async with _in_words(LOOK_WITHIN_S):
            connection = await self._connect("looking", lambda: None)
            try:
                await self._lock(connection, lock_queue(queue))
                async with connection.channel(publisher_confirms=False) as channel:
                    dead = await channel.declare_queue(laid.name, durable=True, arguments=laid.arguments)

                    async def get() -> _Delivery | None:
                        message = await dead.get(fail=False)
                        return None if message is None else _Delivery(message)

                    async with Drawer(get) as drawer:
                        yield drawer
            finally:
                await _close_connection(connection)

    async def _lock(self, connection: AbstractConnection, name: str) -> None:
        """Wait until this connection alone, of all in all processes, holds the lock. It ends with the connection."""
        while True:
            try:
                async with connection.channel(publisher_confirms=False) as channel:
                    await channel.declare_queue(name, exclusive=True)
                    return
            except ChannelClosed:
                await self._clock.sleep(LOCK_RETRY_S)


# ---------------------------------------------------------------- the library, in our words


@contextlib.asynccontextmanager
async def _in_words(within_s: float) -> AsyncIterator[None]:
    """What goes wrong inside, or takes too long, is `Unavailable`."""
    try:
        async with asyncio.timeout(within_s):
            yield
    except CONNECTION_EXCEPTIONS as error:
        code = next((code for kind, code in CODES if isinstance(error, kind)), "bus_away")
        raise Unavailable(code, repr(error)) from error
    except asyncio.CancelledError as error:
        # So the library reports a connection that the broker no longer answers on. It is our own cancellation only if somebody asked.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Unavailable("bus_away", "the broker no longer answers") from error


@contextlib.asynccontextmanager
async def _closed_on_failure(connection: AbstractConnection) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await _close_connection(connection)
        raise


async def _close_connection(connection: AbstractConnection) -> None:
    with contextlib.suppress(Unavailable):
        async with _in_words(CLOSE_WITHIN_S):
            await connection.close()


async def _close(opened: _Out | _In) -> None:
    await _close_connection(opened.connection)


async def _declare(connection: AbstractConnection, queues: Iterable[Queue]) -> None:
    async with connection.channel(publisher_confirms=False) as channel:
        events = await channel.declare_exchange(EXCHANGE_EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
        every: list[Laid] = [laid for queue in queues for laid in laid_out(queue)]
        for laid in every:
            declared = await channel.declare_queue(laid.name, durable=True, arguments=laid.arguments)
            for event in laid.events:
                await declared.bind(events, routing_key=event)


async def _begin(opened: _In, subscription: Subscription) -> None:
    channel = opened.connection.channel(publisher_confirms=False)
    await channel.initialize()
    await channel.set_qos(prefetch_count=subscription.prefetch)
    channel.close_callbacks.add(lambda *_: opened.broken())
    # The broker ends a consumer when its queue is deleted, or when it took too long; nobody tells us otherwise.
    (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda _: opened.broken())

    async def take(message: AbstractIncomingMessage) -> None:
        subscription.take(_Delivery(message))

    queue = await channel.get_queue(subscription.queue, ensure=False)
    opened.consumers[subscription] = (channel, queue, await queue.consume(take))


async def _cancel(queue: AbstractQueue, tag: str) -> None:
    async with _in_words(CLOSE_WITHIN_S):
        await queue.cancel(tag)


class _Delivery:
    """A message of the library. Where its connection is gone, the broker has taken it back already and sends it again."""

    def __init__(self, message: AbstractIncomingMessage) -> None:
        self._message = message
        self.answer_to = message.reply_to or ""
        self.token = message.correlation_id or ""
        self.parcel = Parcel.found(
            message.body,
            message_id=message.message_id,
            wire_type=message.type,
            correlation_id=message.correlation_id,
            headers=message.headers,
        )

    async def done(self) -> None:
        await self._tell(self._message.ack())

    async def back(self) -> None:
        await self._tell(self._message.nack(requeue=True))

    async def _tell(self, word: Awaitable[None]) -> None:
        try:
            async with _in_words(CLOSE_WITHIN_S):
                await word
        except Unavailable as failure:
            log.info("bus_message_comes_again", message=self.parcel.id, reason=str(failure))


async def _nothing() -> None:
    """There is no drawer, so there is nothing in it."""


def _message(posting: Posting) -> aio_pika.Message:
    parcel = posting.parcel
    return aio_pika.Message(
        parcel.body,
        content_type="application/json",
        headers=parcel.headers(),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT if posting.durable else aio_pika.DeliveryMode.NOT_PERSISTENT,
        message_id=parcel.id,
        type=parcel.type,
        correlation_id=posting.token or parcel.correlation_id,
        expiration=posting.expires_s,
        reply_to=posting.answer_to or None,
    )
