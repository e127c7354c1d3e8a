"""A storm from its first order to the verdict."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from runtime import audit
from runtime.clock import SystemClock
from runtime.store.engine import open_store
from tests.faults.storm.chaos import KILLS_PER_S, Chaos
from tests.faults.storm.driver import BACKLOG_MAX, Driver, Orders
from tests.faults.storm.listener import Listener
from tests.faults.storm.oracle import Oracle, Verdict, lines_in
from tests.faults.storm.site import Site

FAULT_RATE = 0.08
QUIET_WITHIN_S = 240.0
TELL_EVERY_S = 10.0
DRAINED_WITHIN_S = 40.0  # a relay that died over its sweep leaves its lease to the next one after some seconds
Tell = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long, how hard. ``mutant``: a planted bug; ``orders_max``: 0 for as many as the time allows."""

    seconds: float
    seed: int
    workers: int = 2
    rate: float = FAULT_RATE
    kills_per_s: float = KILLS_PER_S
    orders_max: int = 0
    mutant: str = ""
    quiet_within_s: float = QUIET_WITHIN_S
    acts: dict[str, int] = {}
    backlog: int = BACKLOG_MAX


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of the oracle, the kills, and what the gateway itself says that differs from it."""

    seed: int
    verdict: Verdict
    kills: int
    seconds: float
    differences: tuple[str, ...]
    folder: str
    histories: tuple[str, ...] = ()

    @property
    def green(self) -> bool:
        return self.verdict.green and not self.differences

    def line(self) -> dict[str, int]:
        """The numbers, as the last line says them."""
        v = self.verdict
        counts = {"orders": v.orders, "effects": v.effects, "kills": self.kills, "lost": v.lost, "duplicated": v.duplicated}
        return {"seed": self.seed, **counts, "ghost": v.ghost, "stuck": v.stuck, "recovered": v.recovered}


async def storm(plan: Plan, folder: Path | None = None, tell: Tell = lambda _: None, orders: Orders | None = None) -> Outcome:
    """Run one. Everything that it starts has ended when it returns."""
    folder = folder or Path(tempfile.mkdtemp(prefix="q2c-storm-"))
    site = Site(folder, seed=plan.seed, rate=plan.rate, workers=plan.workers, mutant=plan.mutant)
    began_s = time.monotonic()
    try:
        await site.open()
        tell(f"the site stands: {', '.join((*site.vendors, 'layer', *site.workers))}")
        heard = await _blow(site, plan, tell, orders or Orders(plan.seed))
        oracle = Oracle(lines_in(folder / "driver.jsonl"), [line for path in _books(site) for line in lines_in(path)])
        verdict = oracle.judge()
        differences = await _differences(site, oracle)
        shown = list(dict.fromkeys(order for order, _ in verdict.wrong))[:5]
        histories = tuple("\n  ".join([order, *_said(verdict, order), *oracle.history(order)]) for order in shown)
    finally:
        await site.close()
    tell(f"{heard} orders came to their end")
    return Outcome(
        seed=plan.seed,
        verdict=verdict,
        kills=site.kills,
        seconds=time.monotonic() - began_s,
        differences=differences,
        folder=str(folder),
        histories=histories,
    )


def _said(verdict: Verdict, order: str) -> list[str]:
    return [sentence for of, sentence in verdict.wrong if of == order]


def _books(site: Site) -> list[Path]:
    return [*map(site.ledger, site.vendors), site.folder / "listener.jsonl"]


async def _blow(site: Site, plan: Plan, tell: Tell, orders: Orders) -> int:
    listener = Listener(site.bus_url, site.folder / "listener.jsonl")
    await listener.declare()
    driver = Driver(site.door, site.token, site.folder / "driver.jsonl", orders, listener.ended, plan.backlog)
    chaos = Chaos(site, plan.seed, tell, kills_per_s=plan.kills_per_s, acts=plan.acts or None) if plan.kills_per_s else None
    until, give_up = time.monotonic() + plan.seconds, asyncio.Event()
    listening = asyncio.create_task(listener.run())
    hurting = asyncio.create_task(chaos.run()) if chaos else None
    telling = asyncio.create_task(_progress(driver, listener, site, tell))
    sending = asyncio.create_task(
        driver.run(lambda: time.monotonic() < until and (not plan.orders_max or driver.sent < plan.orders_max), give_up)
    )
    await asyncio.wait({sending}, timeout=plan.seconds)
    if hurting is not None and chaos is not None:
        hurting.cancel()
        await asyncio.wait({hurting})
        await chaos.rest()
    tell("calm: no more faults; what is under way comes to its end")
    await site.calm()
    quiet = time.monotonic() + plan.quiet_within_s
    await asyncio.wait({sending}, timeout=plan.quiet_within_s / 2)
    give_up.set()
    await sending
    while listener.ended() < driver.accepted and time.monotonic() < quiet:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.2)
    await asyncio.sleep(2.0)  # a duplicate needs a moment to show itself
    for task in (listening, telling):
        task.cancel()
    await asyncio.wait({listening, telling})
    listener.close()
    return listener.ended()


async def _progress(driver: Driver, listener: Listener, site: Site, tell: Tell) -> None:
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        tell(f"{driver.sent} sent, {driver.accepted} accepted, {listener.ended()} at their end, {site.kills} kills")


async def _differences(site: Site, oracle: Oracle) -> tuple[str, ...]:
    """What the gateway says of itself that is not so: its instances, its outbox, its audit trail."""
    store, found = open_store(site.store_url, SystemClock()), []
    await store.start()
    try:
        rows = {row.key: row for row in await store.instances("default", process="order_booking", limit=1_000_000)}
        for order, expected in oracle.sent.items():
            row = rows.pop(order, None)
            if row is None:
                if oracle.accepted(order):
                    found.append(f"{order} was accepted and the gateway does not know it")
            elif row.status != ("undone" if expected["refused"] else "done"):
                found.append(f"{order} is {row.status}{': ' + row.reason.detail if row.reason else ''}")
        found += [f"the gateway knows {key}, which nobody has sent" for key in rows]
        until = time.monotonic() + DRAINED_WITHIN_S
        while (unsent := await store.unsent(older_than=SystemClock().now(), limit=1000)) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        found += [f"{row.letter.type} {row.letter.id} was never published" for row in unsent]
        verdict = await audit.verify(store, "default")
        found += [f"audit: {finding.detail}" for finding in verdict.findings[:10]]
    finally:
        await store.stop()
    return tuple(found)
