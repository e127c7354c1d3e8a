"""The embedded bus beyond the contract: when it reads, what it does when its store fails, and a process that is really killed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from canonical.failures import OutcomeUnknown, Unavailable
from runtime.bus import backlog
from runtime.bus.contract import EVERYONE, Address, Queue
from runtime.bus.embedded import LOOK_AGAIN_S, EmbeddedBus
from runtime.bus.wire import Envelope, encode
from runtime.clock import SetClock
from runtime.store.engine import SqlStore, open_store
from runtime.store.migrations import migrate
from tests.contracts.buses import Basket, Gate, letter, until
from tests.contracts.stores import NOW
from tests.contracts.stores import letter as letter_named

ORDERS, CASH = Queue(name="process.order_booking", events=("PaymentSettled",)), Queue(name="process.cash", events=("PaymentSettled",))
QUESTIONS = Queue(name="ask.process.quote_validation", asks=True)
TO_ORDERS = Address(ORDERS.name)
ROOT = Path(__file__).resolve().parents[3]

Asked = Callable[..., Awaitable[Any]]


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """An empty store."""
    address = f"sqlite:///{tmp_path}/bus.db"
    await migrate(address)
    return address


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
async def store(url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    one = open_store(url, clock)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def bus(store: SqlStore, clock: SetClock) -> AsyncIterator[EmbeddedBus]:
    one = EmbeddedBus(store, clock, stop_within_s=0.2)
    await one.start([ORDERS, CASH, QUESTIONS])
    yield one
    await one.stop()


class Trouble:
    """Stands before a method of the store: counts its calls, and lets the first ones fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: SqlStore, name: str, *fails: Exception) -> None:
        self.calls = 0
        self._fails = list(fails)
        self._inside: Asked = getattr(store, name)
        monkeypatch.setattr(store, name, self)

    async def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self._fails:
            raise self._fails.pop(0)
        return await self._inside(*args, **options)

    def called(self, times: int) -> Callable[[], bool]:
        """Whether it was called so often."""
        return lambda: self.calls == times


async def empty(store: SqlStore) -> bool:
    return await store.queued(ORDERS.name, after_seq=0) == ()


async def settled(store: SqlStore, condition: Callable[[], object] = lambda: True) -> None:
    """Waits until it holds, and then lets everything run that can run."""

    async def holds() -> bool:
        return bool(condition())

    await until(holds)
    for _ in range(20):
        await store.cursor("nothing")


def pausing(bus: EmbeddedBus, number: int) -> Callable[[], bool]:
    """Whether so many messages pause."""
    return lambda: len(bus._backlogs[ORDERS.name]._pausing) == number


