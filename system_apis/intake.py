"""From outside facts to events: kept webhooks and polls are translated by the card and told to everyone, once."""

import datetime as dt
from collections.abc import Sequence

import structlog

from canonical.failures import Broken, Failure
from runtime import telemetry
from runtime.bus.contract import EVERYONE
from runtime.bus.wire import Envelope, envelope
from runtime.clock import Clock
from runtime.context import Context, current, working_in
from runtime.house import House
from runtime.keys import message_id_for, new_correlation_id, new_message_id
from runtime.store.contract import Duplicate, MarkReceived, Received, Seen, Send, SetCursor, Write
from system_apis.connector import Poll, Translated
from system_apis.desk import Connection, Desk, in_words
from system_apis.webhooks import Translate

log = structlog.get_logger("q2c.intake")

INTAKE = "intake"


class Intake:
    """Translates what comes in over the connections of this process."""

    def __init__(self, desk: Desk, house: House, clock: Clock) -> None:
        self._desk = desk
        self._house = house
        self._clock = clock

    async def translate(self, letter: Envelope) -> None:
        """Handle a `Translate`: a mapping that fails leaves the kept event to be translated again after the fix."""
        message = letter.open()
        if not isinstance(message, Translate):
            raise Broken("misaddressed", f"the inbox does not understand {letter.type}")
        connection = self._desk.connections.get(message.connection)
        kept = await self._house.store.received_one(letter.tenant, message.connection, message.event_id)
        if connection is None or connection.card.webhooks is None or kept is None or kept.state == "translated":
            return
        await self._translate_kept(connection, kept, letter)

    async def _translate_kept(self, connection: Connection, kept: Received, letter: Envelope) -> None:
        webhooks = connection.card.webhooks
        if webhooks is None:
            return
        mark = {"tenant": kept.tenant, "connection": kept.connection, "event_id": kept.event_id}
        try:
            with self._desk.calling(connection, current()):
                found = await in_words(webhooks.translate(self._desk.call(connection, letter.context), kept.body))
            writes = [*await self._told(connection, found), MarkReceived(**mark, state="translated")]
        except Failure as failure:
            if failure.word in {"throttled", "unavailable", "outcome_unknown"}:
                raise
            log.exception("webhook_not_translated", connection=connection.name, event_id=kept.event_id, why=str(failure))
            writes = [MarkReceived(**mark, state="failed", reason=str(failure))]
        await self._house.commit(writes)

    async def poll(self, connection: Connection, poll: Poll) -> int:
        """Ask once what is new; returns how many events were told. Events and cursor are one commit."""
        name = f"{connection.tenant}/{connection.name}/{poll.name}"
        cursor = await self._house.store.cursor(name)
        context = Context(tenant=connection.tenant, entity=next(iter(connection.entities), ""), correlation_id=new_correlation_id())
        with telemetry.span(f"poll {connection.name}/{poll.name}", context=context) as traced, working_in(traced or context):
            return await self._polled(connection, poll, name, cursor)

    async def _polled(self, connection: Connection, poll: Poll, name: str, cursor: str) -> int:
        answer = await self._desk.ask(connection.name, poll.command(cursor), current())
        found, moved = poll.translate(answer.reply)
        # a poll looks back behind its cursor, so as to miss nothing; what was told before is not told again
        new = [t for t in found if not await self._house.store.seen(INTAKE, _message_id(connection, t))]
        if new or moved != cursor:
            told = [Seen(INTAKE, _message_id(connection, t)) for t in new]
            await self._house.commit([*told, *await self._told(connection, new), SetCursor(name, moved)])
        return len(new)

    async def may_poll(self, name: str, holder: str, until: dt.datetime, now: dt.datetime) -> bool:
        """Whether this worker is the one that polls until then."""
        return await self._house.store.lease(name, holder, slots=1, until=until, now=now)

    async def tell(self, connection: Connection, found: Sequence[Translated]) -> int:
        """Tell events that came as a file; returns how many of them were new."""
        new = [t for t in found if not await self._house.store.seen(INTAKE, _message_id(connection, t))]
        await self._house.write(*(Seen(INTAKE, _message_id(connection, t)) for t in new), *await self._told(connection, new))
        return len(new)

    async def _told(self, connection: Connection, found: Sequence[Translated]) -> list[Write]:
        """The messages that tell the events; the same fact again gets the same message id, and the inbox of its readers drops it."""
        writes: list[Write] = []
        for translated in found:
            correlation_id = ""
            if translated.order_id:
                correlation_id = await self._house.store.correlation_of(connection.tenant, "order_booking", translated.order_id)
            context = Context(
                tenant=connection.tenant,
                entity=getattr(translated.event, "entity", "") or next(iter(connection.entities), ""),
                correlation_id=correlation_id or new_correlation_id(),
                traceparent=current().traceparent,
            )
            letter = envelope(translated.event, context, now=self._clock.now(), message_id=_message_id(connection, translated))
            writes.append(Send(EVERYONE, letter))
        return writes


def _message_id(connection: Connection, translated: Translated) -> str:
    return message_id_for(INTAKE, connection.tenant, connection.name, translated.id)


class Poller:
    """Asks each polled connection again and again; one that is away costs only its own turn."""

    def __init__(self, desk: Desk, intake: Intake, clock: Clock) -> None:
        self._desk = desk
        self._intake = intake
        self._clock = clock
        self._holder = new_message_id()
        self._next_at: dict[str, dt.datetime] = {}

    async def turn(self) -> int:
        """Poll what is due now; returns how many events were told."""
        told = 0
        for connection in self._desk.connections.values():
            for poll in connection.card.polls:
                name, now = f"{connection.name}/{poll.name}", self._clock.now()
                if self._next_at.get(name, now) > now:
                    continue
                every = dt.timedelta(seconds=connection.poll_every_s or poll.every_s)
                self._next_at[name] = now + every
                try:
                    # of several workers one polls in each interval
                    if await self._intake.may_poll(f"poll:{connection.tenant}/{name}", self._holder, now + every, now):
                        told += await self._intake.poll(connection, poll)
                except Duplicate:
                    log.info("polled_by_another", poll=name)
                except Failure as failure:
                    log.warning("poll_failed", poll=name, why=str(failure))
        return told
