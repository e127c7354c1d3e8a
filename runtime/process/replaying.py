"""Replay: what was handled is delivered again. What is finished has no new effect; what had stopped goes on.

A plan says beforehand, out of the store alone, what would be created, updated and skipped; carrying it out does just that. Nothing is
forced: an instance is handed its own first message under its own id, and the inbox, the journal and the effects ledger decide as they
always do. A parked instance is taken up again at the step at which it stopped.
"""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

import msgspec

from runtime.bus.contract import Bus
from runtime.process.declare import Ask, Process, Tell
from runtime.process.engine import Engine
from runtime.process.undoing import open_undos
from runtime.store.contract import ENDED, Instance, JournalLine, Store

PAGE = 200
FOR_EVER = dt.timedelta(days=36500)

Deed = Literal["redeliver", "resume", "leave"]


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be replayed: the instances of a transaction, of a case, or those that began in a span of time, of one process or all."""

    correlation_id: str = ""
    case_id: str = ""
    process: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay means for one instance.

    ``creates``: the commands that would be asked, as far as the memory of now can tell; ``updates``: what would be told, and so changes
    read models; ``skips``: effects that are in the journal and stay as they are; ``table``: the version of the table, and of its mapping.
    """

    process: str
    key: str
    status: str
    deed: Deed
    why: str
    table: int
    creates: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole replay, added up; ``instances`` are those that are not simply skipped, and the first of the others."""

    matched: int = 0
    redelivered: int = 0
    resumed: int = 0
    left: int = 0
    creates: int = 0
    updates: int = 0
    skips: int = 0
    instances: tuple[Planned, ...] = ()


SHOWN_MAX = 1000


def planned(table: Process | None, row: Instance, lines: Sequence[JournalLine], memory: Any) -> Planned:
    """The plan for an instance, from what is stored of it."""
    deed, why = _deed(table, row)
    plan = Planned(
        process=row.process,
        key=row.key,
        status=row.status,
        table=row.version,
        deed=deed,
        why=why,
        skips=tuple(f"{line.step} {line.asked}" for line in lines if line.kind in {"ask", "undo"}),
    )
    if deed != "resume" or table is None:
        return plan
    creates, updates = _way_back(table, lines) if row.waiting_for == "undo" else _way_on(table, row, memory)
    return msgspec.structs.replace(plan, creates=creates, updates=updates)


def _deed(table: Process | None, row: Instance) -> tuple[Deed, str]:
    if row.status in ENDED:
        return "redeliver", "it has ended: its journal stands"
    if row.status == "waiting":
        return "redeliver", f"it waits for {row.waiting_for}"
    if row.status != "parked":
        return "leave", "it is at work, or is tried again by itself"
    if table is None:
        return "leave", f"this release has no version {row.version} of {row.process}"
    return "resume", row.reason.detail if row.reason else ""


def _way_back(table: Process, lines: Sequence[JournalLine]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    told = ("if_undone",) if table.if_undone else ()
    return tuple(f"{line.step} {line.undo_type}" for line in open_undos(lines)), told


def _way_on(table: Process, row: Instance, memory: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rest = [step for step in table.steps[row.position :] if (when := getattr(step, "when", None)) is None or when(memory)]
    asked = tuple(f"{step.name} {step.asks.wire_name()}" for step in rest if isinstance(step, Ask))
    return asked, tuple(step.name for step in rest if isinstance(step, Tell))


class Replayer:
    """Plans and carries out replays."""

    def __init__(self, engine: Engine, store: Store, bus: Bus) -> None:
        self._engine = engine
        self._store = store
        self._bus = bus

    async def plan(self, tenant: str, selection: Selection, progress: Callable[[int], None] = lambda _: None) -> Plan:
        """What carrying out would do. Writes nothing."""
        return await self._over(tenant, selection, None, progress)

    async def carry_out(self, tenant: str, selection: Selection, *, by: str, progress: Callable[[int], None] = lambda _: None) -> Plan:
        """Do it; returns what was planned for each instance in the moment in which it was done."""
        return await self._over(tenant, selection, by, progress)

    async def _over(self, tenant: str, selection: Selection, by: str | None, progress: Callable[[int], None]) -> Plan:
        plan = Plan()
        async for row in self._selected(tenant, selection):
            one = await self._planned(row)
            if by is not None:
                await self._do(row, one, by)
            plan = _added(plan, one)
            progress(plan.matched)
        return plan

    async def _planned(self, row: Instance) -> Planned:
        table = self._engine.table(row)
        memory = None
        if table is not None and row.status == "parked":
            memory = msgspec.json.decode(row.memory, type=table.memory)
        return planned(table, row, await self._store.journal(row.tenant, row.process, row.key), memory)

    async def _do(self, row: Instance, one: Planned, by: str) -> None:
        if one.deed == "resume":
            await self._engine.resume(row.tenant, row.process, row.key, by=f"{by} (replay)")
        elif one.deed == "redeliver":
            first = await self._store.outbox_row(row.letter_id) if row.letter_id else None
            if first is not None:
                await self._bus.publish(first.address, first.letter)

    async def _selected(self, tenant: str, selection: Selection) -> AsyncIterator[Instance]:
        if selection.case_id:
            case = await self._store.case(tenant, selection.case_id)
            row = await self._store.instance(tenant, case.process, case.key) if case else None
            if row is not None:
                yield row
            return
        if selection.correlation_id:
            for row in await self._store.instances(tenant, correlation_id=selection.correlation_id, limit=100_000):
                if not selection.process or row.process == selection.process:
                    yield row
            return
        now = self._engine.clock.now()
        since, until = selection.since or now - FOR_EVER, selection.until or now + FOR_EVER
        after = (since - dt.timedelta(microseconds=1), "", "")
        while page := await self._store.instances_between(tenant, since, until, process=selection.process, after=after, limit=PAGE):
            for row in page:
                yield row
            after = (page[-1].created_at, page[-1].process, page[-1].key)


async def republish(store: Store, bus: Bus, since: dt.datetime, progress: Callable[[int], None] = lambda _: None) -> int:
    """Put every message of the outbox since a moment onto the bus again, under its own id: for a broker that has lost its data.

    What was handled already is known to the inboxes and journals and has no effect. Returns how many there were.
    """
    count, after = 0, ""
    while page := await store.outbox_since(since, after=after, limit=PAGE):
        for row in page:
            await bus.publish(row.address, row.letter)
        count, after = count + len(page), page[-1].letter.id
        progress(count)
    return count


def _added(plan: Plan, one: Planned) -> Plan:
    shown = plan.instances
    if len(shown) < SHOWN_MAX or one.creates:
        shown = (*shown, one)
    return Plan(
        matched=plan.matched + 1,
        redelivered=plan.redelivered + (one.deed == "redeliver"),
        resumed=plan.resumed + (one.deed == "resume"),
        left=plan.left + (one.deed == "leave"),
        creates=plan.creates + len(one.creates),
        updates=plan.updates + len(one.updates),
        skips=plan.skips + len(one.skips),
        instances=shown,
    )
