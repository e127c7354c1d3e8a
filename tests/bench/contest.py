"""How a contestant is run: its processes, how orders are put in, and how it is known that they are done."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import msgspec

from deploy.services.children import Child
from deploy.services.ports import accepts, free_port
from deploy.services.postgres import Postgres
from deploy.services.rabbitmq import RabbitMQ
from deploy.services.software import REPOSITORY
from runtime.store.migrations import migrate
from tests.bench.measure import Figures, counters, cpu_s, percentile, rss_mb
from tests.bench.work import DONE_QUEUE, Place

BENCH_PYTHON = REPOSITORY / ".venv-bench" / "bin" / "python"
STATISTICS_AFTER_S = 1.3
WARM_UP = 200
QUORUM = {"x-queue-type": "quorum"}


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """A rival, or the gateway. ``command`` starts a worker; ``load`` puts orders in, as a program of its own environment."""

    name: str
    title: str
    command: tuple[str, ...]
    python: str = sys.executable
    load: str = ""
    form: str = ""
    done_by_queue: bool = True
    orders: int = 2000
    processes: int = 1


CELERY = ("-m", "celery", "--app", "tests.bench.celery_app", "worker", "--loglevel", "ERROR", "--without-gossip", "--without-mingle")
# Both print when an order was put in, by the clock that all processes of a machine share; a third word paces them.
LOAD_CELERY = """
import sys, time
from tests.bench.celery_app import start
first, stop, per_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
began = time.monotonic()
for n in range(first, stop):
    time.sleep(max(0.0, began + (n - first) / per_s - time.monotonic()) if per_s else 0.0)
    print(f"O-{n}", time.monotonic(), flush=True)
    start(f"O-{n}", "12.00")
