"""The only loop that retries. It reads a table and six words; it knows no business and no vendor.

A step whose journal line stands is never asked again. A step is asked only when its predecessor is committed. What cannot be handled is
parked with its reason and a case; nothing is dropped.
"""

import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from canonical.failures import Broken, Failure, OutcomeUnknown, Unavailable
from canonical.messages import Command, Event, Message
from runtime import telemetry
from runtime.bus.contract import EVERYONE, Address, Handler
from runtime.bus.topology import process_queue
from runtime.bus.wire import Envelope
from runtime.clock import Clock
from runtime.context import working_in
from runtime.house import Publisher
from runtime.process import failing, performing, undoing, watching
from runtime.process.asking import Asker
from runtime.process.declare import Process, Wait, missing_table
from runtime.process.layout import Continue, routes, waking
from runtime.process.run import Run
from runtime.process.versions import leave_to_newer
from runtime.store.contract import (
    ENDED,
    Chain,
    Duplicate,
    Effect,
    Fenced,
    Instance,
    JournalLine,
    Seen,
    Send,
    StartInstance,
    Store,
)

log = structlog.get_logger("q2c.process")

Name = tuple[str, str, str]  # tenant, process, key


class NotKept(Exception):
    """The store did not take what an instance has learned: nothing of it counts, and the message that led to it is to come again."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = Unavailable(failure.code, failure.detail) if isinstance(failure, OutcomeUnknown) else failure


LOST = (Fenced, Duplicate, NotKept)


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
        self._in_work: set[Name] = set()
        self._routes = routes(self.newest)
        self._newest = {process.name: process.version for process in self.newest}

    def table(self, row: Instance) -> Process | None:
        """The table on which an instance runs; None where this release does not have it any more."""
        return self._tables.get((row.process, row.version))

    @property
    def newest(self) -> tuple[Process, ...]:
        """The newest version of each table: the one on which new instances start."""
        by_name: dict[str, Process] = {}
        for process in self._tables.values():
            if process.name not in by_name or process.version > by_name[process.name].version:
                by_name[process.name] = process
        return tuple(by_name.values())

    # messages ----------------------------------------------------------------------------------------------------------

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
        """Take an instance over and run it from its journal, unless it has ended, is parked, or its time has not come."""
        row = await self._store.instance(tenant, process, key)
        if row is not None and self._may_go_on(row):
            leave_to_newer(row, self._newest)
            await self._working((tenant, process, key), self._resume)

    def _may_go_on(self, row: Instance) -> bool:
        return row.status not in (*ENDED, "parked") and (row.due_at is None or row.due_at <= self.clock.now())

    async def _start(self, process: Process, letter: Envelope, message: Message) -> None:
        now, memory = self.clock.now(), process.begin(message)
        row = Instance(
            tenant=letter.tenant,
            process=process.name,
            key=process.key(message),
            version=process.version,
            memory=msgspec.json.encode(memory),
            entity=process.entity(memory) if process.entity else letter.entity,
            correlation_id=letter.correlation_id,
            traceparent=letter.traceparent,
            actor=letter.actor,
            started_by=type(message).__name__,
            letter_id=letter.id,
            fence=1,
            created_at=now,
            updated_at=now,
        )
        run = Run(process, row, memory, seq=0, clock=self.clock, new=True)
        run.line("started", "", asked=row.started_by)
        run.related.update(process.relates(memory) if process.relates else ())
        chain = Chain(row.tenant, row.correlation_id, row.process, row.key)
        with self._taken((row.tenant, row.process, row.key)):
            try:
                await self._store.commit([Seen(process_queue(process.name), letter.id), StartInstance(row), *run.take_lines(), chain])
            except Duplicate as known:
                log.info("start_repeated", instance=run.name, known=known.what)
            else:
                await self._guarded(run.name, self._run(run))
                return
        await self._store.commit([chain])
        await self.go_on(row.tenant, row.process, row.key)

    async def _arrived(self, process: Process, letter: Envelope, event: Event) -> None:
        """Tell an event to the instances that wait for it; each learns from the same letter once."""
        waits = [step for step in process.steps if isinstance(step, Wait) and step.event is type(event)]
        if not waits:
            raise Broken("misaddressed", f"{process.name} does not wait for {letter.type}")
        queue = process_queue(process.name)
        seen = await self._store.seen(queue, letter.id)
        keys = list(dict.fromkeys(f"{type(event).__name__}:{step.event_key(event)}" for step in waits))
        rows = [row for key in keys for row in await self._store.waiting_for(letter.tenant, key) if row.process == process.name]
        if not rows and not seen:
            raise Broken("nobody_waits", f"no instance of {process.name} waits for {', '.join(keys)}")
        for row in rows:
            leave_to_newer(row, self._newest)
            marks = [Seen(f"{queue}/{row.key}", letter.id), *([] if seen else [Seen(queue, letter.id)])]
            if not await self._working((row.tenant, row.process, row.key), self._learning(letter, event, row.waiting_for, marks)):
                raise Unavailable("taken_over", f"{row.process}/{row.key} was taken over before it could learn from {letter.type}")
            seen = True

    def _learning(self, letter: Envelope, event: Event, waiting_for: str, marks: list[Seen]) -> Callable[[Run], Awaitable[None]]:
        async def learn(run: Run) -> None:
            step = run.step
            if run.instance.waiting_for != waiting_for or not isinstance(step, Wait):
                await self._hand_on(run)
                raise Fenced
            run.writes.extend(marks)
            if step.case is not None:
                run.close_case(step.case(run.memory), step.name, f"{type(event).__name__} by {letter.actor or 'the system'}")
            run.line("wait", step.name, answered=type(event).__name__, detail=f"by {letter.actor}" if letter.actor else "")
            run.become("running")
            run.forward(step.learn(run.memory, event))
            await self._run(run)

        return learn

    # taking an instance over -------------------------------------------------------------------------------------------

    @contextmanager
    def _taken(self, name: Name) -> Iterator[None]:
        """An instance is in work here. Raises `Unavailable` where it is already: what comes now has to come again."""
        if name in self._in_work:
            raise Unavailable("in_work", f"{name[1]}/{name[2]} is in work at this moment", retry_after_s=1.0)
        self._in_work.add(name)
        try:
            yield
        finally:
            self._in_work.discard(name)

    async def _working(self, name: Name, work: Callable[[Run], Awaitable[None]]) -> bool:
        """Claim an instance and do something with it; False when another worker has taken it over, or this release cannot read it."""
        with self._taken(name):
            row = await self._store.claim(*name)
            if row is None:
                return False
            lines = await self._store.journal(*name)
            try:
                process, memory = self._read(row)
            except Broken as unreadable:
                log.exception("instance_unreadable", instance=f"{row.process}/{row.key}")
                run = Run(missing_table(row.process, row.version, row.key), row, msgspec.Raw(row.memory), seq=len(lines), clock=self.clock)
                failing.park(run, "table", unreadable)
                await self._guarded(run.name, self.commit(run))
                return False
            run = Run(process, row, memory, seq=len(lines), clock=self.clock)
            return await self._guarded(run.name, work(run))

    def _read(self, row: Instance) -> tuple[Process, Any]:
        process = self._tables.get((row.process, row.version))
        if process is None:
            raise Broken("table_gone", f"this release has no version {row.version} of {row.process}")
        try:
            return process, msgspec.json.decode(row.memory, type=process.memory)
        except msgspec.DecodeError as error:
            raise Broken("memory_unreadable", str(error)) from error

    async def _guarded(self, instance: str, work: Awaitable[None]) -> bool:
        """Stop quietly, with False, when another worker has taken the instance over; raise when the store did not keep what was done."""
        try:
            await work
        except Fenced:
            log.info("taken_over", instance=instance)
            return False
        except Duplicate as known:
            log.info("done_already", instance=instance, known=known.what)
        except NotKept as lost:
            raise lost.failure from lost
        return True

    async def _hand_on(self, run: Run) -> None:
        """Our claim has put off whoever was at the instance: it has to go on."""
        if run.instance.status in {"running", "undoing"} and run.instance.due_at is None:
            run.writes.append(self.wake(run.instance))
            await self.commit(run)

    # running -----------------------------------------------------------------------------------------------------------

    async def _resume(self, run: Run) -> None:
        if not self._may_go_on(run.instance):
            return
        if run.instance.status == "waiting" and isinstance(run.step, Wait):
            try:
                self._too_late(run, run.step)
            except Exception as bug:
                log.exception("step_broken", instance=run.name, step=run.step.name)
                failing.park(run, run.step.name, failing.broken(bug))
        run.change(due_at=None)
        await self._run(run)

    def _too_late(self, run: Run, step: Wait) -> None:
        memory, case = step.late(run.memory), step.case(run.memory) if step.case else None
        run.line("wait", step.name, detail="nobody answered in time")
        if case is not None:
            run.close_case(case, step.name, "time is over")
        run.become("running")
        run.forward(memory)

    async def _run(self, run: Run) -> None:
        while run.instance.status == "running" and run.instance.due_at is None:
            step = run.step
            if step is None:
                run.become("done", due_at=None)
                run.line("done", "")
                break
            began_s = self.clock.monotonic_s()
            try:
                if getattr(step, "when", None) and not step.when(run.memory):  # type: ignore[union-attr,misc]
                    run.forward()
                    continue
                with watching.watched(run, step.name):
                    await performing.WORDS[type(step)](self, run, step)
            except Failure as failure:
                await failing.failed(self, run, step, failure)
            except LOST:
                raise
            except Exception as bug:  # a step's own function failed: park it with the reason, lose nothing
                log.exception("step_broken", instance=run.name, step=step.name)
                failing.park(run, step.name, failing.broken(bug))
            watching.count(run, step.name, began_s)
        await self.commit(run)
        if run.instance.status == "undoing":
            await self._undo(run)

    async def _undo(self, run: Run) -> None:
        """Walk up the table, along what is committed."""
        try:
            await undoing.walk(self, run, await self.journal(run))
        except LOST:
            raise
        except Exception as bug:
            log.exception("undo_broken", instance=run.name)
            failing.park(run, "undo", failing.broken(bug))
        await self.commit(run)

    async def commit(self, run: Run) -> None:
        """Commit what is pending, and publish at once what it sends. Raises `NotKept` where the store does not take it."""
        try:
            for process, key in sorted(run.related):
                if correlation_id := await self._store.correlation_of(run.instance.tenant, process, key):
                    run.belongs_to(correlation_id)
                    if telemetry.recording() and (other := await self._store.instance(run.instance.tenant, process, key)):
                        telemetry.link(other.traceparent)
            run.related.clear()
            writes = run.take()
            await self._store.commit(writes)
        except Failure as failure:
            raise NotKept(failure) from failure
        if writes:
            watching.tell_rest(run)
        await self._publisher.publish_now([write for write in writes if isinstance(write, Send)])

    async def journal(self, run: Run) -> tuple[JournalLine, ...]:
        """The lines of an instance that are committed."""
        try:
            return await self._store.journal(run.instance.tenant, run.instance.process, run.instance.key)
        except Failure as failure:
            raise NotKept(failure) from failure

    async def effect(self, run: Run, step: str) -> Effect | None:
        """What the ledger says of a step's write."""
        try:
            return await self._store.effect(run.instance.tenant, run.context(step).key)
        except Failure as failure:
            raise NotKept(failure) from failure

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

        async def change(run: Run) -> bool:
            return failing.resumed(run, by)

        return await self._operated((tenant, process, key), change)

    async def edit(self, tenant: str, process: str, key: str, *, patch: Any, by: str, reason: str) -> bool:
        """A person corrects what a parked instance remembers, by a JSON merge patch, and wants it tried again; False where none is parked.

        Raises `Rejected` with the place where the memory would not fit its table, or where the vendor may have done the present step with
        the old values; nothing is changed then.
        """

        async def change(run: Run) -> bool:
            made = await self.effect(run, run.step.name) if run.step else None
            return failing.edited(run, made, patch, by, reason)

        return await self._operated((tenant, process, key), change)

    async def cancel(self, tenant: str, process: str, key: str, *, by: str, reason: str) -> bool:
        """A person wants an instance undone; False where it has ended, is beyond the point of no return, or is at a step of which
        nobody knows yet whether it was done: that has to be found out first, or it would never be taken back.
        """

        async def change(run: Run) -> bool:
            made = await self.effect(run, run.step.name) if run.step else None
            return not failing.in_doubt(run, made) and failing.cancelled(run, by, reason)

        return await self._operated((tenant, process, key), change)

    async def _operated(self, name: Name, change: Callable[[Run], Awaitable[bool]]) -> bool:
        done, row = False, await self._store.instance(*name)
        if row is not None:
            leave_to_newer(row, self._newest)

        async def work(run: Run) -> None:
            nonlocal done
            done = await change(run)
            await self._hand_on(run)

        return await self._working(name, work) and done

    def wake(self, row: Instance) -> Send:
        """The message that brings an instance back to work."""
        return waking(row, self.clock.now())
