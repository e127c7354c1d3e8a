"""The uncertain-write ledger: every write to a vendor is planned, sent, and then confirmed, refused, or uncertain until it is found out.

A confirmed write is never sent again: its reply is given from the ledger. After an unknown outcome the vendor is asked whether it
happened; only a clear no, and not before its settle time is over, lets it be sent again. How a write is made single is data on the card.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog

from canonical.failures import Failure, FailureRecord, OutcomeUnknown, Rejected, Unavailable
from canonical.messages import Command, Event
from runtime.clock import Clock
from runtime.context import Context
from runtime.keys import new_message_id
from runtime.process.asking import Answer
from runtime.store.contract import Effect, EffectState, PutEffect, Store

log = structlog.get_logger("q2c.effects")

# A write holds its lock for as long as it takes; a worker that dies over it leaves the lock to others this soon.
LOCK_S = 10.0
RENEWED_EVERY_S = 3.0


# What a failed attempt leaves behind, by the word of its failure; every other leaves it uncertain.
LEFT: Mapping[str, EffectState] = {"rejected": "refused", "misconfigured": "refused", "throttled": "planned", "unavailable": "planned"}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One write as the ledger sees it.

    ``handle``: the vendor itself makes the same key the same effect, so no intent need be stored. ``replays``: it gives the same answer to
    the same key again, so that what it refuses under a key it has not done under it before.
    """

    connection: str
    command: Command[Any]
    handle: bool
    replays: bool = False
    settles_in: dt.timedelta
    run: Callable[[], Awaitable[Event]]
    find: Callable[[], Awaitable[Event | None]] | None


class Lock(msgspec.Struct):
    """A worker's sole right to send a write. ``until``: from then on it may be another one's; unset, it never was ours."""

    name: str
    holder: str
    until: dt.datetime = dt.datetime.min.replace(tzinfo=dt.UTC)


class EffectsLedger:
    """Makes each write to a vendor happen once, by its step key."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def perform(self, attempt: Attempt, context: Context) -> Answer:
        """The reply of the write, made now or earlier. Raises one of the six failures; the ledger then says how far it came."""
        if attempt.handle:
            return await self._send(attempt, context, None)
        async with self._alone(f"effect:{context.tenant}:{context.key}") as lock:
            return await self._send(attempt, context, lock)

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[Lock]:
        """No other worker sends this write meanwhile. Should the lock be lost all the same, nothing more is sent under it, and what was
        sent before has the settle time to be seen.
        """
        lock = Lock(name, new_message_id())
        if not await self._held(lock):
            raise OutcomeUnknown("in_flight", "another worker is sending this very write", retry_after_s=2.0)
        keeping = asyncio.create_task(self._keep(lock))
        try:
            yield lock
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
            await self._store.release(name, lock.holder)

    async def _held(self, lock: Lock) -> bool:
        now = self._clock.now()
        until = now + dt.timedelta(seconds=LOCK_S)
        held = await self._store.lease(lock.name, lock.holder, slots=1, until=until, now=now)
        if held:
            lock.until = until
        return held

    async def _keep(self, lock: Lock) -> None:
        while True:
            await self._clock.sleep(RENEWED_EVERY_S)
            try:
                await self._held(lock)
            except Failure as failure:
                log.warning("lock_not_renewed", lock=lock.name, why=str(failure))

    async def _send(self, attempt: Attempt, context: Context, lock: Lock | None) -> Answer:
        # Looked up under the lock: what another worker has sent in the meantime must be seen. Where nobody can have sent it, and the vendor
        # itself would tell, there is nothing to look up.
        fresh = context.first and attempt.handle
        known = None if fresh else await self._store.effect(context.tenant, context.key)
        if known is not None and known.state in {"confirmed", "compensated"}:
            return Answer(msgspec.json.decode(known.reply, type=attempt.command.reply_type()), attempt.connection)
        doubtful = _may_stand(attempt, context, known)
        if known is not None and known.state != "refused" and known.attempts and attempt.find is not None:
            found = await self._found(attempt, known)
            if found is not None:
                return self._confirmed(attempt, known, found)
            doubtful = False  # a no that counts
        tried = self._effect(attempt, context, known, "sent")
        if not fresh:
            await self._store.commit([PutEffect(tried)])
        try:
            if lock is not None and self._clock.now() >= lock.until:  # frozen meanwhile: another worker may be at it, or through with it
                raise Unavailable("lock_lost", f"{attempt.connection} was not asked: this worker was away for too long")
            reply = await attempt.run()
        except Failure as failure:
            if attempt.replays and attempt.find is None and isinstance(failure, Rejected):
                doubtful = False
            await self._store.commit([PutEffect(self._failed(tried, failure, doubtful=doubtful))])
            if doubtful and isinstance(failure, Rejected):
                # The vendor refuses it now, and may have taken it before: it has to be found out, or it would never be taken back.
                raise OutcomeUnknown("refused_again", failure.detail, retry_after_s=attempt.settles_in.total_seconds()) from failure
            raise
        return self._confirmed(attempt, tried, reply)

    async def _found(self, attempt: Attempt, known: Effect) -> Event | None:
        """What the vendor has of it. A yes counts at any time, a no only when the vendor has had its time to settle before it was asked."""
        asked_at = self._clock.now()
        found = await attempt.find() if attempt.find is not None else None
        settled_at = (known.sent_at or known.updated_at) + attempt.settles_in
        rest_s = (settled_at - asked_at).total_seconds()
        if found is None and known.state in {"sent", "uncertain"} and rest_s > 0:
            raise OutcomeUnknown("settling", f"{attempt.connection} may still be at it; looking in {rest_s:.0f} s", retry_after_s=rest_s)
        return found

    def _effect(self, attempt: Attempt, context: Context, known: Effect | None, state: EffectState) -> Effect:
        now = self._clock.now()
        return Effect(
            tenant=context.tenant,
            key=context.key,
            connection=attempt.connection,
            command=attempt.command.wire_name(),
            state=state,
            correlation_id=context.correlation_id,
            attempts=(known.attempts if known else 0) + 1,
            sent_at=now,
            updated_at=now,
        )

    def _failed(self, tried: Effect, failure: Failure, *, doubtful: bool) -> Effect:
        """What a failed attempt leaves: refused where the vendor said no, planned where nothing was done, else uncertain.

        Where an earlier attempt may have had its effect, a later failure says nothing about that one: it stays uncertain.
        """
        state = LEFT.get(failure.word, "uncertain")
        if doubtful:
            state = "uncertain"
        return msgspec.structs.replace(tried, state=state, failure=FailureRecord.of(failure), updated_at=self._clock.now())

    def _confirmed(self, attempt: Attempt, tried: Effect, reply: Event) -> Answer:
        effect = msgspec.structs.replace(
            tried, state="confirmed", reply=msgspec.json.encode(reply), failure=None, updated_at=self._clock.now()
        )
        return Answer(reply, attempt.connection, (PutEffect(effect),))


def _may_stand(attempt: Attempt, context: Context, known: Effect | None) -> bool:
    """Whether an earlier attempt may have had its effect: it was sent and nothing is known of it, or a worker died over the very first one,
    which for a vendor with a handle leaves no intent.
    """
    if known is None:
        return attempt.handle and not context.first
    return known.state in {"sent", "uncertain"}
