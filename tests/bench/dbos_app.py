"""DBOS as a contestant: a workflow of five steps, each recorded in PostgreSQL. ``python -m tests.bench.dbos_app worker|load``.

The settings are the best that were found: a queue with a bounded number of workflows at a time in each process, asynchronous steps, no
logs, no telemetry.
"""

import asyncio
import sys
import time

import psycopg
import uvloop
from dbos import DBOS, DBOSConfig

from tests.bench.work import STEPS, Place, call, client

PLACE = Place.here()
HTTP = client(PLACE)
QUEUE = "bench"


@DBOS.step()
async def step(name: str, order: str, amount: str) -> str:
    """One step; its result is recorded when it returns."""
    return await call(HTTP, name, order, amount)


@DBOS.workflow()
async def booking(order: str, amount: str) -> str:
    """Five steps, one after the other."""
    for name in STEPS:
        await step(name, order, amount)
    return order


def config(executor: str) -> DBOSConfig:
    """The settings of a process."""
    return {
        "name": "bench",
        "system_database_url": PLACE.database,
        "log_level": "ERROR",
        "executor_id": executor,
        "application_version": "1",
        "run_admin_server": False,
        "sys_db_pool_size": 20,
    }


def worker(name: str) -> None:
    """Work until killed."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    DBOS(config=config(name))
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=PLACE.in_flight, polling_interval_sec=0.05)
    while True:
        time.sleep(3600)


def finished() -> int:
    """How many workflows have ended."""
    with psycopg.connect(PLACE.database) as db:
        row = db.execute("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'").fetchone()
        return int(row[0]) if row else 0


async def load(first: int, count: int, per_s: float) -> None:
    """Put orders in, at a rate where one is given."""
    if per_s:
        began = time.monotonic()
        for n in range(first, first + count):
            await asyncio.sleep(max(0.0, began + (n - first) / per_s - time.monotonic()))
            await DBOS.enqueue_workflow_async(QUEUE, booking, f"O-{n}", "12.00")
        return
    for start in range(first, first + count, 50):
        numbers = range(start, min(start + 50, first + count))
        await asyncio.gather(*(DBOS.enqueue_workflow_async(QUEUE, booking, f"O-{n}", "12.00") for n in numbers))


if __name__ == "__main__":
    worker(sys.argv[1])
