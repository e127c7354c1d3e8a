"""The relay, between a real store and a bus that does what the test says."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise

import pytest

from canonical.failures import OutcomeUnknown, Unavailable
from runtime.bus.contract import Address, Answerer, DeadLetter, Features, Handler, Queue
from runtime.bus.wire import Envelope
from runtime.clock import SetClock
from runtime.store import relay as relay_module
from runtime.store.contract import Send
from runtime.store.engine import SqlStore
from runtime.store.relay import Relay
from tests.contracts.stores import OpenStore, later, letter

QUEUE = Address("process.order_booking")
AWAY = Unavailable("bus_down", "nobody there")
UNROUTABLE = Unavailable("unroutable", "nobody is declared")


class ScriptedBus:
    """Takes messages, unless the script has something else for them. ``fails`` maps a message id to what is raised; "*" means all."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.tried: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.gate: asyncio.Event | None = None

    features = Features(name="scripted", crosses_processes=False)

    async def publish(self, address: Address, letter: Envelope) -> None:
        self.tried.append(letter.id)
        if self.gate is not None:
            await self.gate.wait()
        failure = self.fails.get(letter.id) or self.fails.get("*")
        if failure is not None:
            raise failure
        self.taken.append(letter.id)

    async def ready(self) -> bool:
        return "*" not in self.fails

    async def start(self, queues: Iterable[Queue]) -> None: ...

    async def stop(self) -> None: ...

    async def consume(self, queue: str, handler: Handler, *, prefetch: int = 16) -> None: ...

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        return letter

    async def answer(self, queue: str, answerer: Answerer, *, prefetch: int = 16) -> None: ...

    async def dead_letters(self, queue: str, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        return ()

    async def redrive(self, queue: str, *, limit: int = 100) -> int:
        return 0


@pytest.fixture
def store_kind() -> str:
    return "sqlite"


@pytest.fixture
def bus() -> ScriptedBus:
    return ScriptedBus()


@pytest.fixture
def relay(store: SqlStore, bus: ScriptedBus, clock: SetClock) -> Relay:
    return Relay(store, bus, clock)


async def committed(store: SqlStore, *ids: str) -> list[Send]:
    sends = [Send(QUEUE, letter(message_id)) for message_id in ids]
    await store.commit(sends)
    return sends


async def unsent(store: SqlStore) -> list[str]:
    return [row.letter.id for row in await store.unsent(older_than=later(10**6))]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Let the other tasks run until it holds; the test's own time limit ends it where it never does."""
    while not await condition():  # noqa: ASYNC110 - what is waited for has no event: it is a row of the store
        await asyncio.sleep(0)


async def test_what_is_committed_is_published_at_once(relay: Relay, store: SqlStore, bus: ScriptedBus) -> None:
    """Messages are on the bus when `publish_now` returns, in their order, and are marked as sent with the next batch of marks."""
    await relay.publish_now(await committed(store, "a", "b"))
    assert bus.taken == ["a", "b"]
    await relay.mark()
    assert await unsent(store) == []


async def test_many_marks_are_written_at_once(relay: Relay, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When many messages wait to be marked they are, without waiting for the loop."""
    monkeypatch.setattr(relay_module, "MARK_AT_ONCE", 3)
    await relay.publish_now(await committed(store, "a", "b"))
    assert await unsent(store) == ["a", "b"]
    await relay.publish_now(await committed(store, "c"))
    assert await unsent(store) == []


async def test_a_failure_to_publish_is_not_the_callers(relay: Relay, store: SqlStore, bus: ScriptedBus, clock: SetClock) -> None:
    """A message that did not get through stays unsent and the caller does not hear of it; the sweep publishes it under the same id."""
    bus.fails = {"a": UNROUTABLE}
    await relay.publish_now(await committed(store, "a", "b"))
    assert bus.taken == ["b"]
    bus.fails = {}
    clock.move(3)
    assert await relay.sweep()
    assert bus.taken == ["b", "a"]
    assert await unsent(store) == []


@pytest.mark.parametrize("failure", [AWAY, OutcomeUnknown("?"), ValueError("a bug"), asyncio.CancelledError(), TimeoutError()])
async def test_no_way_of_failing_gets_out(relay: Relay, store: SqlStore, bus: ScriptedBus, failure: BaseException) -> None:
    """Whatever a publication raises, a cancellation out of a hung broker included, `publish_now` returns and the message stays unsent."""
    bus.fails = {"a": failure}
    await relay.publish_now(await committed(store, "a", "b"))
    await relay.mark()
    assert (bus.taken, await unsent(store)) == (["b"], ["a"])


async def test_while_the_bus_is_away_nobody_waits_for_it(relay: Relay, store: SqlStore, bus: ScriptedBus, clock: SetClock) -> None:
    """After a publication that failed because of the bus the next ones are left to the sweep, until the bus is ready again."""
    bus.fails = {"*": AWAY}
    await relay.publish_now(await committed(store, "a"))
    await relay.publish_now(await committed(store, "b"))
    assert bus.tried == ["a"]
    bus.fails = {}
    clock.move(3)
    assert await relay._round()
    await relay.publish_now(await committed(store, "c"))
    assert bus.taken == ["a", "b", "c"]


async def test_the_sweep_leaves_what_is_young(relay: Relay, store: SqlStore, bus: ScriptedBus, clock: SetClock) -> None:
    """A message that was just committed is not swept: its own process is about to publish it."""
    await committed(store, "young")
    assert await relay.sweep()
    assert bus.tried == []
    clock.move(3)
    assert await relay.sweep()
    assert bus.taken == ["young"]


async def test_what_is_under_way_is_not_swept(relay: Relay, store: SqlStore, bus: ScriptedBus, clock: SetClock) -> None:
    """A message whose publication takes long is not published a second time by the same process, nor one that is not yet marked."""
    bus.gate = asyncio.Event()
    slow = asyncio.create_task(relay.publish_now(await committed(store, "a")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.move(3)
    assert await relay.sweep()
    bus.gate.set()
    await slow
    assert await relay.sweep()
    assert bus.tried == ["a"]


async def test_what_a_crash_left_behind_is_published(opened: OpenStore, bus: ScriptedBus, clock: SetClock) -> None:
    """Messages that a process committed and did not live to publish are published by the next one (P4)."""
    dead = await opened()
    await committed(dead, "a", "b")
    await dead.stop()
    clock.move(3)
    assert await Relay(await opened(), bus, clock).sweep()
    assert bus.taken == ["a", "b"]


async def test_a_sweep_stops_where_the_bus_is_away(relay: Relay, store: SqlStore, bus: ScriptedBus, clock: SetClock) -> None:
    """A sweep that finds the bus away gives up after its first handful, and says so."""
    await committed(store, *(f"m-{n}" for n in range(120)))
    clock.move(3)
    bus.fails = {"*": AWAY}
    assert not await relay.sweep()
    assert len(bus.tried) == relay_module.TOGETHER
    bus.fails = {}
    assert await relay._round()
    assert len(bus.taken) == 120


async def test_what_nobody_receives_stands_in_nobodys_way(
    relay: Relay, store: SqlStore, bus: ScriptedBus, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More unroutable messages than one sweep reads do not keep the ones behind them from being published (Q4)."""
    monkeypatch.setattr(relay_module, "SWEEP_MAX", 5)
    await committed(store, *(f"lost-{n:02}" for n in range(12)))
    clock.move(1)
    await committed(store, "good")
    clock.move(3)
    bus.fails = {f"lost-{n:02}": UNROUTABLE for n in range(12)}
    for _ in range(4):
        assert await relay.sweep()
    assert bus.taken == ["good"]
    bus.fails = {}
    assert await relay.sweep()
    assert len(bus.taken) == 13


async def test_one_relay_sweeps_at_a_time(opened: OpenStore, bus: ScriptedBus, clock: SetClock) -> None:
    """Of several workers that sweep at the same time one publishes what was left behind, and each message once."""
    stores = [await opened() for _ in range(3)]
    await committed(stores[0], *(f"m-{n}" for n in range(10)))
    clock.move(3)
    await asyncio.gather(*(Relay(store, bus, clock).sweep() for store in stores))
    assert sorted(bus.taken) == sorted(f"m-{n}" for n in range(10))


async def test_the_loop_sweeps_and_marks(relay: Relay, store: SqlStore, bus: ScriptedBus, clock: SetClock) -> None:
    """The loop publishes what is left behind and marks it, turn by turn, and ends when it is cancelled."""
    running = asyncio.create_task(relay.run())
    await committed(store, "a")

    async def all_sent() -> bool:
        clock.move(1)
        return await unsent(store) == []

    await until(all_sent)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bus.taken == ["a"]


class HungOnce(ScriptedBus):
    """The first question whether it is ready is answered by a cancellation, as a hung broker's connection does."""

    hung = 1

    async def ready(self) -> bool:
        if self.hung:
            self.hung -= 1
            raise asyncio.CancelledError
        return await super().ready()


async def test_the_loop_outlives_a_cancellation_that_is_not_its_own(store: SqlStore, clock: SetClock) -> None:
    """A cancellation that comes out of the bus does not end the loop: what is committed afterwards is still swept (Q2)."""
    bus = HungOnce()
    relay = Relay(store, bus, clock)
    bus.fails = {"*": AWAY}
    await relay.publish_now(await committed(store, "a"))
    bus.fails = {}
    running = asyncio.create_task(relay.run())

    async def all_sent() -> bool:
        clock.move(1)
        return await unsent(store) == []

    await until(all_sent)
    assert (bus.hung, bus.taken) == (0, ["a"])
    running.cancel()
    await asyncio.wait({running})


async def test_the_loop_outlives_a_store_that_fails(
    store: SqlStore, bus: ScriptedBus, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store cannot be read the loop goes on trying, more and more slowly, and then does its work."""
    relay, tries = Relay(store, bus, clock), []
    read = store.unsent

    async def failing(**options: object) -> object:
        tries.append(clock.now())
        if len(tries) < 6:
            raise Unavailable("store_down")
        return await read(**options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "unsent", failing)
    await committed(store, "a")
    running = asyncio.create_task(relay.run())

    async def taken() -> bool:
        clock.move(0.5)
        await asyncio.sleep(0)
        return bus.taken == ["a"]

    await until(taken)
    waits = [(after - before).total_seconds() for before, after in pairwise(tries)]
    assert waits[:5] == [2, 4, 8, 10, 10]
    running.cancel()
    await asyncio.wait({running})


async def test_the_loop_marks_before_it_ends(relay: Relay, store: SqlStore) -> None:
    """A loop that is cancelled first writes the marks that wait."""
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0)
    await relay.publish_now(await committed(store, "a"))
    assert await unsent(store) == ["a"]
    running.cancel()
    await asyncio.wait({running})
    assert await unsent(store) == []


async def test_marks_that_wait_are_written_at_the_end(relay: Relay, store: SqlStore) -> None:
    """`stop` writes the marks that are due (P3)."""
    await relay.publish_now(await committed(store, "a"))
    await relay.stop()
    assert await unsent(store) == []
