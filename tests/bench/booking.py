"""The booking table: all contestants one after the other, the gateway against a store that has grown, and at several numbers of workers."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from deploy.services import postgres, rabbitmq
from tests.bench.acceptance import acceptance
from tests.bench.contest import CONTESTANTS, Bout, Contestant, Ring
from tests.bench.filling import fill
from tests.bench.measure import Figures

Tell = Callable[[str], None]
GROWTH = (0, 100_000, 1_000_000)
TARGETS: tuple[tuple[str, str, float], ...] = (("q2c", "dbos", 8.0), ("q2c", "celery_chain", 8.0), ("q2c", "celery_task", 1.5))
COMMITS_MAX, GROWTH_MAX, ACCEPTANCE_MAX = 1.5, 1.15, 3.0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured. ``scale`` shortens the runs; ``only`` names contestants."""

    only: tuple[str, ...] = ()
    delays_ms: tuple[float, ...] = (0.0, 5.0)
    scale: float = 1.0
    growth: bool = True
    workers: tuple[int, ...] = (1, 2, 4)
    accepts: bool = True
    contest: bool = True


class Booking(msgspec.Struct, kw_only=True):
    """Everything that was measured, and whether each target holds."""

    figures: list[Figures] = []
    grown: list[Figures] = []
    scaled: list[Figures] = []
    acceptance: dict[str, float] = {}
    targets: list[dict[str, Any]] = []


async def booking(wish: Wish, tell: Tell) -> Booking:
    """Run all of it; servers and processes are private and have ended when it returns."""
    found = Booking()
    with tempfile.TemporaryDirectory(prefix="q2c-bench-") as folder:
        database, broker = postgres.start(), rabbitmq.start()
        ring = Ring(Path(folder), database, broker)
        try:
            for delay in wish.delays_ms if wish.contest else ():
                for contestant in (CONTESTANTS[name] for name in wish.only or CONTESTANTS):
                    found.figures.append(await _bout(ring, contestant, delay, wish, tell))
            if wish.workers:
                for workers in wish.workers:
                    found.scaled.append(await _bout(ring, CONTESTANTS["q2c"], 0.0, wish, tell, workers=workers))
            if wish.growth:
                found.grown = [await _bout(ring, CONTESTANTS["q2c"], 0.0, wish, tell, finished=finished) for finished in GROWTH]
            if wish.accepts:
                found.acceptance = await acceptance(ring, tell)
        finally:
            ring.close()
            broker.stop()
            database.stop()
    found.targets = targets(found)
    return found


async def _bout(
    ring: Ring, contestant: Contestant, delay_ms: float, wish: Wish, tell: Tell, *, workers: int | None = None, finished: int | None = None
) -> Figures:
    bout = Bout(ring, contestant, backend_ms=delay_ms, workers=workers)
    try:
        await bout.open()
        if finished is not None:
            await fill(bout.place.database, finished, tell)
            await bout.run(1000, 1000)  # plans and caches are those of a store of this size
        figures = await bout.measure(max(40, int(contestant.orders * wish.scale)))
        p50, p99 = await bout.latencies(figures.orders_per_s / 2, 5.0 * min(1.0, wish.scale * 2))
        figures = msgspec.structs.replace(figures, p50_ms=p50, p99_ms=p99)
    finally:
        await bout.close()
    figures = msgspec.structs.replace(figures, finished_before=finished or 0)
    tell(f"{contestant.title:<42} {delay_ms:g} ms  {figures.orders_per_s:8.1f} orders/s  {figures.cpu_ms:7.2f} ms CPU/order")
    return figures


def ratio(found: Sequence[Figures], one: str, other: str, delay_ms: float) -> float | None:
    """How many times the orders per second of another contestant; the better of its settings where it has several."""
    mine = [f.orders_per_s for f in found if f.contestant == one and f.backend_ms == delay_ms]
    theirs = [f.orders_per_s for f in found if f.contestant in {other, f"{other}2"} and f.backend_ms == delay_ms]
    return round(max(mine) / max(theirs), 2) if mine and theirs else None


