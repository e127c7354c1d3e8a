"""The gateway as a contestant: its engine, desk, ledger, bus, store and relay, over a table of five asks."""

import argparse
import asyncio
import cProfile
import signal
from typing import Any

import msgspec
import uvloop

from canonical.messages import Accepted, Command, Event
from gateway.logs import configure_logs
from runtime.bus.contract import Queue
from runtime.bus.observed import ObservedBus
from runtime.bus.rabbit import RabbitBus
from runtime.clock import SystemClock
from runtime.context import Context
from runtime.process.asking import Answer
from runtime.process.declare import CaseDraft, Process, ask, hours, point_of_no_return, tell
from runtime.process.engine import Engine
from runtime.process.layout import queues
from runtime.store.engine import open_store
from runtime.store.relay import Relay
from system_apis.connector import Call, Connector, Limit, Once, Operation
from system_apis.desk import Connection, Desk
from tests.bench.work import DONE_QUEUE, STEPS, Place, call, client


class Referenced(Event, frozen=True, kw_only=True):
    """The answer to each step."""

    ref: str


class BenchBooked(Event, frozen=True, kw_only=True):
    """An order is booked."""

    order_id: str


class BookBench(Command[Accepted], frozen=True, kw_only=True):
    """Book an order."""

    port = "process"
    order_id: str
    amount: str


class TaxStep(Command[Referenced], frozen=True, kw_only=True):
    """The first step."""

    port = "tax"
    order_id: str
    amount: str


class ErpStep(Command[Referenced], frozen=True, kw_only=True):
    """The second step."""

    port = "erp"
    order_id: str
    amount: str


class BillingStep(Command[Referenced], frozen=True, kw_only=True):
    """The third step."""

    port = "billing"
    order_id: str
    amount: str


class PsaStep(Command[Referenced], frozen=True, kw_only=True):
    """The fourth step."""

    port = "psa"
    order_id: str
    amount: str


class CrmStep(Command[Referenced], frozen=True, kw_only=True):
    """The fifth step."""

    port = "crm"
    order_id: str
    amount: str


class Undone(Event, frozen=True, kw_only=True):
    """A step was taken back."""


class UndoStep(Command[Undone], frozen=True, kw_only=True):
    """Take a step back: registered with each, and never needed here."""

    port = "erp"
    order_id: str
    ref: str


COMMANDS = (TaxStep, ErpStep, BillingStep, PsaStep, CrmStep)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a booking has learned."""

    order_id: str
    amount: str
    refs: tuple[str, ...] = ()


def _step(name: str, command: type[Any]) -> Any:
    def make(m: Memory) -> Any:
        return command(order_id=m.order_id, amount=m.amount)

    make.__annotations__ = {"m": Memory, "return": command}

    def keep(m: Memory, reply: Referenced) -> Memory:
        return msgspec.structs.replace(m, refs=(*m.refs, reply.ref))

    def undo(m: Memory) -> UndoStep:
        return UndoStep(order_id=m.order_id, ref=m.refs[-1])

    return ask(name, make, learn=keep, undo=undo)


def _booked(m: Memory) -> BenchBooked:
    return BenchBooked(order_id=m.order_id)


def _begin(command: BookBench) -> Memory:
    return Memory(order_id=command.order_id, amount=command.amount)


TABLE = Process(
    name="bench_booking",
    starts_on=BookBench,
    memory=Memory,
    begin=_begin,
    key=lambda command: command.order_id,
    finish_within=hours(4),
    steps=(*(_step(name, command) for name, command in zip(STEPS, COMMANDS, strict=True)), point_of_no_return(), tell("booked", _booked)),
    shows=lambda m: CaseDraft(kind="order", title=m.order_id),
)
QUEUES = (*queues([TABLE]), Queue(name=DONE_QUEUE, events=(BenchBooked.wire_name(),)))


class BenchSettings(msgspec.Struct, frozen=True):
    """Where the back ends are."""

    backend: str


class BenchClient:
    """The HTTP client that all contestants use."""

    def __init__(self, settings: BenchSettings) -> None:
        self.http = client(Place(settings.backend, "", ""))

    async def aclose(self) -> None:
        await self.http.aclose()


async def _run(call_: Call, command: Any) -> Referenced:
    return Referenced(ref=await call(call_.client.http, command.port, command.order_id, command.amount))


CARD = Connector(
    name="bench",
    title="The back ends",
    settings=BenchSettings,
    client=BenchClient,
    failures=client(Place("http://x", "", ""))._failures,
    does={command: Operation(_run, once=Once.NATIVE_KEY) for command in COMMANDS},
    limit=Limit(in_flight_max=1000, per_minute_max=1_000_000_000),
)


class DeskAsker:
    """All ports are bound to one connection."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ask(self, command: Command[Any], context: Context, *, within_s: float | None = None) -> Answer:
        return await self._desk.ask("bench", command, context)


async def work(place: Place, stopping: asyncio.Event) -> None:
    """A worker, until it is stopped."""
    configure_logs()
    clock = SystemClock()
    store = open_store(place.database, clock)
    await store.start()
    bus = ObservedBus(RabbitBus(place.broker, clock=clock))
    relay = Relay(store, bus, clock)
    desk = Desk([Connection(name="bench", card=CARD, settings=BenchSettings(place.backend))], store=store, clock=clock)
    engine = Engine([TABLE], store=store, publisher=relay, asker=DeskAsker(desk), clock=clock)
    await bus.start(QUEUES)
    relaying = asyncio.create_task(relay.run())
    await bus.consume(QUEUES[0].name, engine.handler(TABLE), prefetch=place.in_flight)
    await stopping.wait()
    relaying.cancel()
    await bus.stop()
    await desk.aclose()
    await store.stop()


async def main(profile: str) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    await work(Place.here(), stopping)
    if profile:
        profiler.disable()
        profiler.dump_stats(profile)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", default="")
    uvloop.run(main(parser.parse_args().profile))
