"""Replay: what was handled is delivered again. What is finished has no new effect; what had stopped goes on.

A plan says beforehand, out of the store alone, what would be created, updated and skipped; carrying it out does just that, as long as the
vendors do what they are asked. It reaches as far as is known now: to the next wait, or to a decision over what a step has yet to learn.
Nothing is forced: an instance is handed its own first message under its own id, and the inbox, the journal and the effects ledger decide as
they always do. A parked instance is taken up again at the step at which it stopped.
"""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from runtime.bus.contract import Bus
from runtime.keys import step_key
from runtime.process.declare import Ask, Decide, Process, Tell, Wait
from runtime.process.engine import Engine
from runtime.process.undoing import open_undos
from runtime.store.contract import ENDED, Instance, JournalLine, OutboxRow, Store

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
    """A whole replay, added up; ``instances`` are the first `SHOWN_MAX`, and all that create something."""

    matched: int = 0
    redelivered: int = 0
    resumed: int = 0
    left: int = 0
    creates: int = 0
    updates: int = 0
    skips: int = 0
    instances: tuple[Planned, ...] = ()


SHOWN_MAX = 1000
KNOWN = frozenset({"confirmed", "compensated"})  # the ledger answers for the vendor


class Way(NamedTuple):
    """The steps ahead of an instance: those that ask, with their command, and the messages that are told."""

    asks: list[tuple[str, str]]
    tells: list[str]


def _deed(table: Process | None, row: Instance) -> tuple[Deed, str]:
    if row.status in ENDED:
        return "redeliver", "it has ended: its journal stands"
    if row.status == "waiting":
        return "leave", f"it waits for {row.waiting_for}"
    if row.status != "parked":
        return "leave", "it is at work, or is tried again by itself"
    if table is None:
        return "leave", f"this release has no version {row.version} of {row.process}"
    return "resume", row.reason.detail if row.reason else ""


def _way_back(table: Process, lines: Sequence[JournalLine]) -> Way:
    return Way([(f"{line.step}/undo", line.undo_type) for line in open_undos(lines)], ["if_undone"] if table.if_undone else [])


def _way_on(table: Process, row: Instance, memory: Any, lines: Sequence[JournalLine]) -> Way:
    way, answered = Way([], []), {line.step for line in lines if line.kind == "ask"}
    for step in table.steps[row.position :]:
        if (when := getattr(step, "when", None)) is not None and not when(memory):
            continue
        if isinstance(step, Wait) or (isinstance(step, Decide) and way.asks):
            break
        if isinstance(step, Decide) and not step.test(memory):
            return _way_back(table, lines)
        if isinstance(step, Tell):
            way.tells.append(step.name)
        elif isinstance(step, Ask):
            asked = [f"{step.name}.{n}" for n, _ in enumerate(step.commands(memory), start=1)] if step.many else [step.name]
            way.asks.extend((name, step.asks.wire_name()) for name in asked if name not in answered)
    return way


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
        plan, shown = Plan(), list[Planned]()
        async for row in self._selected(tenant, selection):
            one, first = await self._planned(row)
            if by is not None:
                one = await self._do(row, one, first, by)
            plan = _added(plan, one)
            if len(shown) < SHOWN_MAX or one.creates:
                shown.append(one)
            progress(plan.matched)
        return msgspec.structs.replace(plan, instances=tuple(shown))

    async def _planned(self, row: Instance) -> tuple[Planned, OutboxRow | None]:
        """What is to be done with an instance, and the message that it began with where that is to be delivered again."""
        table = self._engine.table(row)
        deed, why = _deed(table, row)
        lines, first = await self._store.journal(row.tenant, row.process, row.key), None
        if deed == "redeliver":
            first = await self._store.outbox_row(row.letter_id) if row.letter_id else None
            deed, why = (deed, why) if first else ("leave", "its first message is not kept any more")
        way = Way([], [])
        if deed == "resume" and table is not None:
            try:
                memory = msgspec.json.decode(row.memory, type=table.memory)
            except msgspec.MsgspecError as error:
                deed, why = "leave", f"its memory cannot be read: {error}"
            else:
                way = _way_back(table, lines) if row.waiting_for == "undo" else _way_on(table, row, memory, lines)
        there = [f"{line.step} {line.asked}" for line in lines if line.kind in {"ask", "undo"}]
        creates: list[str] = []
        for step, command in way.asks:
            effect = await self._store.effect(row.tenant, step_key(row.process, row.key, step))
            (there if effect is not None and effect.state in KNOWN else creates).append(f"{step} {command}")
        return Planned(
            process=row.process,
            key=row.key,
            status=row.status,
            table=row.version,
            deed=deed,
            why=why,
            creates=tuple(creates),
            updates=tuple(way.tells),
            skips=tuple(there),
        ), first

    async def _do(self, row: Instance, one: Planned, first: OutboxRow | None, by: str) -> Planned:
        """Do it, and say what was done: between plan and deed somebody else may have taken an instance up."""
        if first is not None:
            await self._bus.publish(first.address, first.letter)
        if one.deed == "resume" and not await self._engine.resume(row.tenant, row.process, row.key, by=f"{by} (replay)"):
            return msgspec.structs.replace(one, deed="leave", why="it is not parked any more", creates=(), updates=())
        return one

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
    return Plan(
        matched=plan.matched + 1,
        redelivered=plan.redelivered + (one.deed == "redeliver"),
        resumed=plan.resumed + (one.deed == "resume"),
        left=plan.left + (one.deed == "leave"),
        creates=plan.creates + len(one.creates),
        updates=plan.updates + len(one.updates),
        skips=plan.skips + len(one.skips),
    )