def targets(found: Booking) -> list[dict[str, Any]]:
    """Each target with its figure, and whether it holds."""
    lines: list[dict[str, Any]] = []

    def line(what: str, figure: float | None, bound: str, *, holds: bool) -> None:
        if figure is not None:
            lines.append({"target": what, "figure": figure, "bound": bound, "holds": holds})

    for delay in sorted({f.backend_ms for f in found.figures}):
        best = [msgspec.structs.replace(f, contestant="q2c") if f.contestant == "q2c2" else f for f in found.figures]
        for one, other, least in TARGETS:
            figure = ratio(best, one, other, delay)
            line(f"orders/s against {other}, back ends after {delay:g} ms", figure, f">= {least}", holds=(figure or 0) >= least)
        bare = ratio(best, "q2c", "bare", delay)
        line(f"orders/s against the stateless consumer, {delay:g} ms", bare, ">= 0.6 (goal)", holds=(bare or 0) >= 0.6)
    for f in found.figures:
        if f.contestant.startswith("q2c"):
            what = f"{f.workers} worker{'s' if f.workers > 1 else ''}, {f.backend_ms:g} ms"
            line(f"commits an order under load, {what}", f.commits, f"<= {COMMITS_MAX}", holds=f.commits <= COMMITS_MAX)
            flat = abs(f.memory_grew_mb) <= max(2.0, f.memory_mb * 0.05)
            line(f"MB that a worker grew by over the run, {what}", f.memory_grew_mb, "<= 5 % of it", holds=flat)
    if len(found.grown) == len(GROWTH):
        figure = round(found.grown[-1].cpu_ms / found.grown[0].cpu_ms, 2)
        line("CPU an order with 1 million finished against none", figure, f"<= {GROWTH_MAX}", holds=figure <= GROWTH_MAX)
    if found.acceptance:
        figure = round(found.acceptance["p99_ms"] / max(found.acceptance["p50_ms"], 0.001), 2)
        line("p99 of acceptance against its p50 at half load", figure, f"<= {ACCEPTANCE_MAX}", holds=figure <= ACCEPTANCE_MAX)
    return lines


def table(found: Booking) -> str:
    """For a terminal."""
    head = (
        f"{'contestant':<42}{'back ends':>10}{'orders/s':>10}{'CPU ms':>8}{'app':>7}{'PG':>6}{'MQ':>6}"
        f"{'commits':>9}{'syncs':>7}{'p50 ms':>8}{'p99 ms':>8}{'MB':>7}{'+MB':>6}"
    )
    parts = [("", found.figures), ("more workers", found.scaled), ("a store with finished transactions", found.grown)]
    lines = []
    for title, figures in parts:
        if not figures:
            continue
        lines += ["", title, head] if title else [head]
        for f in figures:
            name = (
                CONTESTANTS[f.contestant].title
                if not title
                else f"{f.workers} workers"
                if title == "more workers"
                else f"{f.finished_before:,} finished"
            )
            lines.append(
                f"{name:<42}{f.backend_ms:>7g} ms{f.orders_per_s:>10.1f}{f.cpu_ms:>8.2f}{f.cpu_app_ms:>7.2f}{f.cpu_postgres_ms:>6.2f}"
                f"{f.cpu_rabbitmq_ms:>6.2f}{f.commits:>9.2f}{f.syncs:>7.2f}{f.p50_ms:>8.1f}{f.p99_ms:>8.1f}{f.memory_mb:>7.0f}{f.memory_grew_mb:>6.1f}"
            )
    if found.acceptance:
        a = found.acceptance
        lines += ["", f"acceptance (POST to 202) at {a['per_s']:.0f}/s, half load: p50 {a['p50_ms']:.1f} ms, p99 {a['p99_ms']:.1f} ms"]
    lines += ["", *(f"{'holds ' if t['holds'] else 'FAILS '} {t['target']:<60} {t['figure']:>8} {t['bound']}" for t in found.targets)]
    return "\n".join(lines)


NAMES: Mapping[str, Callable[[Figures], str]] = {
    "": lambda f: CONTESTANTS[f.contestant].title,
    "more workers": lambda f: f"{f.workers} workers",
    "a store with finished transactions": lambda f: f"{f.finished_before:,} finished",
}


def main(wish: Wish, tell: Tell) -> Booking:
    """Run it."""
    return asyncio.run(booking(wish, tell))
