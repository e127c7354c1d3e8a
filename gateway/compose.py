"""Where all meet: from settings to a running gateway. Everything is made here and handed in; nothing looks anything up."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

import msgspec
import structlog
from litestar import Litestar

import experience_apis.app as experience
import process_apis.app as processing
import process_apis.worker as process_worker
import system_apis.app as systems
import system_apis.worker as system_worker
from canonical.failures import Failure, Misconfigured, Unavailable
from gateway.application import Health, application
from gateway.audit_heads import keep_heads
from gateway.ports import BoundAsker
from gateway.roster import CONNECTORS, INQUIRIES, processes
from gateway.settings import Settings
from gateway.supervising import Supervisor
from gateway.sweeping import Sweeper
from gateway.tokens import verifier_of
from process_apis.read_models import ReadModels
from process_apis.reception import Reception
from runtime import telemetry
from runtime.bus.contract import Bus
from runtime.bus.embedded import EmbeddedBus
from runtime.bus.observed import ObservedBus
from runtime.bus.rabbit import RabbitBus
from runtime.clock import Clock, SystemClock
from runtime.house import House
from runtime.process.engine import Engine
from runtime.process.layout import routes
from runtime.process.versions import orphans
from runtime.store.contract import Store
from runtime.store.engine import open_store
from runtime.store.relay import Relay
from system_apis.connector import Connector
from system_apis.desk import Connection, Desk
from system_apis.intake import Intake, Poller

log = structlog.get_logger("q2c.gateway")

Layer = Literal["system", "process", "experience"]
LAYERS: tuple[Layer, ...] = ("system", "process", "experience")
# Of the time that a process has to end: for handlers in work, and for each thing that is closed after them.
HANDLERS_SHARE, CLOSING_SHARE = 0.3, 0.4
STORE_WAIT_S, STORE_WAIT_S_MAX = 0.5, 10.0


def connections_of(settings: Settings, connectors: Iterable[Connector] = CONNECTORS) -> list[Connection]:
    """The vendor accounts of the settings, each with its card. Raises `Misconfigured` with the place of a mistake."""
    cards = {card.name: card for card in connectors}
    found = []
    for name, wanted in settings.connections.items():
        card = cards.get(wanted.connector)
        if card is None:
            raise Misconfigured(
                "unknown_connector", f"connections.{name}: no connector is called {wanted.connector!r}; there are {', '.join(cards)}"
            )
        try:
            own = msgspec.convert(wanted.settings, card.settings, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            raise Misconfigured("settings_invalid", f"connections.{name}.settings: {error}") from error
        users = tuple(entity for entity, e in settings.entities.items() if name in e.bindings.values())
        settles_in = None if wanted.settles_in_s is None else dt.timedelta(seconds=wanted.settles_in_s)
        connection = Connection(name=name, card=card, settings=own, entities=users, strict=wanted.strict, poll_every_s=wanted.poll_every_s)
        found.append(msgspec.structs.replace(connection, settles_in=settles_in))
    return found


class Gateway:
    """The parts of one process of the gateway, and their life."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store | None = None,
        bus: Bus | None = None,
        clock: Clock | None = None,
        connectors: Iterable[Connector] = CONNECTORS,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.store: Store = store or open_store(settings.store_url, self.clock)
        self.bus: Bus = ObservedBus(bus or _bus(settings, self.store, self.clock))
        self.relay = Relay(self.store, self.bus, self.clock)
        self.tables = processes(settings.approval)
        self.desk = Desk(connections_of(settings, connectors), store=self.store, clock=self.clock)
        self.asker = BoundAsker(settings.entities, self.desk, self.bus, self.clock)
        self.engine = Engine(self.tables, store=self.store, publisher=self.relay, asker=self.asker, clock=self.clock)
        desks: dict[str, str] = {}
        self.house = House(
            self.store, self.bus, self.relay, self.clock, routes=routes(self.tables), desks=desks, entities=settings.entities
        )
        self.reception = Reception(self.house)
        desks.update(process_worker.desks(INQUIRIES, self.reception))
        self.intake = Intake(self.desk, self.house, self.clock)
        self.poller = Poller(self.desk, self.intake, self.clock)
        self.sweeper = Sweeper(self.store, self.engine, self.relay, self.clock, alone=not settings.bus.url)
        self._background = Supervisor(self.clock)
        self._tracing: telemetry.Tracing | None = None
        self._takes_work = False
        self._orphans: list[str] = []

    def app(self, layers: Iterable[Layer] = LAYERS) -> Litestar:
        """The HTTP application of some layers, or of all of them together."""
        handlers: list[Any] = []
        given: dict[str, Any] = {}
        for layer in layers:
            if layer == "system":
                handlers += systems.HANDLERS
                given |= systems.dependencies(self.house, self.desk, self.intake)
            elif layer == "process":
                handlers += processing.HANDLERS
                given |= processing.dependencies(self.house, self.reception, self.engine)
            else:
                handlers += experience.HANDLERS
                given |= experience.dependencies(self.house)
        verifier = verifier_of(self.settings)
        health = Health(ready=self.ready, concerns=self.concerns)
        return application(handlers, given, house=self.house, verifier=verifier, health=health, version=version("q2c-gateway"))

    async def start(self, *, works: bool) -> None:
        """Connect store and bus, and begin to work where this process is (also) a worker."""
        traced = self.settings.telemetry
        self._tracing = telemetry.start_tracing(traced.otlp_url, ratio=traced.sample_ratio, version=version("q2c-gateway"))
        await self._store_up()
        await self._look_for_orphans()
        for orphan in self._orphans:
            log.error("instances_orphaned", what=orphan)
        queues = (*process_worker.all_queues(self.tables, INQUIRIES), *system_worker.all_queues(self.desk))
        await self.bus.start(queues)
        self._background.keep("relay", self.relay.run)
        if works:
            await self._work()
        self._takes_work = True

    async def _work(self) -> None:
        """Take messages off the queues, and begin what a worker does by itself."""
        read_models = ReadModels(self.store, self.clock)
        await process_worker.serve(
            self.bus, self.engine, INQUIRIES, asker=self.asker, reception=self.reception, read_models=read_models, clock=self.clock
        )
        await system_worker.serve(self.bus, self.desk, self.intake, store=self.store, clock=self.clock)
        self._background.keep("sweep", self.sweeper.run)
        self._background.keep("audit heads", lambda: keep_heads(self.store, self.settings, self.clock))
        self._background.keep("polling", lambda: system_worker.poll_for_ever(self.poller, self.clock))

    async def _look_for_orphans(self) -> None:
        self._orphans = orphans(await self.store.versions_in_use(), self.tables)

    async def concerns(self) -> Sequence[str]:
        """What somebody should know who looks after this process, although it takes work: instances that this release cannot run."""
        if self._orphans:  # another release may have brought them to their end meanwhile
            with contextlib.suppress(Failure):
                await self._look_for_orphans()
        return tuple(self._orphans)

    async def _store_up(self) -> None:
        """Parts may be started in any order: a database that is not there yet is waited for, and told of."""
        wait_s = STORE_WAIT_S
        while True:
            try:
                await self.store.start()
            except Unavailable as failure:
                log.warning("store_not_there_yet", why=failure.detail, again_in_s=wait_s)
                await self.clock.sleep(wait_s)
                wait_s = min(wait_s * 2, STORE_WAIT_S_MAX)
            else:
                return

    async def stop(self) -> None:
        """Hand back or finish what is in work, then close everything, in the order opposite to starting."""
        self.stops_taking_work()
        await self._background.stop()
        steps: tuple[Callable[[], Awaitable[None]], ...] = (self.bus.stop, self.desk.aclose, self.store.stop)
        for close in steps:
            try:
                await asyncio.wait_for(close(), self.settings.stop.within_s * CLOSING_SHARE)
            except TimeoutError:
                log.warning("stop_took_too_long", what=getattr(close, "__qualname__", repr(close)))
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.stop)

    def stops_taking_work(self) -> None:
        """From now on this process is not ready: it is going to end."""
        self._takes_work = False

    async def ready(self) -> Mapping[str, bool]:
        """Whether store and bus take work at this moment, and this process, too: it has started, and is not about to end."""
        store, bus = await asyncio.gather(_answers(self.store.cursor("ready")), _answers(self.bus.ready()))
        return {"store": store, "bus": bus, "work": self._takes_work}


async def _answers(work: Awaitable[Any]) -> bool:
    try:
        return await asyncio.wait_for(work, 2.0) is not False
    except Exception:  # noqa: BLE001 - whatever the reason: it does not take work
        return False


def _bus(settings: Settings, store: Store, clock: Clock) -> Bus:
    stop_within_s = settings.stop.within_s * HANDLERS_SHARE
    if settings.bus.url:
        return RabbitBus(settings.bus.url, clock=clock, stop_within_s=stop_within_s)
    return EmbeddedBus(store, clock, stop_within_s=stop_within_s)
