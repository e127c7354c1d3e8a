"""A synchronous question that asks several systems at once, within a time budget: the other kind of table.

Each check asks a port and judges the answer, or judges alone. A back end that is slow or down costs its own check only: the answer comes
in time and says what could not be checked.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from canonical.failures import Broken, Failure, Unavailable
from canonical.messages import Command, Event
from runtime import telemetry
from runtime.context import Context, working_in
from runtime.keys import step_key
from runtime.process.asking import Asker

Q = TypeVar("Q", bound=Command[Any])
R = TypeVar("R", bound=Event)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    name: str
    command: Callable[[Any], Command[Any]] | None
    judge: Callable[..., Any]
    when: Callable[[Any], bool] | None = None


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """The table.

    ``entity(question)`` says whose bindings are asked. ``missed(question, check, failure)`` says in the answer's words what could not be
    checked; ``conclude(question, verdicts)`` makes the answer from what each check has said, in table order.
    """

    name: str
    answers: type[Command[Any]]
    entity: Callable[[Any], str]
    within_s: float
    checks: tuple[Check, ...]
    missed: Callable[[Any, str, Failure], Any]
    conclude: Callable[[Any, Sequence[Any]], Event]


def check(name: str, command: Callable[[Q], Command[R]], *, judge: Callable[[Q, R], Any], when: Callable[[Q], bool] | None = None) -> Check:
    """Ask a port and judge its reply."""
    return Check(name=name, command=command, judge=judge, when=when)


def consider(name: str, judge: Callable[[Q], Any]) -> Check:
    """Judge the question by itself."""
    return Check(name=name, command=None, judge=judge)


async def inquire(inquiry: Inquiry, question: Command[Any], context: Context, asker: Asker) -> Event:
    """The answer, at the latest when the time budget is over."""
    context = msgspec.structs.replace(context, entity=inquiry.entity(question))
    relevant = [c for c in inquiry.checks if c.when is None or c.when(question)]
    tasks = [asyncio.create_task(_verdict(inquiry, c, question, context, asker)) for c in relevant]
    done, pending = await asyncio.wait(tasks, timeout=inquiry.within_s)
    for task in pending:
        task.cancel()
    late = Unavailable("too_slow", f"no answer within {inquiry.within_s:g} s")
    verdicts = [task.result() if task in done else inquiry.missed(question, c.name, late) for task, c in zip(tasks, relevant, strict=True)]
    return inquiry.conclude(question, verdicts)


async def _verdict(inquiry: Inquiry, line: Check, question: Command[Any], context: Context, asker: Asker) -> Any:
    asked = msgspec.structs.replace(context, key=step_key(inquiry.name, context.correlation_id, line.name))
    try:
        if line.command is None:
            return line.judge(question)
        with telemetry.span(f"{inquiry.name}/{line.name}", context=asked) as traced, working_in(traced or asked) as here:
            answer = await asker.ask(line.command(question), here, within_s=inquiry.within_s)
        return line.judge(question, answer.reply)
    except Failure as failure:
        return inquiry.missed(question, line.name, failure)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as bug:
        return inquiry.missed(question, line.name, Broken("check_failed", f"{type(bug).__name__}: {bug}"))