async def test_an_idle_bus_reads_nothing(bus: EmbeddedBus, store: SqlStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer reads its queue once, and then only after news; every half minute it looks again."""
    reading, basket, sent = Trouble(monkeypatch, store, "queued"), Basket(), letter()
    await bus.consume(ORDERS.name, basket)
    await settled(store, reading.called(1))
    clock.move(LOOK_AGAIN_S - 1)
    await settled(store)
    assert reading.calls == 1
    await bus.publish(TO_ORDERS, sent)
    await basket.holds(sent)
    await settled(store, lambda: not bus._backlogs[ORDERS.name]._known)
    assert reading.calls == 3  # the message, and that there is none behind it
    clock.move(1)
    await settled(store, reading.called(4))
    assert reading.calls == 4
    assert basket.ids == [sent.id]


async def test_a_message_that_nobody_told_of_is_found(bus: EmbeddedBus, store: SqlStore, clock: SetClock) -> None:
    """A row that came into the queue by another way, even with a lower number than those read, is found by the next look."""
    basket, told, untold = Basket(), letter(), letter()
    await bus.consume(ORDERS.name, basket)
    await bus.publish(TO_ORDERS, told)
    await basket.holds(told)
    await store.enqueue(ORDERS.name, untold.id, encode(untold))
    await settled(store)
    assert basket.ids == [told.id]
    clock.move(LOOK_AGAIN_S)
    await basket.holds(untold)


async def test_a_look_again_does_not_give_out_what_is_in_work(bus: EmbeddedBus, store: SqlStore, clock: SetClock) -> None:
    """A message that is in work when the queue is read from its start is not handed over a second time."""
    gate, sent = Gate(), letter()
    await bus.publish(TO_ORDERS, sent)
    await bus.consume(ORDERS.name, gate)
    await gate.holds(1)
    for _ in range(3):
        clock.move(LOOK_AGAIN_S)
        await settled(store)
    gate.open()
    await until(lambda: empty(store))
    assert gate.got == [sent.id]


async def test_a_failed_message_pauses(bus: EmbeddedBus, store: SqlStore, clock: SetClock) -> None:
    """A message that failed comes again when its pause is over, and not before."""
    basket, sent = Basket(ValueError("no")), letter()
    await bus.consume(ORDERS.name, basket)
    await bus.publish(TO_ORDERS, sent)
    await settled(store, pausing(bus, 1))
    clock.move(0.9)
    await settled(store)
    assert basket.ids == [sent.id]
    clock.move(0.2)
    await basket.holds(sent, times=2)


async def test_a_store_that_cannot_be_read_is_asked_again(
    bus: EmbeddedBus, store: SqlStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer whose store fails to read, in whatever way, pauses and goes on."""
    basket, sent = Basket(), letter()
    reading = Trouble(monkeypatch, store, "queued", Unavailable("store_down"), ValueError("a bug"))
    await bus.consume(ORDERS.name, basket)
    await bus.publish(TO_ORDERS, sent)
    for calls in (1, 2):
        await settled(store, reading.called(calls))
        assert basket.ids == []
        clock.move(1)
    await basket.holds(sent)


@pytest.mark.parametrize("failure", [Unavailable("store_down"), OutcomeUnknown("commit_in_doubt")])
async def test_a_handled_message_is_not_handled_again_for_the_stores_sake(
    bus: EmbeddedBus, store: SqlStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """When the store does not take it that a message is done, this is told again and again, and the handler is left in peace."""
    basket, sent = Basket(), letter()
    telling = Trouble(monkeypatch, store, "dequeue", failure, failure)
    await bus.consume(ORDERS.name, basket)
    await bus.publish(TO_ORDERS, sent)
    await basket.holds(sent)
    for calls in (1, 2):
        await settled(store, telling.called(calls))
        clock.move(1)
    await until(lambda: empty(store))
    assert basket.ids == [sent.id]


async def test_a_publication_that_nobody_knows_about_is_unavailable(
    bus: EmbeddedBus, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the store cannot say whether it took a message the publisher gets `Unavailable`, so that he publishes it again."""
    Trouble(monkeypatch, store, "enqueue", OutcomeUnknown("commit_in_doubt"))
    with pytest.raises(Unavailable) as refused:
        await bus.publish(TO_ORDERS, letter())
    assert refused.value.code == "commit_in_doubt"


async def test_an_event_that_got_only_half_way_is_published_again(
    bus: EmbeddedBus, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one of two subscribers' queues did not take an event the publisher is told; the next try reaches both."""
    orders, cash, sent = Basket(), Basket(), letter("PaymentSettled")
    await bus.consume(ORDERS.name, orders)
    await bus.consume(CASH.name, cash)
    Trouble(monkeypatch, store, "enqueue", Unavailable("store_down"))
    with pytest.raises(Unavailable):
        await bus.publish(EVERYONE, sent)
    await bus.publish(EVERYONE, sent)
    await orders.holds(sent)
    await cash.holds(sent)


async def test_only_so_many_pause_in_memory(bus: EmbeddedBus, store: SqlStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """When very many messages pause at a time no new ones are read until some have come again."""
    monkeypatch.setattr(backlog, "PAUSING_MAX", 2)
    monkeypatch.setattr(backlog, "BATCH", 1)
    basket, sent = Basket(*[Unavailable("away")] * 2), [letter() for _ in range(4)]
    for one in sent:
        await bus.publish(TO_ORDERS, one)
    await bus.consume(ORDERS.name, basket, prefetch=1)
    await settled(store, pausing(bus, 2))
    assert basket.ids == [one.id for one in sent[:2]]
    clock.move(1)
    await basket.holds(*sent)


async def test_an_answer_is_not_broken_off(bus: EmbeddedBus) -> None:
    """An answerer works on to its end when its asker's time is over: what it began outside must not be cut in two."""
    gate, ended = Gate(), asyncio.Event()

    async def answer(asked: Envelope) -> Envelope:
        await gate(asked)
        ended.set()
        return asked

    await bus.answer(QUESTIONS.name, answer)
    with pytest.raises(Unavailable):
        await bus.ask(QUESTIONS.name, letter(), within_s=0.01)
    gate.open()
    await ended.wait()


async def test_a_stop_tells_those_who_wait_for_an_answer(bus: EmbeddedBus) -> None:
    """Whoever asked a question that nobody took gets `Unavailable` when the bus stops, before his time is over."""
    asking = asyncio.create_task(bus.ask(QUESTIONS.name, letter(), within_s=3600))
    await asyncio.sleep(0)
    await bus.stop()
    with pytest.raises(Unavailable):
        await asking


async def test_a_killed_process_leaves_its_work_to_the_next(url: str, bus: EmbeddedBus) -> None:
    """A message that was in work when its process was killed with SIGKILL is handed over after the restart."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.runtime.bus.embedded_process", url, CASH.name, "m-1", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).decode().strip() == "m-1"
    process.kill()
    await process.wait()
    basket = Basket()
    await bus.consume(CASH.name, basket)
    await basket.holds(letter_named("m-1"))
    assert basket.ids == ["m-1"]
