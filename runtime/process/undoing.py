"""The walk up the table: each step that the journal says was done is taken back, last first, with the command kept at that time."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from canonical.failures import Broken, Failure, FailureRecord
from canonical.messages import Command, message_type
from runtime.bus.contract import EVERYONE
from runtime.clock import Clock
from runtime.context import working_in
from runtime.process import failing, watching
from runtime.process.asking import Answer, Asker
from runtime.process.declare import PATIENT, CaseDraft
from runtime.process.run import Run
from runtime.store.contract import Effect, JournalLine, PutEffect


class Undoing(Protocol):
    """What is needed of the engine to undo."""

    asker: Asker
    clock: Clock

    @property
    def jitter(self) -> Any: ...

    async def commit(self, run: Run) -> None: ...

    async def effect(self, run: Run, step: str) -> Effect | None: ...


def open_undos(lines: Sequence[JournalLine]) -> list[JournalLine]:
    """The steps still to be taken back, last first."""
    undone = {line.step for line in lines if line.kind == "undo"}
    return [line for line in reversed(lines) if line.kind == "ask" and line.undo_type and line.step not in undone]


async def walk(engine: Undoing, run: Run, lines: Sequence[JournalLine]) -> None:
    """Take back what is open. A vendor that is away is tried later; one that refuses is put before a person, and nothing is dropped."""
    for line in open_undos(lines):
        await engine.commit(run)
        began_s = engine.clock.monotonic_s()
        answer = await _tried(engine, run, line)
        watching.count(run, line.step, began_s, undo=True)
        if answer is None:
            return
        run.writes.extend(answer.writes)
        run.line(
            "undo",
            line.step,
            asked=line.undo_type,
            answered=type(answer.reply).__name__,
            connection=answer.connection,
            duration_ms=round((engine.clock.monotonic_s() - began_s) * 1000),
        )
        if (made := await engine.effect(run, line.step)) is not None and made.state == "confirmed":
            run.writes.append(PutEffect(msgspec.structs.replace(made, state="compensated", updated_at=engine.clock.now())))
        run.change(attempts=0, first_failed_at=None)
    _ended(run)


async def _tried(engine: Undoing, run: Run, line: JournalLine) -> Answer | None:
    """The answer, or None where the step cannot be taken back now."""
    try:
        with watching.watched(run, f"{line.step}/undo"):
            return await _take_back(engine, run, line)
    except failing.LATER as failure:
        failing.try_later(engine, run, line.step, failure, PATIENT)
    except Failure as failure:
        failing.park(run, line.step, failure)
    except (ValueError, TypeError, KeyError) as bug:
        failing.park(run, line.step, Broken("undo_broken", f"{type(bug).__name__}: {bug}"))
    return None


async def _take_back(engine: Undoing, run: Run, line: JournalLine) -> Answer:
    shape = message_type(line.undo_type)
    command: Command[Any] = msgspec.json.decode(line.undo, type=shape)
    context = msgspec.structs.replace(run.context(f"{line.step}/undo"), first=False)
    with working_in(context):
        return await engine.asker.ask(command, context)


def _ended(run: Run) -> None:
    reason = run.instance.reason or FailureRecord(word="rejected", code="undone")
    if run.process.if_undone is not None:
        event = run.process.if_undone(run.memory, reason)
        run.send(EVERYONE, event, "if_undone")
        run.line("tell", "if_undone", asked=type(event).__name__, detail=reason.detail)
    draft = run.about()
    run.open_case(
        CaseDraft(
            kind="rejected",
            title=f"{draft.title}: {reason.detail}",
            amount=draft.amount,
            currency=draft.currency,
            owner=draft.owner or run.process.owner,
            document={"failure": reason, "about": draft.document},
        ),
        "rejected",
    )
    run.line("undone", "")
    run.become("undone", due_at=None, waiting_for="")
