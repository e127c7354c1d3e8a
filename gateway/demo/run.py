"""The demo against an installation that runs: drive the deals, look at them once more, and hold the vendors' books against them."""

import datetime as dt
from collections.abc import Callable, Sequence

from canonical.invoice import InvoicesFound
from canonical.money import Money
from gateway.demo.checking import Audit, audit, called_off
from gateway.demo.deals import Deal
from gateway.demo.door import PATIENCE_S, Addresses, Door, TooLate, Vendors
from gateway.demo.driver import AT_ONCE, Driver, Seen
from gateway.demo.ending import hurdles, owed, settled, unlike
from gateway.demo.expecting import expected
from gateway.demo.report import Report, progress, report
from gateway.simulated import ENTITIES
from runtime.clock import Clock

ERPS = tuple(sorted({str(entity["bindings"]["erp"]) for entity in ENTITIES.values()}))
SETTLED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.5


class Demo:
    """One run of some deals. ``say`` takes a line of progress."""

    def __init__(
        self,
        addresses: Addresses,
        simulators: str,
        token: Callable[[str], str],
        clock: Clock,
        say: Callable[[str], None],
        *,
        within_s: float = PATIENCE_S,
    ) -> None:
        self._door = Door(addresses, token, clock, patience_s=within_s)
        self._vendors = Vendors(simulators)
        self._clock = clock
        self._say = say
        self._began_s = clock.monotonic_s()
        self.driver = Driver(self._door, self._vendors, clock, self._tell, within_s=within_s)

    async def drive(self, deals: Sequence[Deal], *, at_once: int = AT_ONCE) -> Report:
        """Drive all deals and report."""
        try:
            seen = await self.driver.drive(deals, at_once)
            open_amounts, numbers = await self._settled(seen), self.driver.numbers
            books = await self._audited(seen)
            owes = owed([one for one in seen if not one.stopped], numbers)
            wrong = (*unlike(owes, open_amounts), *hurdles(seen))
            return report(seen, open_amounts, books, wrong, seconds=self._clock.monotonic_s() - self._began_s)
        finally:
            await self._door.aclose()
            await self._vendors.aclose()

    async def _settled(self, seen: Sequence[Seen]) -> dict[str, Money]:
        """What is open in the ERPs, when the read models have caught up, or have had their time."""
        until_s = self._clock.monotonic_s() + SETTLED_WITHIN_S
        while True:
            for one in seen:
                await self.driver.look_again(one)
            open_amounts = await self._open_amounts()
            if all(settled(one, open_amounts) for one in seen) or self._clock.monotonic_s() >= until_s:
                return open_amounts
            await self._clock.sleep(LOOK_EVERY_S)

    async def _open_amounts(self) -> dict[str, Money]:
        """Every open invoice of both ERPs, through the gateway's own unified resource."""
        found = [await self._door.get(f"/system/v1/{erp}/invoices", InvoicesFound) for erp in ERPS]
        return {invoice.id: invoice.open_amount for answer in found for invoice in answer.invoices}

    async def _audited(self, seen: Sequence[Seen]) -> Audit:
        off = called_off(await self._vendors.records("tryton", "sale.sale"), await self._vendors.records("tryton", "account.invoice"))
        return audit(await self._vendors.ledgers(), expected(seen, self.driver.numbers, off))

    def _tell(self, deal: Deal, said: str) -> None:
        self._say(progress(deal, said, self._clock.monotonic_s() - self._began_s))


def today(clock: Clock) -> dt.date:
    """The day on which the deals are driven."""
    return clock.now().date()


__all__ = ["Demo", "TooLate", "today"]
