"""The ledger of uncertain writes: how far each write came, who may send it, and when the vendor is asked whether it happened."""

import asyncio
import datetime as dt
from collections import deque

import msgspec
import pytest

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.messages import Event
from runtime.clock import SetClock
from runtime.context import Context
from runtime.effects import LOCK_S, Attempt, EffectsLedger
from runtime.process.asking import Answer
from runtime.store.contract import Effect, EffectState, Fenced, PutEffect
from runtime.store.engine import SqlStore
from tests.runtime.process.vendor import Do, Done

SETTLES_IN = dt.timedelta(seconds=30)
CONTEXT = Context(tenant="acme", entity="US01", correlation_id="q2c-1", key="jobs/J-1/one")
DONE = Done(what="one", ref="R-1")


class Desk:
    """One write at a vendor: what it does next, and what looking for it finds."""

    def __init__(self, store: SqlStore, clock: SetClock, *, handle: bool, replays: bool = False) -> None:
        self.store = store
        self.ledger = EffectsLedger(store, clock)
        self.handle = handle
        self.replays = replays
        self.next: deque[BaseException | None] = deque()
        self.there = False
        self.trace: list[str] = []
        self.seen: list[EffectState | None] = []
        self.gate: asyncio.Event | None = None

    async def write(self, *, find: bool = True, first: bool | None = None) -> Answer:
        """Perform it; where it works, commit what is to be committed with the knowledge of it."""
        context = msgspec.structs.replace(CONTEXT, first=not self.trace if first is None else first)
        answer = await self.ledger.perform(self.attempt(find=find), context)
        await self.store.commit(answer.writes)
        return answer

    def attempt(self, *, find: bool = True) -> Attempt:
        return Attempt(
            connection="workbench",
            command=Do(what="one"),
            handle=self.handle,
            replays=self.replays,
            settles_in=SETTLES_IN,
            run=self._run,
            find=self._find if find else None,
        )

    async def _run(self) -> Event:
        self.trace.append("send")
        effect = await self.store.effect("acme", CONTEXT.key)
        self.seen.append(effect.state if effect else None)
        if self.gate is not None:
            await self.gate.wait()
        if self.next and (outcome := self.next.popleft()) is not None:
            raise outcome
        self.there = True
        return DONE

    async def _find(self) -> Event | None:
        self.trace.append("find")
        return DONE if self.there else None

    async def effect(self) -> Effect:
        found = await self.store.effect("acme", CONTEXT.key)
        assert found is not None
        return found


@pytest.fixture(params=[True, False], ids=["keyed vendor", "vendor without a handle"])
def desk(request: pytest.FixtureRequest, store: SqlStore, clock: SetClock) -> Desk:
    return Desk(store, clock, handle=request.param)


@pytest.fixture
def bare(store: SqlStore, clock: SetClock) -> Desk:
    """A vendor that has no handle to make a write single."""
    return Desk(store, clock, handle=False)


@pytest.fixture
def keyed(store: SqlStore, clock: SetClock) -> Desk:
    """A vendor that makes the same key the same thing."""
    return Desk(store, clock, handle=True)


async def test_a_write_that_works_is_confirmed_with_its_reply(desk: Desk) -> None:
    """The answer carries the write that confirms the effect, to be committed with the knowledge of it."""
    answer = await desk.write()
    assert (answer.reply, answer.connection) == (DONE, "workbench")
    effect = await desk.effect()
    assert (effect.state, effect.command, effect.attempts, effect.correlation_id) == ("confirmed", "bench.Do", 1, "q2c-1")


async def test_a_confirmed_write_is_never_sent_again(desk: Desk) -> None:
    """The same key again is answered from the ledger."""
    await desk.write()
    again = await desk.write()
    assert (again.reply, again.writes, desk.trace) == (DONE, (), ["send"])


async def test_a_compensated_write_is_not_sent_again(desk: Desk) -> None:
    """An effect that was taken back does not come into being anew under its old key."""
    await desk.write()
    effect = await desk.effect()
    await desk.store.commit([PutEffect(msgspec.structs.replace(effect, state="compensated"))])
    assert (await desk.write()).reply == DONE
    assert desk.trace == ["send"]


async def test_intent_is_committed_before_sending_where_the_vendor_has_no_handle(bare: Desk) -> None:
    """When the vendor is reached, the ledger says already that it was sent."""
    await bare.write()
    assert bare.seen == ["sent"]


async def test_no_intent_is_needed_where_the_key_makes_it_single(keyed: Desk) -> None:
    """A keyed vendor is asked for the first time without a commit before it; for any later time the intent is committed."""
    keyed.next.append(Unavailable("away"))
    with pytest.raises(Unavailable):
        await keyed.write()
    await keyed.write()
    assert keyed.seen == [None, "sent"]


@pytest.mark.parametrize("failure", [Throttled("slow_down"), Unavailable("away")])
async def test_what_a_dead_worker_may_have_done_stays_in_doubt(keyed: Desk, failure: Failure) -> None:
    """A worker died over the first attempt, which leaves nothing in the ledger: a second one that fails says nothing of the first (V5)."""
    keyed.there = True
    keyed.next.append(failure)
    with pytest.raises(type(failure)):
        await keyed.write(first=False)
    assert (await keyed.effect()).state == "uncertain"
    assert (await keyed.write()).reply == DONE
    assert keyed.trace == ["send", "find"]


