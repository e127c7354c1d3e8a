"""What a run costs: CPU by process group, commits, WAL syncs, memory, latencies; of the whole machine, not of one process."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import asyncpg
import msgspec

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def stat_cpu_s(stat: str) -> float:
    """CPU seconds in a line of /proc/PID/stat: user and system, of the process and of its children that have ended."""
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += map(int, path.read_text().split())
            except OSError:
                continue
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of processes and all below them."""
    total = 0.0
    for pid in {one for root in pids for one in tree(root)}:
        try:
            total += stat_cpu_s(Path(f"/proc/{pid}/stat").read_text())
        except OSError:
            continue
    return total


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory of processes and all below them, in MB."""
    total = 0.0
    for pid in {one for root in pids for one in tree(root)}:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB
        except OSError:
            continue
    return total


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part of all values lies; 0 where there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)]


class Counters(msgspec.Struct, frozen=True):
    """What PostgreSQL has counted: transactions of one database that were committed, and WAL syncs of the server."""

    commits: int
    syncs: int


async def counters(url: str) -> Counters:
    """As they stand now; PostgreSQL tells them with a delay of about a second."""
    connection = await asyncpg.connect(url)
    try:
        commits = await connection.fetchval("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        syncs = await connection.fetchval("SELECT wal_sync FROM pg_stat_wal")
    finally:
        await connection.close()
    return Counters(commits, syncs)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One contestant in one setting. CPU in milliseconds an order, latencies in milliseconds, memory in MB a worker."""

    contestant: str
    backend_ms: float
    workers: int
    orders: int
    seconds: float
    orders_per_s: float
    cpu_ms: float
    cpu_app_ms: float
    cpu_postgres_ms: float
    cpu_rabbitmq_ms: float
    commits: float
    syncs: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    memory_mb: float = 0.0
    memory_grew_mb: float = 0.0
    finished_before: int = 0
