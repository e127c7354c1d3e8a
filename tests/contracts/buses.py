"""Where the suite of the bus gets its buses from: one entry in `BENCHES` for each implementation."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from runtime.bus.contract import ATTEMPTS_MAX, Address, Bus, DeadLetter, Queue
from runtime.bus.embedded import EmbeddedBus
from runtime.bus.wire import Envelope
from runtime.clock import SystemClock
from runtime.keys import new_message_id
from runtime.store.engine import SqlStore, open_store
from tests.contracts.rabbit_bench import on_rabbitmq
from tests.contracts.stores import letter as plain_letter

BusMaker = Callable[..., Awaitable[Bus]]

ORDERS = Queue(name="process.order_booking", events=("QuoteAccepted", "PaymentSettled"))
CASH = Queue(name="process.cash_application", events=("PaymentSettled",))
QUESTIONS = Queue(name="ask.process.quote_validation", asks=True)
QUEUES = (ORDERS, CASH, QUESTIONS)
TO_ORDERS = Address(ORDERS.name)

WITHIN_S = 30.0
# After a failure a message comes again so soon, and at the stop handlers get so long.
PAUSE_S = 0.01
STOP_WITHIN_S = 0.2


class Bench(Protocol):
    """Makes buses that share one broker, or one store, and does to them what the world does."""

    async def bus(self, *, attempts_max: int = ATTEMPTS_MAX) -> Bus:
        """A bus as a process has it, not yet started."""
        ...

    async def kill(self, bus: Bus) -> None:
        """As if the process that has this bus were killed: nothing is finished, and nothing handed back."""
        ...

    async def put(self, queue: str, data: bytes) -> None:
        """Bytes that a stranger puts into a queue."""
        ...


class EmbeddedBench:
    """Buses over one file of SQLite."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stores: dict[int, SqlStore] = {}
        self._tasks: dict[int, set[asyncio.Task[object]]] = {}

    async def bus(self, *, attempts_max: int = ATTEMPTS_MAX) -> EmbeddedBus:
        clock = SystemClock()
        store = open_store(self._url, clock)
        await store.start()
        bus = EmbeddedBus(store, clock, attempts_max=attempts_max, pause_s=PAUSE_S, stop_within_s=STOP_WITHIN_S)
        self._stores[id(bus)] = store
        return bus

    async def kill(self, bus: Bus) -> None:
        """Its store takes nothing any more, and its tasks end where they are."""
        await self._stores.pop(id(bus)).stop()
        assert isinstance(bus, EmbeddedBus)
        tasks = {task for consumer in bus._consumers for task in (consumer._loop, *consumer._tasks) if task}
        tasks |= {task for backlog in bus._backlogs.values() for task in backlog._pausing.values()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def put(self, queue: str, data: bytes) -> None:
        store = open_store(self._url, SystemClock())
        await store.start()
        await store.enqueue(queue, new_message_id(), data)
        await store.stop()

    async def close(self) -> None:
        for store in self._stores.values():
            await store.stop()


@contextlib.asynccontextmanager
async def embedded(request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedBench]:
    """The embedded bus."""
    path = request.getfixturevalue("tmp_path") / "bus.db"
    shutil.copy(request.getfixturevalue("migrated_file"), path)
    bench = EmbeddedBench(f"sqlite:///{path}")
    yield bench
    await bench.close()


BENCHES: dict[str, Callable[[pytest.FixtureRequest], contextlib.AbstractAsyncContextManager[Bench]]] = {
    "embedded": embedded,
    "rabbitmq": partial(on_rabbitmq, pause_s=PAUSE_S, stop_within_s=STOP_WITHIN_S),
}


def letter(kind: str = "OrderBooked", **fields: object) -> Envelope:
    """A letter with an id of its own."""
    return plain_letter(new_message_id(), kind, **fields)


class Basket:
    """A handler that keeps what it gets. ``fails`` tells what to raise at each call, None for nothing; after its end nothing is raised."""

    def __init__(self, *fails: Exception | None) -> None:
        self.got: list[Envelope] = []
        self._fails = list(fails)
        self._more = asyncio.Event()

    async def __call__(self, letter: Envelope) -> None:
        self.got.append(letter)
        self._more.set()
        failure = self._fails.pop(0) if self._fails else None
        if failure is not None:
            raise failure

    @property
    def ids(self) -> list[str]:
        return [letter.id for letter in self.got]

    async def holds(self, *letters: Envelope, times: int = 1) -> None:
        """Returns when each of these has come so many times."""
        async with asyncio.timeout(WITHIN_S):
            while any(self.ids.count(letter.id) < times for letter in letters):
                self._more.clear()
                await self._more.wait()


class Gate:
    """A handler that holds its letters until it is opened."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.got: list[str] = []
        self._opened = asyncio.Event()
        self._entered = asyncio.Condition()

    async def __call__(self, letter: Envelope) -> None:
        self.got.append(letter.id)
        self.now += 1
        self.most = max(self.most, self.now)
        async with self._entered:
            self._entered.notify_all()
        try:
            await self._opened.wait()
        finally:
            self.now -= 1

    def open(self) -> None:
        self._opened.set()

    async def holds(self, number: int) -> None:
        """Returns when so many letters are inside."""
        async with asyncio.timeout(WITHIN_S), self._entered:
            await self._entered.wait_for(lambda: self.now >= number)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it holds: a broker tells nobody when it has moved a message."""
    async with asyncio.timeout(WITHIN_S):
        while not await holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.rabbitmq] if name == "rabbitmq" else []) for name in BENCHES])
async def bench(request: pytest.FixtureRequest, migrated_file: Path) -> AsyncIterator[Bench]:
    """Where the buses of a test come from."""
    async with BENCHES[request.param](request) as one:
        yield one


@pytest.fixture
async def bus_maker(bench: Bench) -> AsyncIterator[BusMaker]:
    """Makes buses that have started, and stops them in the end."""
    made: list[Bus] = []

    async def make(*, attempts_max: int = 3) -> Bus:
        bus = await bench.bus(attempts_max=attempts_max)
        await bus.start(QUEUES)
        made.append(bus)
        return bus

    yield make
    for bus in made:
        await bus.stop()


@pytest.fixture
async def bus(bus_maker: BusMaker) -> Bus:
    """A bus that has started. A message is dead after three attempts."""
    return await bus_maker()


async def dead(bus: Bus, number: int, queue: str = ORDERS.name) -> tuple[DeadLetter, ...]:
    """The dead letters of a queue, once there are so many."""

    async def there() -> bool:
        return len(await bus.dead_letters(queue)) >= number

    await until(there)
    return await bus.dead_letters(queue)
