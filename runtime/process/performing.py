"""What each word of a table does when its line is reached."""

from collections.abc import Mapping
from typing import Any, Protocol

from canonical.failures import Rejected
from canonical.messages import Message
from runtime.bus.contract import Address
from runtime.clock import Clock
from runtime.context import working_in
from runtime.process.asking import Asker
from runtime.process.declare import Ask, Decide, PointOfNoReturn, Tell, Wait
from runtime.process.run import Run
from runtime.store.contract import JournalLine


class Performing(Protocol):
    """What is needed of the engine to perform a step."""

    asker: Asker
    clock: Clock

    async def commit(self, run: Run) -> None: ...

    async def journal(self, run: Run) -> tuple[JournalLine, ...]: ...

    def address(self, message: Message) -> Address: ...


async def ask(engine: Performing, run: Run, step: Ask) -> None:
    """Commit what came before, ask, learn, and keep in the journal how the step would be taken back."""
    await engine.commit(run)
    command = step.commands(run.memory)[0]
    memory = await _asked(engine, run, step, command, step.name)
    run.forward(memory)


async def ask_each(engine: Performing, run: Run, step: Ask) -> None:
    """Ask one after the other, each committed by itself; what the journal shows as answered is not asked again."""
    await engine.commit(run)
    answered = {line.step for line in await engine.journal(run) if line.kind == "ask"}
    for number, command in enumerate(step.commands(run.memory), start=1):
        name = f"{step.name}.{number}"
        if name not in answered:
            run.memory = await _asked(engine, run, step, command, name)
            run.change(attempts=0)
            await engine.commit(run)
            run.untouched = True
    run.forward(run.memory)


async def _asked(engine: Performing, run: Run, step: Ask, command: Any, name: str) -> Any:
    began_s = engine.clock.monotonic_s()
    context = run.context(name)
    with working_in(context):
        answer = await engine.asker.ask(command, context)
    run.writes.extend(answer.writes)
    memory = step.learn(run.memory, answer.reply) if step.learn else run.memory
    run.line(
        "ask",
        name,
        asked=command.wire_name(),
        answered=type(answer.reply).__name__,
        connection=answer.connection,
        duration_ms=round((engine.clock.monotonic_s() - began_s) * 1000),
        **run.undo_fields(step.undo(memory) if step.undo else None),
    )
    return memory


async def tell(engine: Performing, run: Run, step: Tell) -> None:
    """Send with the next commit."""
    message = step.message(run.memory)
    run.send(engine.address(message), message, step.name)
    run.line("tell", step.name, asked=type(message).__name__)
    run.forward()


async def wait(engine: Performing, run: Run, step: Wait) -> None:
    """Rest until the event comes or the time is over; a person who has to act finds a case."""
    due_at = engine.clock.now() + step.within
    if step.case is not None:
        run.open_case(step.case(run.memory), step.name, due_at=due_at)
    run.line("wait", step.name, asked=step.event.__name__)
    run.become("waiting", waiting_for=f"{step.event.__name__}:{step.key(run.memory)}", due_at=due_at)


async def decide(_engine: Performing, run: Run, step: Decide) -> None:
    """Go on, or be rejected for a reason in business words."""
    if not step.test(run.memory):
        raise Rejected(step.name, step.otherwise(run.memory))
    run.line("decide", step.name, detail="yes")
    run.forward()


async def pass_pivot(_engine: Performing, run: Run, step: PointOfNoReturn) -> None:
    """From here on nothing is undone."""
    run.line("pivot", step.name)
    run.forward()


async def ask_one_or_each(engine: Performing, run: Run, step: Ask) -> None:
    """Ask one command or many of the same kind."""
    await (ask_each if step.many else ask)(engine, run, step)


WORDS: Mapping[type, Any] = {Ask: ask_one_or_each, Tell: tell, Wait: wait, Decide: decide, PointOfNoReturn: pass_pivot}
