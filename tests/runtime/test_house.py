"""The door between HTTP and the bus: what is sent is safe when it is acknowledged; what is asked is answered in time or refused."""

import datetime as dt
from typing import Any

import pytest

from canonical.failures import Misconfigured, Unavailable
from runtime.bus.wire import Envelope, envelope
from runtime.clock import SetClock
from runtime.context import Context, working_in
from runtime.house import House, collecting
from runtime.store.contract import Send, SetCursor
from runtime.store.engine import SqlStore
from tests.runtime.process.vendor import Begin, Do, Done, JobDone

HERE = Context(tenant="acme", entity="US01", correlation_id="q2c-1", actor="dana", traceparent="00-a-b-01")


class Post:
    """Publishes, and answers questions."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.sent: list[Send] = []
        self.asked: list[tuple[str, Envelope, float]] = []
        self.failure: Exception | None = None

    async def publish_now(self, sends: list[Send]) -> None:
        self.sent.extend(sends)

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        self.asked.append((queue, letter, within_s))
        if self.failure is not None:
            raise self.failure
        return envelope(Done(what="it", ref="R-1"), letter.context, now=self.clock.now())


@pytest.fixture
def post(clock: SetClock) -> Post:
    return Post(clock)


@pytest.fixture
def house(store: SqlStore, clock: SetClock, post: Post) -> House:
    bus: Any = post
    return House(store, bus, post, clock, routes={"bench.Begin": "process.jobs"}, desks={"bench.Do": "ask.jobs"}, entities=["US01"])


async def waiting(store: SqlStore, clock: SetClock) -> list[str]:
    rows = await store.unsent(older_than=clock.now() + dt.timedelta(seconds=1))
    return [row.letter.type for row in rows]


async def test_what_is_sent_is_committed_and_published(house: House, store: SqlStore, clock: SetClock, post: Post) -> None:
    """A command is in the outbox when `send` returns, addressed to its process, in the circumstances of the caller."""
    with working_in(HERE):
        letter = await house.send(Begin(job="J-1"))
    assert await waiting(store, clock) == ["bench.Begin"]
    assert [(send.address.queue, send.letter) for send in post.sent] == [("process.jobs", letter)]
    assert (letter.tenant, letter.entity, letter.correlation_id, letter.actor, letter.traceparent) == (
        "acme",
        "US01",
        "q2c-1",
        "dana",
        "00-a-b-01",
    )


async def test_what_is_told_goes_to_everyone(house: House, post: Post) -> None:
    """An event has no address but its type."""
    with working_in(HERE):
        await house.tell(JobDone(job="J-1"), message_id="m-1")
    assert [(send.address.is_event, send.letter.id) for send in post.sent] == [(True, "m-1")]


async def test_without_a_correlation_id_a_new_one_is_made(house: House) -> None:
    """Whatever is sent belongs to a transaction."""
    with working_in(Context(tenant="acme")):
        letter = await house.send(Begin(job="J-1"))
    assert letter.correlation_id.startswith("q2c-")


async def test_while_collecting_nothing_is_written(house: House, store: SqlStore, clock: SetClock, post: Post) -> None:
    """What a request sends, tells and writes is collected for the policy that commits it with the answer."""
    with working_in(HERE), collecting() as writes:
        await house.send(Begin(job="J-1"))
        await house.tell(JobDone(job="J-1"))
        await house.write(SetCursor("c", "1"))
    assert (await waiting(store, clock), post.sent, len(writes)) == ([], [], 3)
    await house.commit(writes)
    assert await waiting(store, clock) == ["bench.Begin", "JobDone"]
    assert len(post.sent) == 2


async def test_collecting_ends_with_its_block(house: House, store: SqlStore) -> None:
    """After the block writes are committed again, and an error in it leaves nothing behind."""

    async def refused() -> None:
        with collecting():
            await house.write(SetCursor("c", "1"))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await refused()
    assert await store.cursor("c") == ""
    await house.write(SetCursor("c", "2"))
    assert await store.cursor("c") == "2"


async def test_a_question_is_answered(house: House, post: Post) -> None:
    """The reply is the event that the command names; queue and time budget are those of the desk and the caller."""
    with working_in(HERE):
        assert await house.ask(Do(what="it"), within_s=2.0) == Done(what="it", ref="R-1")
    assert [(queue, within_s) for queue, _, within_s in post.asked] == [("ask.jobs", 2.0)]


async def test_a_question_that_fails_raises_its_word(house: House, post: Post) -> None:
    """What the bus raises is raised."""
    post.failure = Unavailable("no_answer")
    with pytest.raises(Unavailable):
        await house.ask(Do(what="it"), within_s=2.0)


async def test_what_nobody_serves_is_misconfigured(house: House) -> None:
    """A command or question without a place to go is refused before anything is written."""
    with pytest.raises(Misconfigured, match=r"bench\.Do"):
        await house.send(Do(what="it"))
    with pytest.raises(Misconfigured, match=r"bench\.Begin"):
        await house.ask(Begin(job="J-1"), within_s=1.0)
    assert house.entities == {"US01"}
