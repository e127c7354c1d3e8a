"""What the engine does about each of the six words: try again later, undo, or put it before a person."""

import datetime as dt
from typing import Any, Protocol

import msgspec

from canonical.failures import Broken, Failure, FailureRecord, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.clock import Clock
from runtime.process.correcting import differences, merged
from runtime.process.declare import PATIENT, Ask, CaseDraft, Retry, Step, Wait
from runtime.process.run import Run, recorded
from runtime.store.contract import ENDED, Effect

# Nothing was sent: the connection rests, or its budget is spent. Waiting for that is no attempt; the time of the step counts all the same.
NOT_TRIED = frozenset({"circuit_open", "budget_spent"})
LATER: tuple[type[Failure], ...] = (Throttled, Unavailable, OutcomeUnknown)


class Trying(Protocol):
    """What is needed of the engine to try again."""

    clock: Clock

    @property
    def jitter(self) -> Any: ...


def broken(bug: Exception) -> Broken:
    """What a table's own function threw, as a failure."""
    return Broken("step_broken", f"{type(bug).__name__}: {bug}")


async def failed(engine: Trying, run: Run, step: Step, failure: Failure) -> None:
    """A step has failed: read the word and do what it says."""
    if isinstance(failure, LATER):
        try_later(engine, run, step.name, failure, step.retry if isinstance(step, Ask) else PATIENT)
    elif isinstance(failure, Rejected) and not run.decisive:
        undo(run, step.name, failure)
    else:
        park(run, step.name, failure)


def undo(run: Run, step: str, failure: Failure) -> None:
    """Turn round: what the journal says was done is taken back, last first."""
    run.failed(step, failure)
    turn_round(run)


def turn_round(run: Run) -> None:
    """From here on the instance is undone."""
    run.become("undoing", attempts=0, first_failed_at=None, due_at=None, waiting_for="")


def try_later(engine: Trying, run: Run, step: str, failure: Failure, retry: Retry) -> None:
    """Set a due time; the message is acknowledged and waiting costs no worker. Beyond the limits a person is called."""
    now, attempts = engine.clock.now(), run.instance.attempts + (failure.code not in NOT_TRIED)
    since = run.instance.first_failed_at or now
    if attempts >= retry.attempts_max or now - since >= retry.within:
        park(run, step, failure)
        return
    backoff_s = min(retry.wait_s * 2 ** min(attempts - 1, 30), retry.wait_s_max) * (0.5 + float(engine.jitter()))
    wait_s = min(max(backoff_s, failure.retry_after_s or 0.0), retry.within.total_seconds())
    run.failed(step, failure)
    run.change(attempts=attempts, first_failed_at=since, due_at=now + dt.timedelta(seconds=wait_s))


def park(run: Run, step: str, failure: Failure) -> None:
    """Put the instance before a person, with the reason and the money at stake."""
    undoing = run.instance.status == "undoing"
    run.failed(step, failure, kind="parked")
    draft = run.about()
    document = {"failure": recorded(failure), "step": step, "undoing": undoing, "about": draft.document}
    run.open_case(
        CaseDraft(
            kind="parked",
            title=f"{draft.title}: {step} stopped, {failure.detail}",
            amount=draft.amount,
            currency=draft.currency,
            owner=run.process.owner,
            document=document,
        ),
        "parked",
    )
    run.become("parked", due_at=None, waiting_for="undo" if undoing else "")


def resumed(run: Run, by: str) -> bool:
    """Try a parked instance again, from the step at which it stopped."""
    if run.instance.status != "parked":
        return False
    undoing = run.instance.waiting_for == "undo"
    reason = run.instance.reason if undoing else None
    run.line("resumed", "", detail=f"by {by}")
    run.close_case(CaseDraft(kind="parked", title=f"{run.about().title}: tried again"), "parked", f"resumed by {by}")
    run.become("undoing" if undoing else "running", attempts=0, first_failed_at=None, due_at=None, waiting_for="", reason=reason)
    return True


MAY_STAND = frozenset({"sent", "uncertain", "confirmed"})  # of an effect: the vendor has done it, or may have


def edited(run: Run, effect: Effect | None, patch: Any, by: str, reason: str) -> bool:
    """Correct the memory of a parked instance, keep what it was before and after, and try it again: one unit. See `Engine.edit`."""
    if run.instance.status != "parked":
        return False
    if run.instance.waiting_for == "undo":
        raise Rejected("edit_while_undoing", "what is taken back is in the journal; it does not follow from what is remembered now")
    if effect is not None and effect.state in MAY_STAND:
        # The vendor would keep the old values while we remember the new ones.
        raise Rejected(
            "edit_in_doubt", f"{effect.connection} may have done step {run.step.name if run.step else ''} already: resume it first"
        )
    before = msgspec.to_builtins(run.memory)
    after = merged(before, patch)
    try:
        memory = msgspec.convert(after, type(run.memory))
    except (msgspec.ValidationError, ValueError) as error:
        where, _, path = str(error).partition(" - at ")
        pointer = path.strip("`").removeprefix("$").replace(".", "/").replace("[", "/").replace("]", "")
        raise Rejected("edit_does_not_fit", where, pointer=pointer) from error
    now = msgspec.to_builtins(memory)
    changes = {path: (was, is_now) for path, was, is_now in differences(before, now)}
    for path, wanted, taken in differences(after, now):
        if wanted is not None and taken is None:
            raise Rejected("edit_does_not_fit", "there is no such field", pointer=path)
    if not changes:
        raise Rejected("edit_does_not_fit", "it changes nothing")
    run.memory = memory
    run.line("edited", "", detail=f"by {by}: {reason}; {msgspec.json.encode(changes).decode()}")
    return resumed(run, by)


def in_doubt(run: Run, effect: Effect | None) -> bool:
    """Whether the step in hand may have been done, would have to be taken back then, and is not in the journal.

    Somebody may be at it, or have died over it; or the ledger shows a write whose outcome or answer could not be read.
    """
    if not isinstance(run.step, Ask) or run.step.undo is None:
        return False
    if run.instance.status == "running" and run.instance.due_at is None:
        return True
    return effect is not None and effect.state in MAY_STAND


def cancelled(run: Run, by: str, reason: str) -> bool:
    """Undo an instance because a person says so, where that is still possible."""
    if run.instance.status in ENDED or run.instance.status == "undoing" or run.decisive:
        return False
    why = f"cancelled by {by}: {reason}"
    if run.instance.status == "parked":
        run.close_case(CaseDraft(kind="parked", title=f"{run.about().title}: cancelled"), "parked", why)
    elif run.instance.status == "waiting" and isinstance(run.step, Wait) and run.step.case is not None:
        run.close_case(run.step.case(run.memory), run.step.name, why)
    run.line("cancelled", "", detail=f"by {by}: {reason}")
    run.change(reason=FailureRecord.of(Rejected("cancelled", why)))
    turn_round(run)
    return True
