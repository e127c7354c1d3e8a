"""One instance in work: its memory, its place in the table, and the writes that wait for the next commit."""

import datetime as dt
from typing import Any

import msgspec

from canonical.failures import Failure, FailureRecord
from canonical.messages import Command, Message
from runtime.bus.contract import Address
from runtime.bus.wire import Envelope, envelope
from runtime.clock import Clock
from runtime.context import Context
from runtime.keys import message_id_for, step_key
from runtime.process.declare import CaseDraft, Process, Step
from runtime.store.contract import AddLine, Case, Chain, Instance, JournalLine, LineKind, PutCase, SaveInstance, Send, Status, Write


def context_of(row: Instance, step: str, *, traceparent: str = "", first: bool = False) -> Context:
    """The context in which a step of an instance is asked: its key is the step key."""
    return Context(
        tenant=row.tenant,
        entity=row.entity,
        correlation_id=row.correlation_id,
        traceparent=traceparent or row.traceparent,
        actor=row.actor,
        key=step_key(row.process, row.key, step),
        first=first,
    )


def storable(text: str) -> str:
    """A vendor's words as the store can hold them: without NUL characters and half characters."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def recorded(failure: Failure) -> FailureRecord:
    """A failure as the store can hold it."""
    record = FailureRecord.of(failure)
    texts = {name: storable(getattr(record, name)) for name in ("code", "detail", "pointer", "raw")}
    return msgspec.structs.replace(record, **texts)


class Run:
    """Collects what the next commit will write. Nothing here waits or talks to anybody."""

    def __init__(self, process: Process, instance: Instance, memory: Any, *, seq: int, clock: Clock, new: bool = False) -> None:
        self.process = process
        self.instance = instance
        self.memory = memory
        self.clock = clock
        self.writes: list[Write] = []
        self.changed = False
        self.related: set[tuple[str, str]] = set()
        self.traceparent = ""  # of the step at work, where that is recorded
        # Whether nobody can have been at the step in hand before: what is in the journal was written by this very run.
        self.untouched = new
        self._seq = seq

    @property
    def name(self) -> str:
        """``order_booking/ORD-1001``."""
        return f"{self.instance.process}/{self.instance.key}"

    @property
    def step(self) -> Step | None:
        """The step in hand; None beyond the last one."""
        position = self.instance.position
        return self.process.steps[position] if position < len(self.process.steps) else None

    @property
    def decisive(self) -> bool:
        """Whether the point of no return has been passed."""
        return self.instance.position > self.process.pivot

    def context(self, step: str) -> Context:
        """The context in which a step is asked: its key is the step key."""
        return context_of(self.instance, step, traceparent=self.traceparent, first=self.untouched)

    def about(self) -> CaseDraft:
        """What a person is told about the instance: its bare name where its own function fails."""
        try:
            return self.process.shows(self.memory)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return CaseDraft(kind=self.instance.process, title=self.name)

    def change(self, **fields: Any) -> None:
        """Set fields of the instance."""
        self.instance = msgspec.structs.replace(self.instance, **fields)
        self.changed = True

    def become(self, status: Status, **fields: Any) -> None:
        self.change(status=status, **fields)

    def forward(self, memory: Any = None) -> None:
        """The step is done: on to the next, with a fresh count of attempts."""
        if memory is not None:
            self.memory = memory
            if self.process.relates is not None:
                self.related.update(self.process.relates(memory))
        self.untouched = True
        self.change(position=self.instance.position + 1, attempts=0, first_failed_at=None, due_at=None, waiting_for="", reason=None)

    def line(self, kind: LineKind, step: str, *, detail: str = "", **fields: Any) -> None:
        """Write a line into the journal."""
        row = self.instance
        self.writes.append(
            AddLine(
                JournalLine(
                    tenant=row.tenant,
                    process=row.process,
                    key=row.key,
                    seq=self._seq,
                    step=step,
                    kind=kind,
                    correlation_id=row.correlation_id,
                    at=self.clock.now(),
                    detail=storable(detail),
                    **fields,
                )
            )
        )
        self._seq += 1

    def send(self, address: Address, message: Message, step: str) -> Envelope:
        """Send a message with the next commit; its id follows from the step, so that sending twice is sending the same."""
        row = self.instance
        letter = envelope(
            message,
            self.context(step),
            now=self.clock.now(),
            message_id=message_id_for(row.tenant, row.process, row.key, step, message.wire_name()),
        )
        self.writes.append(Send(address, letter))
        return letter

    def open_case(self, draft: CaseDraft, step: str, *, due_at: dt.datetime | None = None) -> None:
        """Put the instance before a person; the same step's case is one case."""
        self.writes.append(PutCase(self._case(draft, step, due_at=due_at)))

    def close_case(self, draft: CaseDraft, step: str, resolution: str) -> None:
        self.writes.append(PutCase(self._case(draft, step, due_at=None, resolution=resolution)))

    def _case(self, draft: CaseDraft, step: str, *, due_at: dt.datetime | None, resolution: str = "") -> Case:
        row, now = self.instance, self.clock.now()
        return Case(
            tenant=row.tenant,
            id=f"{self.name}/{step}",
            kind=draft.kind,
            process=row.process,
            key=row.key,
            status="resolved" if resolution else "open",
            title=storable(draft.title),
            amount=draft.amount,
            currency=draft.currency,
            owner=draft.owner or self.process.owner,
            correlation_id=row.correlation_id,
            document=msgspec.json.encode(draft.document),
            resolution=resolution,
            opened_at=now,
            due_at=due_at,
            closed_at=now if resolution else None,
        )

    def failed(self, step: str, failure: Failure, *, kind: LineKind = "failed") -> None:
        """Note a failure in the journal and on the instance; one that is being undone keeps the reason why."""
        self.line(kind, step, detail=f"{failure.word}: {failure.detail}")
        if self.instance.status != "undoing":
            self.change(reason=recorded(failure))

    def undo_fields(self, command: Command[Any] | None) -> dict[str, Any]:
        """The journal fields that keep how a step is taken back, from the values of this moment."""
        return {} if command is None else {"undo_type": command.wire_name(), "undo": msgspec.json.encode(command)}

    def belongs_to(self, correlation_id: str) -> None:
        """Note that the instance is part of another transaction, too."""
        self.writes.append(Chain(self.instance.tenant, correlation_id, self.instance.process, self.instance.key))

    def take_lines(self) -> list[Write]:
        """What is pending beside the instance itself, for a unit that brings its own."""
        writes, self.writes = self.writes, []
        return writes

    def take(self) -> list[Write]:
        """All that is to be committed now, the instance first; afterwards nothing is pending."""
        if not self.changed and not self.writes:
            return []
        self.change(memory=msgspec.json.encode(self.memory), updated_at=self.clock.now())
        writes, self.writes, self.changed = [SaveInstance(self.instance), *self.writes], [], False
        return writes
