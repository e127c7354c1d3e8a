"""The engine in a world that a test can set: a real store, a clock that is moved, and a post that is delivered when the test says so."""

import datetime as dt
from collections import deque
from collections.abc import Sequence
from typing import Any

from canonical.failures import Unavailable
from canonical.messages import Message
from runtime.bus.wire import Envelope, envelope
from runtime.clock import SetClock
from runtime.context import Context
from runtime.process.asking import Asker
from runtime.process.declare import Process
from runtime.process.engine import Engine
from runtime.process.story import story
from runtime.store.contract import Case, Instance, JournalLine, Send, Store, Write
from runtime.store.engine import SqlStore
from tests.runtime.process.vendor import Begin, Death, Nodded

TENANT = "acme"
STUCK_AFTER = dt.timedelta(minutes=3)


class Mortal:
    """A store as one process sees it: the process dies at its n-th commit, before or after it is durable, and is dead from then on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commits = 0
        self.dies_before: int | None = None
        self.dies_after: int | None = None
        self.refuses: deque[Exception | None] = deque()
        self.dead = False

    async def commit(self, unit: Sequence[Write]) -> None:
        self._breathe()
        if not unit:
            return
        self.commits += 1
        if self.refuses and (refusal := self.refuses.popleft()) is not None:
            raise refusal
        if self.commits == self.dies_before:
            self.dead = True
        self._breathe()
        await self._store.commit(unit)
        if self.commits == self.dies_after:
            self.dead = True
        self._breathe()

    def _breathe(self) -> None:
        if self.dead:
            raise Death

    def __getattr__(self, name: str) -> Any:
        self._breathe()
        return getattr(self._store, name)


class Worker:
    """One process: an engine and its view of the store. `outbox` has what it published."""

    def __init__(self, world: "World", processes: Sequence[Process]) -> None:
        self.store = Mortal(world.store)
        self.world = world
        asker = world.asker_of(self.store)
        self.engine = Engine(processes, store=self.store, publisher=self, asker=asker, clock=world.clock, jitter=lambda: 0.5)

    async def publish_now(self, sends: list[Send]) -> None:
        self.world.posted.extend(sends)

    async def handle(self, letter: Envelope, process: str = "jobs") -> None:
        """Hand a letter to the process's handler."""
        table = next(p for p in self.engine.newest if p.name == process)
        await self.engine.handler(table)(letter)


class World:
    """One or more workers over one store."""

    def __init__(self, store: SqlStore, clock: SetClock, asker: Asker, *processes: Process) -> None:
        self.store = store
        self.clock = clock
        self.asker = asker
        self.processes = processes
        self.posted: list[Send] = []
        self.worker = self.new_worker()

    def new_worker(self, *processes: Process) -> Worker:
        """Another process."""
        self.worker = Worker(self, processes or self.processes)
        return self.worker

    def asker_of(self, store: Mortal) -> Asker:
        """Whom a process with this view of the store asks."""
        return self.asker

    def letter(self, message: Message, *, message_id: str = "", correlation_id: str = "q2c-test", actor: str = "ann") -> Envelope:
        context = Context(tenant=TENANT, entity="US01", correlation_id=correlation_id, actor=actor)
        return envelope(message, context, now=self.clock.now(), message_id=message_id)

    async def start(self, job: str = "J-1", **fields: Any) -> None:
        """Start a job and let it run as far as it comes."""
        await self.worker.handle(self.letter(Begin(job=job, **fields)))

    async def nod(self, about: str, job: str = "J-1", **options: Any) -> None:
        """Agree to a job."""
        await self.worker.handle(self.letter(Nodded(job=job, about=about), **options))

    async def sweep(self) -> int:
        """Bring back what is due or was left behind; returns how many instances that were."""
        now = self.clock.now()
        rows = await self.store.due(now, stuck_before=now - STUCK_AFTER)
        for row in rows:
            await self.worker.handle(self.worker.engine.wake(row).letter, row.process)
        return len(rows)

    async def later(self, seconds: float) -> int:
        """Let time pass and sweep."""
        self.clock.move(seconds)
        return await self.sweep()

    async def deliver(self) -> int:
        """Deliver what was posted to the processes; a message that has to come again stays. Returns how many were handled."""
        handled, posted = 0, [send for send in self.posted if not send.address.is_event]
        self.posted = [send for send in self.posted if send.address.is_event]
        for send in posted:
            try:
                await self.worker.handle(send.letter, send.address.queue.removeprefix("process."))
                handled += 1
            except Unavailable:
                self.posted.append(send)
        return handled

    async def rest(self, turns: int = 50) -> Instance:
        """Go on until nothing more happens by itself; waiting times are skipped."""
        for _ in range(turns):
            await self.deliver()
            row = await self.row()
            if row.status not in {"running", "undoing"}:
                break
            wait_s = (row.due_at - self.clock.now()).total_seconds() if row.due_at else STUCK_AFTER.total_seconds() + 1
            await self.later(max(wait_s, 0))
        return await self.row()

    def told(self) -> list[str]:
        """The events that were told, by name."""
        return [send.letter.type for send in self.posted if send.address.is_event]

    async def row(self, job: str = "J-1", process: str = "jobs") -> Instance:
        found = await self.store.instance(TENANT, process, job)
        assert found is not None
        return found

    async def journal(self, job: str = "J-1", process: str = "jobs") -> tuple[JournalLine, ...]:
        return await self.store.journal(TENANT, process, job)

    async def lines(self, job: str = "J-1") -> list[str]:
        """The journal in short: `ask one`, `undo one` and so on."""
        return [f"{line.kind} {line.step}".strip() for line in await self.journal(job)]

    async def story(self, job: str = "J-1") -> str:
        return story(await self.row(job), await self.journal(job))

    async def case(self, name: str, job: str = "J-1") -> Case | None:
        return await self.store.case(TENANT, f"jobs/{job}/{name}")