"""
LOAD_DBOS = """
import asyncio, sys
from dbos import DBOS
from tests.bench import dbos_app
DBOS(config=dbos_app.config("load"))
DBOS.listen_queues(["nothing"])
DBOS.launch()
asyncio.run(dbos_app.load(int(sys.argv[1]), int(sys.argv[2]) - int(sys.argv[1]), float(sys.argv[3])))
DBOS.destroy()
"""
DBOS_TOOK = "SELECT updated_at - created_at AS took FROM dbos.workflow_status WHERE status = 'SUCCESS' AND created_at >= $1"
OURS = ("-m", "tests.bench.ours")
CHAIN, TASK = ("--pool", "prefork", "--concurrency", "2"), ("--pool", "threads", "--concurrency", "16")


def _ours(name: str, title: str, processes: int) -> Contestant:
    return Contestant(name=name, title=title, command=OURS, orders=4000, processes=processes)


def _dbos(name: str, title: str, processes: int) -> Contestant:
    command, python = ("-m", "tests.bench.dbos_app"), str(BENCH_PYTHON)
    orders = 350 + 150 * processes
    return Contestant(
        name=name, title=title, command=command, python=python, load=LOAD_DBOS, orders=orders, done_by_queue=False, processes=processes
    )


def _celery(name: str, title: str, form: str, pool: tuple[str, ...], orders: int, processes: int = 1) -> Contestant:
    command, python = (*CELERY, *pool), str(BENCH_PYTHON)
    return Contestant(
        name=name, title=title, command=command, python=python, load=LOAD_CELERY, form=form, orders=orders, processes=processes
    )


CONTESTANTS: dict[str, Contestant] = {
    one.name: one
    for one in (
        _ours("q2c", "q2c-gateway, one worker", 1),
        _ours("q2c2", "q2c-gateway, two workers", 2),
        _dbos("dbos", "DBOS, one process", 1),
        _dbos("dbos2", "DBOS, two processes", 2),
        _celery("celery_chain", "Celery chain, results in PostgreSQL", "chain", CHAIN, 400),
        _celery("celery_task", "Celery, one task, own state row a step", "task", TASK, 1500, 1),
        _celery("celery_task2", "the same, two processes", "task", TASK, 1500, 2),
        Contestant(name="bare", title="aio-pika consumer without state (ceiling)", command=("-m", "tests.bench.bare"), orders=4000),
        Contestant(name="bare2", title="the same, two processes", command=("-m", "tests.bench.bare"), orders=4000, processes=2),
    )
}


class Ring:
    """The servers and the back ends, for all contestants of a run."""

    def __init__(self, folder: Path, database: Postgres, broker: RabbitMQ) -> None:
        self.folder = folder
        self.database = database
        self.broker = broker
        self._backends: dict[float, tuple[Child, int]] = {}

    def backend(self, after_ms: float) -> str:
        """The address of the back ends with this delay."""
        if after_ms not in self._backends:
            port = free_port()
            command = [sys.executable, str(Path(__file__).with_name("backend.py")), "--port", str(port), "--after-ms", str(after_ms)]
            child = Child.start("back ends", command, env=os.environ, log=self.folder / "backends.log")
            child.wait_until(lambda: accepts(port), within_s=20)
            self._backends[after_ms] = (child, port)
        return f"http://127.0.0.1:{self._backends[after_ms][1]}"

    def close(self) -> None:
        """End the back ends."""
        for child, _ in self._backends.values():
            child.kill()


class Bout:
    """One contestant in the ring."""

    def __init__(self, ring: Ring, contestant: Contestant, *, backend_ms: float, workers: int | None = None, in_flight: int = 100) -> None:
        self._ring = ring
        self.contestant = contestant
        self.backend_ms = backend_ms
        self.workers = workers or contestant.processes
        self.place = Place(ring.backend(backend_ms), ring.database.fresh_database(), ring.broker.fresh_vhost(), in_flight)
        self._children: list[Child] = []
        self.done: dict[str, float] = {}
        self._connection: Any = None
        self._channel: Any = None
        self._warm = False

    @property
    def _environment(self) -> dict[str, str]:
        more = {"PYTHONPATH": str(REPOSITORY), "BENCH_PLACE": msgspec.json.encode(self.place).decode(), "BENCH_FORM": self.contestant.form}
        return {**os.environ, **more}

    async def open(self) -> None:
        """Prepare the database, the queues and the workers, and warm up."""
        if self.contestant.name.startswith("q2c"):
            await migrate(self.place.database)
        if self.contestant.form == "task":
            connection = await asyncpg.connect(self.place.database)
            await connection.execute("CREATE TABLE bench_state (order_id text PRIMARY KEY, refs text[] NOT NULL)")
            await connection.close()
        self._connection = await aio_pika.connect_robust(self.place.broker)
        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        await self._channel.set_qos(prefetch_count=500)
        queue = await self._channel.declare_queue(DONE_QUEUE, durable=True, arguments=await self._layout())
        for number in range(self.workers):
            self._start(number)
        await queue.consume(self._heard, no_ack=True)
        await self.run(0, WARM_UP if self.contestant.orders > 1000 else 40)

    async def _layout(self) -> dict[str, Any]:
        if not self.contestant.name.startswith("q2c"):
            return QUORUM
        from runtime.bus.layout import laid_out  # noqa: PLC0415 - only here
        from tests.bench.ours import QUEUES  # noqa: PLC0415 - only the gateway's environment has it

        return next(laid.arguments for laid in laid_out(QUEUES[-1]) if laid.name == DONE_QUEUE)

    def _start(self, number: int) -> None:
        words = list(self.contestant.command)
        if "celery" in words:
            words += ["--hostname", f"w{number}@bench"]
        elif "tests.bench.dbos_app" in words:
            words.append(f"w{number}")
        command = [self.contestant.python, *words]
        log = self._ring.folder / f"{self.contestant.name}-{number}.log"
        self._children.append(Child.start(self.contestant.name, command, env=self._environment, log=log))

    async def _heard(self, message: Any) -> None:
        text = message.body.decode()
        order = msgspec.json.decode(message.body) if text.startswith("{") else text
        if isinstance(order, dict):
            order = order["order"] if "order" in order else order["body"]["order_id"]
        self.done.setdefault(order, time.monotonic())

    async def put(self, numbers: range, per_s: float = 0.0) -> dict[str, float]:
        """Put orders in, by the contestant's own means; when each was put in, where its program tells."""
        if self.contestant.load:
            command = [self.contestant.python, "-c", self.contestant.load, str(numbers.start), str(numbers.stop), str(per_s)]
            process = await asyncio.create_subprocess_exec(*command, env=self._environment, cwd=REPOSITORY, stdout=subprocess.PIPE)
            said, _ = await process.communicate()
            if process.returncode:
                raise RuntimeError(f"{self.contestant.name}: orders could not be put in")
            words = [line.split() for line in said.decode().splitlines() if line.startswith("O-")]
            return {order: float(at) for order, at in words}
        for start in range(numbers.start, numbers.stop, 100):
            part = range(start, min(start + 100, numbers.stop))
            await asyncio.gather(*(self._channel.default_exchange.publish(self._message(n), routing_key=self._queue) for n in part))
        return {}

    def _message(self, number: int) -> aio_pika.Message:
        if self.contestant.name.startswith("bare"):
            body = msgspec.json.encode({"order": f"O-{number}", "amount": "12.00"})
            return aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        from tests.bench.letters import letter  # noqa: PLC0415 - only the gateway's environment has it

        return letter(number)

    async def ended(self) -> int:
        """How many orders are done so far."""
        if self.contestant.done_by_queue:
            return len(self.done)
        connection = await asyncpg.connect(self.place.database)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"))
        finally:
            await connection.close()

    async def run(self, first: int, count: int, *, within_s: float = 180.0) -> float:
        """Put orders in while the workers stand still, let them go, and give the seconds until all are done."""
        await self._ready()
        before = await self.ended()
        self._signal(signal.SIGSTOP)
        try:
            await self.put(range(first, first + count))
        finally:
            self._signal(signal.SIGCONT)
        began = time.monotonic()
        while await self.ended() - before < count:
            if time.monotonic() - began > within_s:
                raise TimeoutError(f"{self.contestant.name}: {await self.ended() - before} of {count} orders within {within_s:g} s")
            await asyncio.sleep(0.02 if self.contestant.done_by_queue else 0.2)
        return time.monotonic() - began

    async def _ready(self) -> None:
        """Wait until all workers are up, once: what is published to a queue that is not there yet is lost."""
        if self._warm:
            return
        self._warm = True
        if self.contestant.load:
            await asyncio.sleep(8.0)
            return
        for _ in range(300):
            if await self._consumers() >= self.workers:
                return
            await asyncio.sleep(0.2)
        raise TimeoutError(f"{self.contestant.name}: not all of {self.workers} workers came up within a minute")

    async def _consumers(self) -> int:
        channel = await self._connection.channel()
        try:
            queue = await channel.declare_queue(self._queue, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return 0
        else:
            return queue.declaration_result.consumer_count or 0
        finally:
            await channel.close()

    @property
    def _queue(self) -> str:
        return "process.bench_booking" if self.contestant.name.startswith("q2c") else "bench.bare"

    def _signal(self, which: signal.Signals) -> None:
        for child in self._children:
            os.killpg(child.pid, which)

    async def measure(self, count: int) -> Figures:
        """Run so many orders, and what that cost."""
        pids = [child.pid for child in self._children]
        await asyncio.sleep(STATISTICS_AFTER_S)
        groups = (pids, [self._ring.database.pid], [self._ring.broker.pid])
        began, memory = await counters(self.place.database), rss_mb(pids)
        cpu = [cpu_s(group) for group in groups]
        seconds = await self.run(10_000, count)
        spent = [(cpu_s(group) - before) * 1000 / count for group, before in zip(groups, cpu, strict=True)]
        grew = rss_mb(pids) - memory
        await asyncio.sleep(STATISTICS_AFTER_S)
        after = await counters(self.place.database)
        return Figures(
            contestant=self.contestant.name,
            backend_ms=self.backend_ms,
            workers=self.workers,
            orders=count,
            seconds=round(seconds, 2),
            orders_per_s=round(count / seconds, 1),
            cpu_ms=round(sum(spent), 2),
            cpu_app_ms=round(spent[0], 2),
            cpu_postgres_ms=round(spent[1], 2),
            cpu_rabbitmq_ms=round(spent[2], 2),
            commits=round((after.commits - began.commits) / count, 2),
            syncs=round((after.syncs - began.syncs) / count, 2),
            memory_mb=round(rss_mb(pids) / self.workers, 1),
            memory_grew_mb=round(grew / self.workers, 1),
        )

    async def latencies(self, per_s: float, seconds: float) -> tuple[float, float]:
        """p50 and p99 from putting in to done, in milliseconds, at a steady rate. Raises `TimeoutError` where orders do not end."""
        numbers = range(500_000, 500_000 + max(10, int(per_s * seconds)))
        if not self.contestant.done_by_queue:
            return await self._latencies_in_database(numbers, per_s)
        sent: dict[str, float] = {}
        if self.contestant.load:
            sent = await self.put(numbers, per_s)
        else:
            began = time.monotonic()
            for number in numbers:
                await asyncio.sleep(max(0.0, began + (number - numbers.start) / per_s - time.monotonic()))
                sent[f"O-{number}"] = time.monotonic()
                await self.put(range(number, number + 1))
        async with asyncio.timeout(60):
            while not sent.keys() <= self.done.keys():  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.05)
        took = [(self.done[order] - at) * 1000 for order, at in sent.items()]
        return round(percentile(took, 0.5), 1), round(percentile(took, 0.99), 1)

    async def _latencies_in_database(self, numbers: range, per_s: float) -> tuple[float, float]:
        """By the times that DBOS itself has written down."""
        since, before = int(time.time() * 1000), await self.ended()
        await self.put(numbers, per_s)
        async with asyncio.timeout(120):
            while await self.ended() - before < len(numbers):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.5)
        connection = await asyncpg.connect(self.place.database)
        try:
            took = [float(row["took"]) for row in await connection.fetch(DBOS_TOOK, since)]
        finally:
            await connection.close()
        return round(percentile(took, 0.5), 1), round(percentile(took, 0.99), 1)

    async def close(self) -> None:
        """End the workers."""
        for child in self._children:
            child.kill()
        if self._connection is not None:
            await self._connection.close()
