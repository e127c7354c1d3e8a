"""The queues of the embedded bus and their dead letters."""

from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from runtime.store.contract import QueuedMessage
from runtime.store.tables import DEAD, QUEUE

_COLUMNS = (QUEUE.c.seq, QUEUE.c.queue, QUEUE.c.data, QUEUE.c.attempts)
_DEAD_COLUMNS = (DEAD.c.seq, DEAD.c.queue, DEAD.c.data, DEAD.c.attempts)

_QUEUED = (
    select(*_COLUMNS)
    .where(QUEUE.c.queue == bindparam("queue"), QUEUE.c.seq > bindparam("after"))
    .order_by(QUEUE.c.seq)
    .limit(bindparam("limit"))
)
_BURIED = select(*_DEAD_COLUMNS, DEAD.c.reason).where(DEAD.c.queue == bindparam("queue")).order_by(DEAD.c.seq).limit(bindparam("limit"))
_COUNT = update(QUEUE).values(attempts=QUEUE.c.attempts + 1).where(QUEUE.c.seq == bindparam("number")).returning(QUEUE.c.attempts)
_TAKEN = ("queue", "message_id", "data", "attempts")
_TAKE = delete(QUEUE).where(QUEUE.c.seq == bindparam("number")).returning(*(QUEUE.c[name] for name in _TAKEN))
_LIFT = delete(DEAD).where(DEAD.c.seq == bindparam("number")).returning(DEAD.c.queue, DEAD.c.message_id, DEAD.c.data)


def queued(connection: Connection, queue: str, after_seq: int, limit: int) -> tuple[QueuedMessage, ...]:
    """Messages of a queue, oldest first."""
    return tuple(map(_message, connection.execute(_QUEUED, {"queue": queue, "after": after_seq, "limit": limit})))


def count_attempt(connection: Connection, seq: int) -> int:
    """One more attempt; nothing is counted for a message that is gone."""
    return connection.execute(_COUNT, {"number": seq}).scalar() or 0


def bury(connection: Connection, seq: int, reason: str, now: int) -> None:
    """From the queue to the dead letters."""
    row = connection.execute(_TAKE, {"number": seq}).first()
    if row is not None:
        taken = dict(zip(_TAKEN, row, strict=True))
        connection.execute(insert(DEAD), {"seq": seq, "reason": reason, "buried_at": now, **taken})


def buried(connection: Connection, queue: str, limit: int) -> tuple[tuple[QueuedMessage, str], ...]:
    """Dead letters of a queue with their reasons, oldest first."""
    rows = connection.execute(_BURIED, {"queue": queue, "limit": limit})
    return tuple((_message(row[:4]), row[4]) for row in rows)


def exhume(connection: Connection, seq: int, now: int) -> bool:
    """Back into the queue, at its end: under its old number those who read on would not see it. False where it was taken before."""
    row = connection.execute(_LIFT, {"number": seq}).first()
    if row is None:
        return False
    queue, message_id, data = row
    connection.execute(insert(QUEUE), {"queue": queue, "message_id": message_id, "data": data, "attempts": 0, "enqueued_at": now})
    return True


def _message(row: Any) -> QueuedMessage:
    seq, queue, data, attempts = row
    return QueuedMessage(seq=seq, queue=queue, data=data, attempts=attempts)
