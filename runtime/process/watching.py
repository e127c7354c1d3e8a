"""What is seen of a table at work from outside: a span and a measure for each step, a line for each instance that has come to rest."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import structlog

from runtime import metrics, telemetry
from runtime.context import current
from runtime.process.run import Run
from runtime.store.contract import ENDED

log = structlog.get_logger("q2c.process")

_NUMBER = re.compile(r"\.\d+")  # of one of many commands of the same line


_UNSEEN = nullcontext()


def watched(run: Run, step: str) -> AbstractContextManager[None]:
    """A step, or the taking back of one, as a part of its instance's trace; linked to the message that brought it on, if another did."""
    return _watched(run, step) if telemetry.active() else _UNSEEN


@contextmanager
def _watched(run: Run, step: str) -> Iterator[None]:
    here = current().traceparent
    causes = (here,) if here[3:35] != run.instance.traceparent[3:35] else ()
    with telemetry.span(f"{run.instance.process}/{_NUMBER.sub('', step)}", context=run.context(step), causes=causes) as context:
        run.traceparent = context.traceparent if context else ""
        try:
            yield
        finally:
            run.traceparent = ""


def count(run: Run, step: str, began_s: float, *, undo: bool = False) -> None:
    """Measure a step that was just tried."""
    outcome: str = run.instance.status
    if outcome not in {"parked", "waiting"}:
        turned = outcome == "undoing" and not undo
        outcome = "rejected" if turned else "later" if run.instance.due_at is not None else "done"
    name = _NUMBER.sub("", step) if "." in step else step
    metrics.stepped(run.instance.process, f"{name}/undo" if undo else name, outcome, run.clock.monotonic_s() - began_s)


def tell_rest(run: Run) -> None:
    """Tell of an instance that nothing more happens with: for good, or until a person looks at it."""
    row = run.instance
    if row.status not in (*ENDED, "parked"):
        return
    metrics.came_to_rest(row.process, row.status)
    said = {"instance": run.name, "status": row.status, "correlation_id": row.correlation_id}
    if row.status == "parked":
        log.warning("instance_parked", **said, reason=f"{row.reason.word}: {row.reason.detail}" if row.reason else "")
    else:
        log.info("instance_finished", **said)
