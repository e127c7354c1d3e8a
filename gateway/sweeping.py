"""The sweep: brings instances back whose time has come, and those that no message brings back."""

import asyncio
import datetime as dt

import structlog

from canonical.failures import Failure
from runtime.clock import Clock
from runtime.house import Publisher
from runtime.keys import new_message_id
from runtime.process.engine import Engine
from runtime.store.contract import Instance, Store

log = structlog.get_logger("q2c.sweep")

EVERY_S = 0.5
STUCK_AFTER = dt.timedelta(minutes=3)
LEASE_FOR = dt.timedelta(seconds=3)  # of several workers one sweeps; another takes over when it is gone
AGAIN_AFTER = dt.timedelta(seconds=30)


Name = tuple[str, str, str, int]


class Sweeper:
    """Looks what is due and puts it back on its queue; a worker that is not busy takes it.

    ``alone``: there is no other worker, as with the embedded bus. What runs since before this one began was then left behind by its
    predecessor, and is brought back at once.
    """

    def __init__(self, store: Store, engine: Engine, publisher: Publisher, clock: Clock, *, alone: bool = False) -> None:
        self._store = store
        self._engine = engine
        self._publisher = publisher
        self._clock = clock
        self._holder = new_message_id()
        self._alone_since = clock.now() if alone else None
        self._woken: dict[Name, dt.datetime] = {}

    async def run(self) -> None:
        """Sweep until cancelled; whatever goes wrong, the next turn comes."""
        while True:
            try:
                await self.turn()
            except Exception:  # the store may be away: the next turn tries again
                log.exception("sweep_failed")
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
            await self._clock.sleep(EVERY_S)

    async def turn(self) -> int:
        """One look; returns how many instances were woken. An instance is woken again only after a while, or when it has moved on."""
        now = self._clock.now()
        if not await self._store.lease("sweep", self._holder, slots=1, until=now + LEASE_FOR, now=now):
            return 0
        stuck_before = now - STUCK_AFTER
        rows = await self._store.due(now, stuck_before=max(stuck_before, self._alone_since or stuck_before))
        self._woken = {key: at for key, at in self._woken.items() if now - at < AGAIN_AFTER}
        calls = {name: self._engine.wake(row) for row in sorted(rows, key=self._rank) if (name := _name(row)) not in self._woken}
        if not calls:
            return 0
        try:
            await self._store.commit(list(calls.values()))
        except Failure as failure:
            log.warning("not_woken", why=str(failure), count=len(calls))
            return 0
        self._woken |= dict.fromkeys(calls, now)
        await self._publisher.publish_now(list(calls.values()))
        return len(calls)

    def _rank(self, row: Instance) -> tuple[int, dt.datetime]:
        """Money that moves comes first, and of the same rank what has waited longest."""
        table = self._engine.table(row)
        return table.rank if table else 0, row.due_at or row.updated_at


def _name(row: Instance) -> Name:
    """An instance as it stands: when it has moved on it may be woken again."""
    return row.tenant, row.process, row.key, row.fence
