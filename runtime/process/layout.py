"""What the tables need of the bus: their queues, where commands go, and the message that brings an instance back to work."""

import datetime as dt
from collections.abc import Iterable

from canonical.messages import Accepted, Command, Event
from runtime.bus.contract import Address, Queue
from runtime.bus.topology import process_queue
from runtime.bus.wire import envelope
from runtime.keys import new_message_id
from runtime.process.declare import Process
from runtime.process.run import context_of
from runtime.store.contract import Instance, Send


class Continue(Command[Accepted], frozen=True, kw_only=True):
    """Bring an instance back to work: its time has come, or a person wants it tried again."""

    port = "runtime"
    process: str
    key: str


def waking(row: Instance, now: dt.datetime) -> Send:
    """The message that brings an instance back, whichever release its table is of."""
    letter = envelope(Continue(process=row.process, key=row.key), context_of(row, ""), now=now, message_id=new_message_id())
    return Send(Address(process_queue(row.process)), letter)


def routes(processes: Iterable[Process]) -> dict[str, str]:
    """Which queue serves which command: the process that starts on it."""
    return {p.starts_on.wire_name(): process_queue(p.name) for p in processes if issubclass(p.starts_on, Command)}


def queues(processes: Iterable[Process]) -> tuple[Queue, ...]:
    """The queues that the tables need, each bound to the events that start or continue them."""
    return tuple(
        Queue(
            name=process_queue(p.name),
            events=tuple(e.wire_name() for e in dict.fromkeys([*p.starters, *p.waits_for]) if issubclass(e, Event)),
        )
        for p in processes
    )
