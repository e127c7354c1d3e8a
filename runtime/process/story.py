"""The journal as a short text: the answer of ``q2c story``, the golden file of a test, the example in the README."""

import datetime as dt
from collections.abc import Sequence

from runtime.process.declare import Ask, Decide, PointOfNoReturn, Process, Tell, Wait
from runtime.store.contract import Instance, JournalLine

WORD_WIDTH = 8
STEP_WIDTH = 22
SAID_WIDTH = 58


def story(instance: Instance, lines: Sequence[JournalLine]) -> str:
    """One instance, a line each; durations in milliseconds, times left out so that two runs read alike."""
    head = f"{instance.process}/{instance.key}  started by {instance.started_by}"
    body = [_line(line) for line in lines if line.kind not in {"started", "done", "undone"}]
    return (
        "\n".join([f"{head:<{WORD_WIDTH + STEP_WIDTH + SAID_WIDTH}}correlation {instance.correlation_id}", *body, _last(instance)]) + "\n"
    )


def _line(line: JournalLine) -> str:
    word = {
        "failed": "fail",
        "parked": "park",
        "edited": "edit",
        "resumed": "resume",
        "cancelled": "cancel",
        "decide": "decide",
        "pivot": "pivot",
    }.get(line.kind, line.kind)
    said = _said(line)
    time = f"{line.connection:<16} {line.duration_ms} ms" if line.connection else ""
    return f"{word:<{WORD_WIDTH}}{line.step:<{STEP_WIDTH}} {said:<{SAID_WIDTH}} {time}".rstrip()


def _said(line: JournalLine) -> str:
    if line.kind in {"ask", "undo"}:
        return f"{line.asked} -> {line.answered}"
    if line.kind == "wait":
        return f"-> {line.answered} {line.detail}".rstrip() if line.answered else (line.detail or f"for {line.asked}")
    if line.kind == "tell":
        return f"{line.asked}: {line.detail}" if line.detail else line.asked
    if line.kind == "pivot":
        return "nothing is undone from here on"
    return line.detail


def _last(instance: Instance) -> str:
    state: str = instance.status
    if instance.status == "waiting":
        state = f"waiting for {instance.waiting_for}"
    elif instance.reason is not None and instance.status in {"parked", "running", "undoing"}:
        state = f"{instance.status}{' while being undone' if instance.waiting_for == 'undo' else ''}: {instance.reason.detail}"
    return f"{'now':<{WORD_WIDTH}}{state}"


def stories(instances: Sequence[tuple[Instance, Sequence[JournalLine]]]) -> str:
    """A whole transaction: its instances in the order in which they began."""
    return "\n".join(story(instance, lines) for instance, lines in instances)


def table(process: Process) -> str:
    """The table of a process as text: what each step asks and learns, how it is undone, how patiently it is tried."""
    span = _span(process.finish_within)
    head = f"{process.name} version {process.version}, starts on {process.starts_on.wire_name()}, to finish within {span}"
    rows = [f"{i:>3}  {_row(step)}" for i, step in enumerate(process.steps, start=1)]
    return "\n".join([head, *rows]) + "\n"


def _row(step: object) -> str:
    if isinstance(step, Ask):
        kind = "each" if step.many else "ask"
        reply = step.asks.reply_type().__name__
        undo = _undo_name(step)
        condition = f"  when {step.when.__name__}" if step.when else ""
        asked = f"{step.asks.wire_name()} -> {reply}{undo}{condition}"
        return f"{kind:<7}{step.name:<{STEP_WIDTH}}{asked}  (up to {step.retry.attempts_max} tries)"
    if isinstance(step, Tell):
        said = getattr(step.message, "__annotations__", {}).get("return")
        return f"{'tell':<7}{step.name:<{STEP_WIDTH}}{getattr(said, '__name__', '')}{_condition(step)}"
    if isinstance(step, Wait):
        return f"{'wait':<7}{step.name:<{STEP_WIDTH}}{step.event.__name__} within {_span(step.within)}{_condition(step)}"
    if isinstance(step, Decide):
        return f"{'decide':<7}{step.name:<{STEP_WIDTH}}{step.test.__name__}{_condition(step)}"
    return "------ point of no return " + "-" * 60


def _undo_name(step: Ask) -> str:
    said = getattr(step.undo, "__annotations__", {}).get("return") if step.undo else None
    return f"  undo {said.wire_name()}" if said is not None else ""


def _condition(step: Tell | Wait | Decide) -> str:
    return f"  when {step.when.__name__}" if step.when else ""


def _span(span: dt.timedelta) -> str:
    seconds = span.total_seconds()
    length, unit = next((size, unit) for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")) if seconds >= size)
    return f"{seconds / length:g} {unit}{'' if seconds == length else 's'}"


SHAPES: dict[type, tuple[str, str]] = {Tell: ('(["', '"])'), Wait: ('{{"', '"}}'), Decide: ('{"', '"}'), PointOfNoReturn: ('[/"', '"/]')}


def mermaid(process: Process) -> str:
    """The table as a Mermaid flowchart: what is asked is a box, what is told is round, a wait has six corners, a decision four."""
    lines = ["flowchart TD", f"  start([{process.starts_on.__name__}])"]
    before = "start"
    for number, step in enumerate(process.steps, start=1):
        node, (left, right) = f"s{number}", SHAPES.get(type(step), ('["', '"]'))
        label = step.name.replace("_", " ")
        condition = getattr(step, "when", None)
        arrow = f"-->|{condition.__name__.replace('_', ' ')}|" if condition else "-->"
        lines += [f"  {node}{left}{label}{right}", f"  {before} {arrow} {node}"]
        if isinstance(step, Ask) and step.undo:
            lines.append(f"  {node} -.undo.-> u{number}[{_undo_name(step).strip().removeprefix('undo ')}]")
        before = node
    return "\n".join([*lines, f"  {before} --> finish([done])"]) + "\n"
