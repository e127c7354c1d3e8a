"""A whole commercial transaction by its correlation id: where it stands, what each process did, what it waits for."""

from typing import Any

import msgspec

from canonical.failures import FailureRecord
from runtime.house import House
from runtime.process.story import stories
from runtime.store.contract import Instance, JournalLine


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a journal."""

    step: str
    kind: str
    asked: str = ""
    answered: str = ""
    connection: str = ""
    detail: str = ""
    duration_ms: int = 0
    at: str


class InstanceView(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the transaction."""

    process: str
    key: str
    status: str
    waiting_for: str = ""
    due_at: str = ""
    reason: FailureRecord | None = None
    steps: tuple[StepView, ...]


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits, or has waited, for a person."""

    id: str
    kind: str
    title: str
    status: str
    amount: str = ""
    currency: str = ""
    owner: str = ""
    due_at: str = ""
    resolution: str = ""
    correlation_id: str = ""
    document: Any = None


class TransactionView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /process/v1/transactions/{correlation_id}``; ``story`` is the same as text."""

    correlation_id: str
    stage: str
    quote_id: str = ""
    order_id: str = ""
    entity: str = ""
    customer: str = ""
    amount: str = ""
    currency: str = ""
    processes: tuple[InstanceView, ...] = ()
    story: str = ""


async def chain(house: House, tenant: str, correlation_id: str) -> list[tuple[Instance, tuple[JournalLine, ...]]]:
    """Every instance of a transaction with its journal, in the order in which they began."""
    rows = await house.store.instances(tenant, correlation_id=correlation_id)
    return [(row, await house.store.journal(tenant, row.process, row.key)) for row in rows]


async def view(house: House, tenant: str, correlation_id: str) -> TransactionView | None:
    """The whole chain; None for an id that names nothing."""
    found = await chain(house, tenant, correlation_id)
    row = await house.store.transaction(tenant, correlation_id)
    if not found and row is None:
        return None
    return TransactionView(
        correlation_id=correlation_id,
        stage=row.stage if row else "received",
        quote_id=row.quote_id if row else "",
        order_id=row.order_id if row else "",
        entity=row.entity if row else "",
        customer=row.customer if row else "",
        amount=row.amount if row else "",
        currency=row.currency if row else "",
        processes=tuple(_instance(i, lines) for i, lines in found),
        story=stories(found),
    )


def _instance(row: Instance, lines: tuple[JournalLine, ...]) -> InstanceView:
    return InstanceView(
        process=row.process,
        key=row.key,
        status=row.status,
        waiting_for=row.waiting_for,
        due_at=row.due_at.isoformat() if row.due_at else "",
        reason=row.reason,
        steps=tuple(
            StepView(
                step=line.step,
                kind=line.kind,
                asked=line.asked,
                answered=line.answered,
                connection=line.connection,
                detail=line.detail,
                duration_ms=line.duration_ms,
                at=line.at.isoformat(),
            )
            for line in lines
        ),
    )
