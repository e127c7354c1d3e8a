"""How a process reaches a port: one question, one typed answer, wherever the connection is served."""

from typing import Any, Protocol

import msgspec

from canonical.messages import Command, Event
from runtime.context import Context
from runtime.store.contract import Write


class Answer(msgspec.Struct, frozen=True):
    """A reply, the connection that gave it, and what is to be committed together with the knowledge of it."""

    reply: Event
    connection: str
    writes: tuple[Write, ...] = ()


class Asker(Protocol):
    """Finds the connection that the context's entity has bound to the command's port, and asks it."""

    async def ask(self, command: Command[Any], context: Context, *, within_s: float | None = None) -> Answer:
        """The answer. Raises one of the six failures. `context.key` is the step key: the same key again is the same effect."""
        ...
