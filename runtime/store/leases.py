"""What workers take from one another: instances, by raising their fence, and the slots of budgets, for a time."""

import datetime as dt

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from runtime.store.contract import Instance
from runtime.store.rows import micros
from runtime.store.tables import INSTANCES, LEASES
from runtime.store.writing import INSTANCE

_I = INSTANCES.c
_CLAIM = (
    update(INSTANCES)
    .values(fence=_I.fence + 1, updated_at=bindparam("now"))
    .where(_I.tenant == bindparam("of_tenant"), _I.process == bindparam("of_process"), _I.key == bindparam("of_key"))
    .returning(*_I)
)
_ALONE = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name"), 0)))
_EXPIRED = delete(LEASES).where(LEASES.c.name == bindparam("name"), LEASES.c.until <= bindparam("now"))
_OTHERS = select(func.count()).select_from(LEASES).where(LEASES.c.name == bindparam("name"), LEASES.c.holder != bindparam("holder"))
_INSERT: dict[str, postgresql.Insert | sqlite.Insert] = {"postgresql": postgresql.insert(LEASES), "sqlite": sqlite.insert(LEASES)}
_HOLD = {
    kind: insert.on_conflict_do_update(index_elements=list(LEASES.primary_key.columns), set_={"until": insert.excluded.until})
    for kind, insert in _INSERT.items()
}
_RELEASE = delete(LEASES).where(LEASES.c.name == bindparam("of"), LEASES.c.holder == bindparam("by"))
_LONG_EXPIRED = delete(LEASES).where(LEASES.c.until <= bindparam("now"))


def claim(connection: Connection, tenant: str, process: str, key: str, now: int) -> Instance | None:
    """Take an instance over. It counts as touched, so that the sweep does not hand it to yet another worker."""
    row = connection.execute(_CLAIM, {"of_tenant": tenant, "of_process": process, "of_key": key, "now": now}).first()
    return None if row is None else INSTANCE.from_row(row)


def lease(connection: Connection, name: str, holder: str, slots: int, until: dt.datetime, now: dt.datetime) -> bool:
    """Take a slot, or keep the one that the holder has until the new time. False where none is left."""
    kind = connection.dialect.name
    if kind == "postgresql":  # two workers that count at the same time would both find the last slot free; SQLite has one writer
        connection.execute(_ALONE, {"name": name})
    connection.execute(_EXPIRED, {"name": name, "now": micros(now)})
    others = connection.execute(_OTHERS, {"name": name, "holder": holder}).scalar_one()
    if others >= slots:
        return False
    connection.execute(_HOLD[kind], {"name": name, "holder": holder, "until": micros(until)})
    return True


def release(connection: Connection, name: str, holder: str) -> None:
    """Give a slot back; nothing happens where it had expired."""
    connection.execute(_RELEASE, {"of": name, "by": holder})


def sweep(connection: Connection, now: int) -> None:
    """Forget leases that expired, of names that nobody asks for any more."""
    connection.execute(_LONG_EXPIRED, {"now": now})
