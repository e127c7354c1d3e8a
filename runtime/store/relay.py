"""The relay: what was committed gets onto the bus, straight away where that works, by a sweep where a crash or an outage came between.

A message may be published twice (a crash after the publication, a broker that took it and did not say so); it carries the same id each
time, and the inbox of its receiver tells. It is never lost: only what the bus has confirmed is marked as sent.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence

import structlog

from canonical.failures import Unavailable
from runtime import metrics
from runtime.bus.contract import Bus
from runtime.clock import Clock
from runtime.keys import new_message_id
from runtime.store.contract import OutboxRow, Send, Store

log = structlog.get_logger("q2c.relay")

LEFT_BEHIND_AFTER = dt.timedelta(seconds=2)
SWEEP_EVERY_S = 1.0
SWEEP_EVERY_S_MAX = 10.0  # while the bus is away
SWEEP_MAX = 200
TOGETHER = 50
MARK_AT_ONCE = 200
# One relay sweeps at a time: many would publish the same messages again and again.
LEASE = "relay.sweep"
LEASE_FOR = dt.timedelta(seconds=10)

Outgoing = Send | OutboxRow


class Relay:
    """Moves messages from the outbox to the bus. `run` is to run for as long as the process does."""

    def __init__(self, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        # Published and not yet marked. Marks are written by the batch: one lost in a crash only means publishing again.
        self._published: set[str] = set()
        self._marking: set[str] = set()
        self._under_way: set[str] = set()
        # Cannot be published although the bus works (nobody is declared to receive it). They must not stand in the way of others.
        self._stuck: set[str] = set()
        self._away = False
        self._name = new_message_id()

    async def publish_now(self, sends: Sequence[Send]) -> None:
        """Publish what has just been committed. Never raises for a failure: what does not get through, the sweep sends later.

        While the bus is known to be away nothing is tried, so that nobody waits for it step by step.
        """
        if self._away or not sends:
            return
        await self._publish(sends)
        if len(self._published) >= MARK_AT_ONCE:
            await self._mark_or_keep()

    async def run(self) -> None:
        """Mark what was published, and sweep up what was left behind, until cancelled. Whatever goes wrong, it goes on."""
        wait_s = SWEEP_EVERY_S
        while True:
            try:
                wait_s = SWEEP_EVERY_S if await self._round() else min(wait_s * 2, SWEEP_EVERY_S_MAX)
                await self._clock.sleep(wait_s)
            except asyncio.CancelledError:
                # A broker that hangs shows as a cancellation of whoever publishes; ours alone ends the relay.
                if _is_being_cancelled():
                    await self._mark_or_keep()
                    raise
                log.warning("relay_interrupted")
                wait_s = await self._pause(wait_s)
            except Exception as error:
                log.warning("relay_failed", error=f"{type(error).__name__}: {error}")
                wait_s = await self._pause(wait_s)

    async def _round(self) -> bool:
        """One turn of the loop; False where the bus is away."""
        await self.mark()
        if self._away:
            self._away = not await self._bus.ready()
        return not self._away and await self.sweep()

    async def _pause(self, wait_s: float) -> float:
        longer_s = min(wait_s * 2, SWEEP_EVERY_S_MAX)
        await self._clock.sleep(longer_s)
        return longer_s

    async def stop(self) -> None:
        """Write the marks that are due: at the very end, when nothing is published any more."""
        await self._mark_or_keep()

    async def mark(self) -> None:
        """Write down what was published."""
        published, self._published = self._published, set()
        self._marking |= published
        try:
            await self._store.mark_sent(tuple(published))
        except BaseException:
            self._published |= published
            raise
        finally:
            self._marking -= published

    async def sweep(self) -> bool:
        """Publish what was left behind; False where the bus does not take it."""
        if not await self._left_behind():
            return True
        now = self._clock.now()
        if not await self._store.lease(LEASE, self._name, slots=1, until=now + LEASE_FOR, now=now):
            return True
        try:
            left = await self._left_behind()  # again: whoever held the lease may just have published it
            for start in range(0, len(left), TOGETHER):
                if not await self._publish(left[start : start + TOGETHER]):
                    return False
            log.info("relay_swept", messages=len(left), stuck=len(self._stuck))
            await self.mark()
        finally:
            await self._store.release(LEASE, self._name)
        return True

    async def _left_behind(self) -> list[OutboxRow]:
        """What nobody has published in time; what failed before comes last, because the others may well get through."""
        before = self._clock.now() - LEFT_BEHIND_AFTER
        known = self._published | self._marking | self._under_way
        rows = await self._store.unsent(older_than=before, limit=SWEEP_MAX + len(self._stuck) + len(known))
        self._stuck.intersection_update(row.letter.id for row in rows)
        left = [row for row in rows if row.letter.id not in known]
        metrics.left_behind((row.letter.sent_at for row in left), self._clock.now())
        return sorted(left, key=lambda row: row.letter.id in self._stuck)

    async def _publish(self, messages: Sequence[Outgoing]) -> bool:
        """Publish messages together; False where the bus as such does not work."""
        ids = [message.letter.id for message in messages]
        self._under_way.update(ids)
        try:
            outcomes = await self._outcomes(messages)
        finally:
            self._under_way.difference_update(ids)
        working = True
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome is None:
                self._published.add(message.letter.id)
                self._stuck.discard(message.letter.id)
            else:
                working = self._note(message, outcome) and working
        return working

    async def _outcomes(self, messages: Sequence[Outgoing]) -> Sequence[BaseException | None]:
        if len(messages) == 1:
            try:
                await self._bus.publish(messages[0].address, messages[0].letter)
            except (Exception, asyncio.CancelledError) as error:
                if _is_being_cancelled():
                    raise
                return [error]
            return [None]
        # Each in a task of its own: a cancellation that comes out of a hung broker then ends that task and not ours.
        return await asyncio.gather(*(self._bus.publish(m.address, m.letter) for m in messages), return_exceptions=True)

    def _note(self, message: Outgoing, outcome: BaseException) -> bool:
        """Remember a message that did not get through; False where that is the bus's fault."""
        log.warning(
            "publish_failed",
            message_id=message.letter.id,
            type=message.letter.type,
            queue=message.address.queue,
            correlation_id=message.letter.correlation_id,
            error=f"{type(outcome).__name__}: {outcome}",
        )
        away = isinstance(outcome, asyncio.CancelledError) or (isinstance(outcome, Unavailable) and outcome.code != "unroutable")
        if away:
            self._away = True
        else:
            self._stuck.add(message.letter.id)
        return not away

    async def _mark_or_keep(self) -> None:
        try:
            await self.mark()
        except Exception as error:
            log.warning("mark_failed", messages=len(self._published), error=f"{type(error).__name__}: {error}")


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