@pytest.mark.parametrize("replays", [False, True])
async def test_a_refusal_without_a_look_counts_where_the_vendor_replays_its_answers(
    store: SqlStore, clock: SetClock, replays: bool
) -> None:
    """Nobody can look whether an earlier attempt was done: that it was not is known of a vendor that answers a key as it did before, and of
    no other; there it stays in doubt and goes to a person, and is not undone as if it were nothing (I8).
    """
    desk = Desk(store, clock, handle=True, replays=replays)
    desk.next.extend([OutcomeUnknown("no_answer"), Rejected("period_closed")])
    with pytest.raises(OutcomeUnknown):
        await desk.write(find=False)
    with pytest.raises(Rejected if replays else OutcomeUnknown):
        await desk.write(find=False)
    assert (await desk.effect()).state == ("refused" if replays else "uncertain")


async def test_a_refusal_does_not_hide_what_was_done_before(keyed: Desk, clock: SetClock) -> None:
    """Refused now, done before: it is found out, and not taken for never done, or nobody would take it back (I8)."""
    keyed.there = True
    keyed.next.append(Rejected("period_closed"))
    with pytest.raises(OutcomeUnknown, match="refused_again") as unknown:
        await keyed.write(first=False)
    assert unknown.value.retry_after_s == SETTLES_IN.total_seconds()
    assert (await keyed.write()).reply == DONE
    assert keyed.trace == ["send", "find"]


async def test_a_refusal_counts_when_it_is_certain_that_nothing_was_done_before(keyed: Desk, clock: SetClock) -> None:
    """When the vendor has had its time to settle and knows of nothing, its refusal is one."""
    keyed.next += [Rejected("period_closed"), Rejected("period_closed")]
    with pytest.raises(OutcomeUnknown):
        await keyed.write(first=False)
    clock.move(SETTLES_IN.total_seconds())
    with pytest.raises(Rejected):
        await keyed.write()
    assert (await keyed.effect()).state == "refused"


@pytest.mark.parametrize("later", [Throttled("slow_down"), Unavailable("away")])
async def test_a_later_failure_does_not_settle_an_unknown_outcome(keyed: Desk, later: Failure) -> None:
    """An unknown outcome stays one when the next attempt does not get through, where the vendor cannot be asked whether it happened."""
    keyed.next += [OutcomeUnknown("no_answer"), later]
    for failure in (OutcomeUnknown, type(later)):
        with pytest.raises(failure):
            await keyed.write(find=False)
    assert (await keyed.effect()).state == "uncertain"


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (Rejected("no"), "refused"),
        (Misconfigured("bad_key"), "refused"),
        (Throttled("slow_down"), "planned"),
        (Unavailable("away"), "planned"),
        (OutcomeUnknown("no_answer"), "uncertain"),
        (Broken("unreadable", raw="<html>"), "uncertain"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.word,
)
async def test_each_word_leaves_its_state(desk: Desk, failure: Failure, state: EffectState) -> None:
    """What a failed attempt leaves: refused where the vendor said no, planned where nothing was done, else uncertain."""
    desk.next.append(failure)
    with pytest.raises(type(failure)):
        await desk.write()
    effect = await desk.effect()
    assert (effect.state, effect.attempts) == (state, 1)
    assert effect.failure is not None
    assert (effect.failure.word, effect.failure.raw) == (failure.word, failure.raw)


async def test_a_no_before_the_settle_time_is_no_answer(desk: Desk, clock: SetClock) -> None:
    """Before the vendor's settle time is over a no does not count: nothing is sent, and the failure says how long that is (V8)."""
    desk.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await desk.write()
    clock.move(10)
    with pytest.raises(OutcomeUnknown, match="settling") as waiting:
        await desk.write()
    assert (waiting.value.retry_after_s, desk.trace) == (20.0, ["send", "find"])


async def test_a_yes_counts_at_once(desk: Desk) -> None:
    """A write that is found is confirmed without waiting for the settle time, and not sent again."""
    desk.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await desk.write()
    desk.there = True
    assert (await desk.write()).reply == DONE
    assert (desk.trace, (await desk.effect()).state) == (["send", "find"], "confirmed")


async def test_what_is_found_is_confirmed_without_sending(desk: Desk, clock: SetClock) -> None:
    """A write that did happen is found after the settle time and confirmed; it is not sent a second time (V7)."""
    desk.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await desk.write()
    desk.there = True
    clock.move(30)
    assert (await desk.write()).reply == DONE
    assert desk.trace == ["send", "find"]
    assert ((await desk.effect()).state, (await desk.effect()).failure) == ("confirmed", None)


async def test_only_a_clear_no_lets_it_be_sent_again(desk: Desk, clock: SetClock) -> None:
    """A write that did not happen is looked for first and sent again then (V7)."""
    desk.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await desk.write()
    clock.move(30)
    await desk.write()
    assert desk.trace == ["send", "find", "send"]
    assert (await desk.effect()).attempts == 2


