"""Following one deal from outside: its transaction is read again and again until something stands there, or never will."""

from collections.abc import Callable

from canonical.failures import FailureRecord
from gateway.demo.door import Door, TooLate
from process_apis.transactions import InstanceView, TransactionView
from runtime.clock import Clock

EVERY_S = 0.2
ENDED = {"done", "undone", "cancelled"}


class Watch:
    """One transaction, and how long anything of it may take."""

    def __init__(self, door: Door, clock: Clock, correlation_id: str, *, within_s: float) -> None:
        self._door = door
        self._clock = clock
        self._within_s = within_s
        self.correlation_id = correlation_id
        self.seen = TransactionView(correlation_id=correlation_id, stage="")

    async def look(self) -> TransactionView:
        """The transaction as it is now."""
        self.seen = await self._door.get(f"/process/v1/transactions/{self.correlation_id}", TransactionView)
        return self.seen

    async def until(self, what: str, found: Callable[[TransactionView], InstanceView | None]) -> InstanceView:
        """Wait until there is such an instance. Raises `TooLate` when the time is over, or when a process has stopped for a person."""
        until_s = self._clock.monotonic_s() + self._within_s
        while True:
            view = await self.look()
            instance = found(view)
            if instance is not None:
                return instance
            stopped = next((i for i in view.processes if i.status == "parked"), None)
            if stopped is not None:
                raise TooLate(f"{stopped.process}/{stopped.key} has stopped before {what}: {detail(stopped.reason)}")
            if self._clock.monotonic_s() >= until_s:
                raise TooLate(f"{what} did not come within {self._within_s:g} s")
            await self._clock.sleep(EVERY_S)

    async def ended(self, process: str, key: str) -> InstanceView:
        """Wait until an instance has ended, whichever way."""
        return await self.until(f"the end of {process}/{key}", lambda view: one(view, process, key, lambda i: i.status in ENDED))

    async def waits(self, process: str, key: str, event: str) -> InstanceView:
        """Wait until an instance waits for an event, or has ended before it came to that."""

        def there(i: InstanceView) -> bool:
            return (i.status == "waiting" and i.waiting_for == event) or i.status in ENDED

        found = await self.until(f"{process}/{key} to wait for {event}", lambda view: one(view, process, key, there))
        if found.status in ENDED:
            raise TooLate(f"{process}/{key} is {found.status} and does not wait for {event}: {detail(found.reason)}")
        return found


def one(view: TransactionView, process: str, key: str, fits: Callable[[InstanceView], bool] = lambda _: True) -> InstanceView | None:
    """The instance of a process, where it is in the chain and fits."""
    return next((i for i in view.processes if i.process == process and i.key == key and fits(i)), None)


def detail(reason: FailureRecord | None) -> str:
    """Why, in words."""
    return reason.detail if reason else "no reason is given"
