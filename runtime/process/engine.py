"""The only loop that retries. It reads a table and six words; it knows no business and no vendor.

A step whose journal line stands is never asked again. A step is asked only when its predecessor is committed. What cannot be handled is
parked with its reason and a case; nothing is dropped.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog

from canonical.failures import Broken, Failure, FailureRecord, Unavailable
from canonical.messages import Accepted, Command, Event, Message
from runtime.bus.contract import EVERYONE, Address, Handler, Queue
from runtime.bus.topology import process_queue
from runtime.bus.wire import Envelope, envelope
from runtime.clock import Clock
from runtime.context import working_in
from runtime.house import Publisher
from runtime.keys import new_message_id
from runtime.process import failing, performing, undoing
from runtime.process.asking import Asker
from runtime.process.declare import Process, Wait
from runtime.process.run import Run
from runtime.store.contract import (
    ENDED,
    AddLine,
    Chain,
    Duplicate,
    Fenced,
    Instance,
    JournalLine,
    Seen,
    Send,
    StartInstance,
    Store,
    Write,
)

log = structlog.get_logger("q2c.process")


class Continue(Command[Accepted], frozen=True, kw_only=True):
    """Bring an instance back to work: its time has come, or a person wants it tried again."""

    port = "runtime"
    process: str
    key: str


class Engine:
    """Runs the tables of a roster over a store, a bus and an asker."""

    def __init__(
        self,
        processes: Iterable[Process],
        *,
        store: Store,
        publisher: Publisher,
        asker: Asker,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._tables = {(process.name, process.version): process for process in processes}
        self._store = store
        self._publisher = publisher
        self.asker = asker
        self.clock = clock
        self.jitter = jitter
        self._in_work: set[tuple[str, str, str]] = set()
        self._routes = routes(self.newest)

    @property
    def newest(self) -> tuple[Process, ...]:
        """The newest version of each table: the one on which new instances start."""
        by_name: dict[str, Process] = {}
        for process in self._tables.values():
            if process.name not in by_name or process.version > by_name[process.name].version:
                by_name[process.name] = process
        return tuple(by_name.values())

    def handler(self, process: Process) -> Handler:
        """What the bus calls for each message on the process's queue."""

        async def handle(letter: Envelope) -> None:
            message = letter.open()
            with working_in(letter.context):
                if isinstance(message, Continue):
                    await self.go_on(letter.tenant, message.process, message.key)
                elif type(message) in process.starters:
                    await self._start(process, letter, message)
                elif isinstance(message, Event):
                    await self._arrived(process, letter, message)
                else:
                    raise Broken("misaddressed", f"{process.name} does not understand {letter.type}")

        return handle

    async def go_on(self, tenant: str, process: str, key: str) -> None:
        """Take an instance over and run it from its journal, unless it has ended, waits for something else, or is in work here."""
        name = (tenant, process, key)
        row = await self._store.instance(*name)
        if row is None or row.status in ENDED or row.status == "parked" or name in self._in_work:
            return
        if row.due_at is not None and row.due_at > self.clock.now():
            return
        await self._working(name, self._resume)

    async def _start(self, process: Process, letter: Envelope, message: Message) -> None:
        key, now = process.key(message), self.clock.now()
        memory = process.begin(message)
        row = Instance(
            tenant=letter.tenant,
            process=process.name,
            key=key,
            version=process.version,
            memory=msgspec.json.encode(memory),
            entity=process.entity(memory) if process.entity else letter.entity,
            correlation_id=letter.correlation_id,
            traceparent=letter.traceparent,
            actor=letter.actor,
            started_by=type(message).__name__,
            fence=1,
            created_at=now,
            updated_at=now,
        )
        name = (row.tenant, row.process, row.key)
        started = _started(row)
        chain = Chain(row.tenant, row.correlation_id, row.process, key)
        unit: list[Write] = [Seen(process_queue(process.name), letter.id), StartInstance(row), AddLine(started), chain]
        self._take(name)
        try:
            await self._store.commit(unit)
            run = Run(process, row, memory, seq=1, clock=self.clock)
            run.related.update(process.relates(memory) if process.relates else ())
            await self._run(run)
        except Duplicate as known:
            log.info("start_repeated", instance=f"{process.name}/{key}", known=known.what)
            self._in_work.discard(name)
            await self._store.commit([chain])
            await self.go_on(*name)
        except Fenced:
            log.info("taken_over", instance=f"{process.name}/{key}")
        finally:
            self._in_work.discard(name)

    async def _arrived(self, process: Process, letter: Envelope, event: Event) -> None:
        waits = [s for s in process.steps if isinstance(s, Wait) and s.event is type(event)]
        if not waits:
            raise Broken("misaddressed", f"{process.name} does not wait for {letter.type}")
        event_key = f"{type(event).__name__}:{waits[0].event_key(event)}"
        consumer = process_queue(process.name)
        if await self._store.seen(consumer, letter.id):
            return
        rows = await self._store.waiting_for(letter.tenant, event_key)
        if not rows:
            raise Broken("nobody_waits", f"no instance of {process.name} waits for {event_key}")
        for row in rows:

            async def learn(run: Run) -> None:
                step = run.process.steps[run.instance.position]
                if run.instance.waiting_for != event_key or not isinstance(step, Wait):
                    return
                run.writes.append(Seen(consumer, letter.id))
                if step.case is not None:
                    run.close_case(step.case(run.memory), step.name, f"{type(event).__name__} by {letter.actor or 'the system'}")
                run.line("wait", step.name, answered=type(event).__name__)
                run.become("running")
                run.forward(step.learn(run.memory, event))
                await self._run(run)

            await self._working((row.tenant, row.process, row.key), learn)

    def _take(self, name: tuple[str, str, str]) -> None:
        """Note that an instance is in work here. Raises `Unavailable` where it is already: what comes now has to come again."""
        if name in self._in_work:
            raise Unavailable("in_work", f"{name[1]}/{name[2]} is in work at this moment", retry_after_s=1.0)
        self._in_work.add(name)

    async def _working(self, name: tuple[str, str, str], work: Callable[[Run], Any]) -> None:
        """Claim an instance and do something with it. Raises `Unavailable` when another worker has taken it over meanwhile."""
        self._take(name)
        try:
            row = await self._store.claim(*name)
            if row is not None:
                await work(await self._loaded(row))
        except Duplicate as known:
            log.info("known_already", instance=f"{name[1]}/{name[2]}", what=known.what)
        except Fenced as lost:
            raise Unavailable("taken_over", f"another worker has taken {name[1]}/{name[2]} over", retry_after_s=1.0) from lost
        finally:
            self._in_work.discard(name)

    async def _loaded(self, row: Instance) -> Run:
        process = self._tables.get((row.process, row.version))
        if process is None:
            raise Broken("table_gone", f"this release has no version {row.version} of {row.process}")
        lines = await self._store.journal(row.tenant, row.process, row.key)
        memory = msgspec.json.decode(row.memory, type=process.memory)
        return Run(process, row, memory, seq=len(lines), clock=self.clock)

    async def _resume(self, run: Run) -> None:
        if run.instance.status == "waiting":
            step = run.process.steps[run.instance.position]
            if not isinstance(step, Wait) or run.instance.due_at is None or run.instance.due_at > self.clock.now():
                return
            run.line("wait", step.name, detail="nobody answered in time")
            if step.case is not None:
                run.close_case(step.case(run.memory), step.name, "time is over")
            run.become("running")
            run.forward(step.late(run.memory))
        run.change(due_at=None)
        await self._run(run)

    async def commit(self, run: Run) -> None:
        """Commit what is pending, and publish at once what it sends."""
        for process, key in sorted(run.related):
            if correlation_id := await self._store.correlation_of(run.instance.tenant, process, key):
                run.belongs_to(correlation_id)
        run.related.clear()
        writes = run.take()
        if writes:
            await self._store.commit(writes)
            await self._publisher.publish_now([write for write in writes if isinstance(write, Send)])

    async def _run(self, run: Run) -> None:
        while run.instance.status == "running" and run.instance.due_at is None:
            if run.instance.position >= len(run.process.steps):
                run.become("done", due_at=None)
                run.line("done", "")
                break
            step = run.process.steps[run.instance.position]
            try:
                if getattr(step, "when", None) and not step.when(run.memory):  # type: ignore[union-attr,misc]
                    run.forward()
                    continue
                await performing.WORDS[type(step)](self, run, step)
            except Failure as failure:
                await failing.failed(self, run, step, failure)
            except (Fenced, Duplicate):
                raise
            except Exception as bug:  # a step's own function failed: park it with the reason, lose nothing
                log.exception("step_broken", instance=run.name, step=step.name)
                failing.park(run, step.name, Broken("step_broken", f"{type(bug).__name__}: {bug}"))
        if run.instance.status == "undoing":
            await undoing.walk(self, run, await self.journal(run))
        await self.commit(run)

    async def journal(self, run: Run) -> tuple[JournalLine, ...]:
        """The lines of an instance that are committed."""
        return await self._store.journal(run.instance.tenant, run.instance.process, run.instance.key)

    def address(self, message: Message) -> Address:
        """Where a told message goes: a command to the process that starts on it, an event to everyone."""
        if not isinstance(message, Command):
            return EVERYONE
        try:
            return Address(self._routes[message.wire_name()])
        except KeyError:
            raise Broken("no_route", f"no process of the roster starts on {message.wire_name()}") from None

    # operators ---------------------------------------------------------------------------------------------------------

    async def resume(self, tenant: str, process: str, key: str, *, by: str) -> bool:
        """A person wants a parked instance tried again; False where it is not parked."""
        return await self._operated(tenant, process, key, lambda run: failing.resumed(run, by))

    async def cancel(self, tenant: str, process: str, key: str, *, by: str, reason: str) -> bool:
        """A person wants an instance undone; False where it has ended or is beyond the point of no return."""
        return await self._operated(tenant, process, key, lambda run: failing.cancelled(run, by, reason))

    async def _operated(self, tenant: str, process: str, key: str, change: Callable[[Run], bool]) -> bool:
        done = False

        async def work(run: Run) -> None:
            nonlocal done
            done = change(run)
            if done:
                run.writes.append(self.wake(run.instance))
                await self.commit(run)

        await self._working((tenant, process, key), work)
        return done

    def wake(self, row: Instance) -> Send:
        """The message that brings an instance back to work."""
        context = Run(self._tables[(row.process, row.version)], row, None, seq=0, clock=self.clock).context("")
        message = Continue(process=row.process, key=row.key)
        return Send(Address(process_queue(row.process)), envelope(message, context, now=self.clock.now(), message_id=new_message_id()))


def _started(row: Instance) -> JournalLine:
    return JournalLine(
        tenant=row.tenant,
        process=row.process,
        key=row.key,
        seq=0,
        step="",
        kind="started",
        asked=row.started_by,
        correlation_id=row.correlation_id,
        at=row.created_at,
    )


def routes(processes: Iterable[Process]) -> dict[str, str]:
    """Which queue serves which command: the process that starts on it."""
    return {p.starts_on.wire_name(): process_queue(p.name) for p in processes if issubclass(p.starts_on, Command)}


def queues(processes: Iterable[Process]) -> tuple[Queue, ...]:
    """The queues that the tables need, each bound to the events that start or continue them."""
    return tuple(
        Queue(
            name=process_queue(p.name),
            events=tuple(e.wire_name() for e in dict.fromkeys([*p.starters, *p.waits_for]) if issubclass(e, Event)),
        )
        for p in processes
    )


def undone_event(process: Process, memory: Any, failure: FailureRecord) -> Event | None:
    """The event that tells that an instance was undone."""
    return process.if_undone(memory, failure) if process.if_undone else None
