"""A scaled installation of which a test starts, asks to end, freezes and kills the parts, and what it sells."""

from collections.abc import Mapping

from canonical.quote import Quote
from deploy.services.children import Child
from deploy.services.ports import free_port
from runtime.clock import SystemClock
from runtime.store.engine import open_store
from tests.integration.deals import ACME, DAYS, DAYS_USD, DEVICES, NORDIC, PLAN, PLAN_USD, effects_of, order, quote
from tests.integration.doors import Door, until
from tests.integration.installation import Installation


class Site:
    """An installation on a real broker and store, one layer of it, and as many workers as a test starts."""

    def __init__(self, installation: Installation, database: str, vendors: Child) -> None:
        self.installation = installation
        self.database = database
        self.vendors = vendors
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def layer(self, name: str = "layer", *, environment: Mapping[str, str] | None = None) -> Child:
        """The layer at which orders are handed in."""
        port = ("--port", str(self.port))
        return self.installation.start(name, "serve", *self.installation.where, "--layer", "process", *port, environment=environment)

    def worker(self, name: str, *, module: str = "gateway", environment: Mapping[str, str] | None = None) -> Child:
        """A worker; it may take a moment until it works."""
        return self.installation.start(name, "worker", *self.installation.where, module=module, environment=environment)

    async def hand_in(self, door: Door, deal: Quote) -> str:
        """Until it is accepted; gives its correlation id."""
        answer = await door.persist("/process/v1/orders", order(deal), key=f"submit-{deal.id}")
        assert answer.status == 202, answer.body
        return str(answer.body["correlation_id"])

    async def in_work(self, correlation_id: str) -> None:
        """Until a worker has begun it: with frozen vendors it stays at its first step."""
        store = open_store(self.database, SystemClock())

        async def begun() -> bool:
            return bool(await store.instances("default", correlation_id=correlation_id))

        try:
            await until(begun, f"{correlation_id} is in work")
        finally:
            await store.stop()

    async def versions(self) -> list[tuple[int, str]]:
        """The versions of the table on which orders were booked, and how they stand; the first order first."""
        store = open_store(self.database, SystemClock())
        try:
            return [(row.version, row.status) for row in reversed(await store.instances("default", process="order_booking"))]
        finally:
            await store.stop()

    async def says(self, name: str, event: str) -> None:
        """Until a part has this event in its log."""

        async def said() -> bool:
            return self.installation.said(name, event)

        await until(said, f"{name} says {event}")

    async def booked(self, door: Door, *deals: tuple[str, Quote]) -> None:
        """Until all are; and then each vendor has each of their effects once."""
        for correlation_id, _ in deals:
            await door.until(correlation_id, {"booked"})
        found = await self.installation.effects()
        expected = set[tuple[str, str, str]]().union(*(effects_of(deal) for _, deal in deals))
        assert {effect: times for effect, times in found.items() if effect[1] != "customer"} == dict.fromkeys(expected, 1)
        assert {times for effect, times in found.items() if effect[1] == "customer"} == {1}


def deal(number: int) -> Quote:
    """Every second one is sold in Germany, from another ERP."""
    if number % 2:
        return quote("DE01", NORDIC, PLAN, DAYS, DEVICES, opportunity=f"OPP-{1001 + number}")
    return quote("US01", ACME, PLAN_USD, DAYS_USD, opportunity=f"OPP-{1001 + number}")
