"""Celery as a contestant: a chain of five tasks with its results in PostgreSQL, or one task that commits a state row of its own a step."""

import os
import threading
from typing import Any

import psycopg
from celery import Celery, chain
from kombu import Exchange, Queue

from tests.bench.work import DONE_QUEUE, STEPS, Caller, Place

PLACE = Place.here()
FORM = os.environ.get("BENCH_FORM", "chain")
QUEUE = f"bench.celery.{FORM}"

app = Celery("bench", broker=PLACE.broker, backend=PLACE.database.replace("postgresql://", "db+postgresql+psycopg://"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    broker_pool_limit=20,
    task_default_queue=QUEUE,
    task_queues=[Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE, queue_arguments={"x-queue-type": "quorum"})],
    broker_transport_options={"confirm_publish": True},
    worker_detect_quorum_queues=True,
    task_ignore_result=FORM != "chain",
    database_create_tables_at_setup=False,
    worker_hijack_root_logger=False,
    task_send_sent_event=False,
    worker_send_task_events=False,
)
_local = threading.local()
_lock = threading.Lock()
_caller: list[Caller] = []


def caller() -> Caller:
    """One for each process."""
    with _lock:
        if not _caller:
            _caller.append(Caller(PLACE))
        return _caller[0]


def connection() -> psycopg.Connection[Any]:
    """One for each thread."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(PLACE.database)
    return _local.connection


def done(order: str) -> None:
    """Tell that an order is booked."""
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            order.encode(), routing_key=DONE_QUEUE, exchange="", delivery_mode=2, content_type="text/plain", content_encoding="utf-8"
        )


@app.task(name="bench.step", ignore_result=False)
def step(refs: list[str], place: int, order: str, amount: str) -> list[str]:
    """One step of the chain; what it gives is kept in PostgreSQL and handed to the next."""
    refs = [*refs, caller().call(STEPS[place], order, amount)]
    if place == len(STEPS) - 1:
        done(order)
    return refs


@app.task(name="bench.whole")
def whole(order: str, amount: str) -> None:
    """All steps in one task; after each the state row is committed, and a task that comes again goes on from it."""
    db = connection()
    row = db.execute("SELECT refs FROM bench_state WHERE order_id = %s", (order,)).fetchone()
    refs: list[str] = list(row[0]) if row else []
    db.commit()
    for name in STEPS[len(refs) :]:
        refs.append(caller().call(name, order, amount))
        db.execute(
            "INSERT INTO bench_state (order_id, refs) VALUES (%s, %s) ON CONFLICT (order_id) DO UPDATE SET refs = excluded.refs",
            (order, refs),
        )
        db.commit()
    done(order)


def start(order: str, amount: str) -> None:
    """Put an order in."""
    if FORM == "chain":
        first, *rest = range(len(STEPS))
        chain(step.s([], first, order, amount), *(step.s(place, order, amount) for place in rest)).apply_async()
    else:
        whole.apply_async((order, amount))