async def test_looking_that_fails_changes_nothing(desk: Desk, clock: SetClock) -> None:
    """When the vendor is away while it is asked whether it happened, the write stays uncertain and unsent."""
    desk.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await desk.write()
    clock.move(30)

    async def away() -> Event | None:
        raise Unavailable("away")

    attempt = desk.attempt()
    broken = Attempt(connection="workbench", command=attempt.command, handle=desk.handle, settles_in=SETTLES_IN, run=attempt.run, find=away)
    with pytest.raises(Unavailable):
        await desk.ledger.perform(broken, CONTEXT)
    assert ((await desk.effect()).state, desk.trace) == ("uncertain", ["send"])


async def test_a_refused_write_may_be_sent_again_at_once(desk: Desk) -> None:
    """After a clear no there is nothing to look for: a corrected write is simply sent."""
    desk.next.append(Misconfigured("bad_key"))
    with pytest.raises(Misconfigured):
        await desk.write()
    await desk.write()
    assert desk.trace == ["send", "send"]


async def test_a_write_whose_sender_died_is_looked_for_when_it_has_settled(bare: Desk, clock: SetClock) -> None:
    """A write that was on its way when its worker was killed counts as uncertain: settle time, then `find`."""

    class Death(BaseException):
        pass

    bare.next.append(Death())
    with pytest.raises(Death):
        await bare.write()
    assert (await bare.effect()).state == "sent"
    with pytest.raises(OutcomeUnknown, match="settling"):
        await bare.write()
    bare.there = True
    clock.move(30)
    await bare.write()
    assert bare.trace == ["send", "find", "find"]


async def test_of_two_workers_one_sends(bare: Desk) -> None:
    """While one worker sends a write, another one that wants to is put off for a moment (P11)."""
    bare.gate = asyncio.Event()
    first = asyncio.create_task(bare.write())
    while not bare.trace:  # noqa: ASYNC110 - the vendor's own trace says when it is reached
        await asyncio.sleep(0)
    with pytest.raises(OutcomeUnknown, match="in_flight") as busy:
        await bare.write()
    assert busy.value.retry_after_s == 2.0
    bare.gate.set()
    await first
    await bare.write()
    assert bare.trace == ["send"]


async def test_who_waited_for_the_lock_sees_what_was_sent_meanwhile(bare: Desk, clock: SetClock) -> None:
    """A worker that gets the lock after another one's answer, and before that is committed, looks before it sends."""
    await bare.ledger.perform(bare.attempt(), CONTEXT)  # answered, but its worker is slow to commit
    clock.move(30)
    await bare.write()
    assert bare.trace == ["send", "find"]


async def test_the_lock_of_a_dead_worker_expires(bare: Desk, clock: SetClock, store: SqlStore) -> None:
    """A worker that was killed does not lock a write for ever."""
    now = clock.now()
    lock = f"effect:acme:{CONTEXT.key}"
    assert await store.lease(lock, "the dead", slots=1, until=now + dt.timedelta(seconds=LOCK_S), now=now)
    with pytest.raises(OutcomeUnknown, match="in_flight"):
        await bare.write()
    clock.move(LOCK_S)
    assert (await bare.write()).reply == DONE


@pytest.mark.parametrize("outcome", [None, Rejected("no")], ids=["done", "failed"])
async def test_the_lock_is_given_back(bare: Desk, outcome: Failure | None, store: SqlStore, clock: SetClock) -> None:
    """However a write ends, the next worker does not find it locked."""
    bare.next.append(outcome)
    try:
        await bare.write()
    except Rejected:
        assert outcome is not None
    now = clock.now()
    assert await store.lease(f"effect:acme:{CONTEXT.key}", "next", slots=1, until=now + dt.timedelta(seconds=1), now=now)


async def test_a_keyed_vendor_without_find_is_sent_the_same_key_again(keyed: Desk, clock: SetClock) -> None:
    """Where the key makes it single and nothing can be looked up, it is sent again."""
    keyed.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await keyed.write(find=False)
    await keyed.write(find=False)
    assert keyed.trace == ["send", "send"]


async def test_a_settled_effect_stays(keyed: Desk) -> None:
    """What is confirmed cannot become anything but compensated, whoever comes late."""
    await keyed.write()
    effect = await keyed.effect()
    late = msgspec.structs.replace(effect, state="uncertain")
    with pytest.raises(Fenced):
        await keyed.store.commit([PutEffect(late)])
    assert (await keyed.effect()).state == "confirmed"


async def test_a_no_that_was_asked_for_too_early_does_not_count_for_coming_late(bare: Desk, clock: SetClock) -> None:
    """A vendor that hangs answers an early question after its settle time: what counts is when it was asked (V8)."""
    bare.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await bare.write()
    look = bare._find

    async def slow() -> Event | None:
        clock.move(SETTLES_IN.total_seconds() + 1)
        return await look()

    bare._find = slow  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknown, match="settling"):
        await bare.write()
    assert bare.trace == ["send", "find"]
