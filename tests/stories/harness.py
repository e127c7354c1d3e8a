"""The whole gateway in one event loop, with the simulated vendors behind real HTTP, driven through its own HTTP API."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

from canonical.order import Order
from canonical.payment import Payment
from canonical.quote import Quote, QuoteValidated
from gateway.compose import Gateway
from gateway.running import development_token, migrate_store
from gateway.settings import Settings, load
from gateway.simulated import SIMULATORS, settings
from process_apis.transactions import CaseView, TransactionView
from runtime.bus.topology import INBOX, process_queue
from runtime.process.story import story
from runtime.store.contract import ENDED, Instance
from system_apis.simulation import Effect, Fault, Simulation
from tests.stories.clock import MovedClock
from tests.system_apis.harness import served

TENANT = "default"
JSON = "application/json"
WITHIN_S = 15.0
EVERY_S = 0.02
POLL_EVERY_S = 0.05

Name = tuple[str, str]  # process and key


def booking(order_id: str) -> Name:
    """The instance that books an order."""
    return "order_booking", order_id


def approval(version: Quote) -> Name:
    """The instance that approves a quote version."""
    return "quote_approval", version.key


def cash(payment_id: str) -> Name:
    """The instance that applies a payment."""
    return "cash_application", payment_id


def at_rest(row: Instance) -> bool:
    """Whether nothing more happens by itself: it has ended, or waits for somebody."""
    return row.status in (*ENDED, "parked", "waiting")


def put_off(row: Instance) -> bool:
    """Whether a step has failed and is to be tried again later."""
    return row.status == "running" and row.due_at is not None


class World:
    """A running gateway and its vendors."""

    def __init__(self, gateway: Gateway, clock: MovedClock, http: httpx.AsyncClient, vendors: dict[str, Simulation]) -> None:
        self.gateway = gateway
        self.clock = clock
        self.http = http
        self.vendors = vendors
        self.addresses: dict[str, str] = {}
        self.servers: dict[str, contextlib.AsyncExitStack] = {}

    # from outside -----------------------------------------------------------------------------------------------------

    async def post(
        self, path: str, body: Any, *, key: str = "", correlation_id: str = "", by: str = "dana", content_type: str = JSON
    ) -> httpx.Response:
        """What the gateway answers."""
        token = development_token(self.gateway.settings, by, "", 1)
        named = {"Idempotency-Key": key, "X-Correlation-Id": correlation_id, "Authorization": f"Bearer {token}"}
        headers = {"Content-Type": content_type, **{name: value for name, value in named.items() if value}}
        return await self.http.post(path, content=body if isinstance(body, bytes) else msgspec.json.encode(body), headers=headers)

    async def get(self, path: str, shape: Any) -> Any:
        """What stands there."""
        token = development_token(self.gateway.settings, "dana", "", 1)
        answer = await self.http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=shape)

    async def taken(self, path: str, body: Any, **how: str) -> None:
        """Hand something in that is acknowledged."""
        answer = await self.post(path, body, **how)
        assert answer.status_code == 202, answer.text

    async def book(self, order: Order) -> str:
        """Hand in an order that was accepted elsewhere; gives its correlation id."""
        return await self._submitted("/process/v1/orders", {"order": order}, order.id)

    async def submit(self, quote: Quote, **with_it: Any) -> str:
        """Hand in a quote version for approval; gives its correlation id."""
        return await self._submitted("/process/v1/quotes", {"quote": quote, **with_it}, quote.key)

    async def pay(self, payment: Payment) -> str:
        """Hand in money that has arrived; gives its correlation id."""
        return await self._submitted("/process/v1/payments", {"payment": payment}, payment.id)

    async def _submitted(self, path: str, body: Any, name: str) -> str:
        correlation_id = f"q2c-{name}"
        await self.taken(path, body, key=name, correlation_id=correlation_id)
        return correlation_id

    async def decide(self, quote: Quote, decision: str, *, by: str = "dana", version: int = 0, **with_it: Any) -> httpx.Response:
        """Somebody decides on a quote version."""
        body = {"version": version or quote.version, "decision": decision, **with_it}
        return await self.post(f"/process/v1/quotes/{quote.id}/decision", body, by=by)

    async def validate(self, quote: Quote) -> QuoteValidated:
        """What the gateway says of a quote while the seller waits."""
        answer = await self.post("/process/v1/quotes/validate", {"quote": quote}, correlation_id=f"q2c-{quote.id}")
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=QuoteValidated)

    async def operate(self, what: str, name: Name, reason: str = "") -> None:
        """An operator resumes or cancels an instance."""
        await self.taken(f"/process/v1/instances/{what}", {"process": name[0], "key": name[1], "reason": reason}, by="olga")

    async def case(self, name: Name, kind: str) -> CaseView:
        """The open case of an instance."""
        cases = await self.get(f"/process/v1/cases?kind={kind}&limit=1000", list[CaseView])
        found: list[CaseView] = [case for case in cases if case.id.startswith(f"{name[0]}/{name[1]}/")]
        assert len(found) == 1, [case.id for case in cases]
        return found[0]

    # at the vendors ---------------------------------------------------------------------------------------------------

    async def act(self, vendor: str, name: str, **wish: Any) -> dict[str, Any]:
        """A person at a vendor does something."""
        answer = await self.http.post(f"{self.addresses[vendor]}/_sim/do/{name}", content=msgspec.json.encode(wish))
        found: dict[str, Any] = msgspec.json.decode(answer.content)
        assert "error" not in found, found
        return found

    async def invoice(self, vendor: str, order_id: str) -> tuple[str, str]:
        """Post the invoice of an order in an ERP; gives its number and total."""
        posted = await self.act(vendor, "post_invoice", order_id=order_id)
        (found,) = posted.get("invoices", [posted])
        return found["number"], found["total"]

    def trouble(self, vendor: str, kind: Any, on: str, **how: Any) -> None:
        """Plan a misbehaviour."""
        self.vendors[vendor].faults.append(Fault(kind=kind, on=on, **how))

    def no_trouble(self) -> None:
        """Forget what was planned and has not come to pass."""
        for vendor in self.vendors.values():
            vendor.faults.clear()

    def booked(self, vendor: str, business_key: str) -> list[Effect]:
        """What a vendor's own books have under a key."""
        return [effect for effect in self.vendors[vendor].ledger if effect.business_key == business_key]

    async def webhooks_delivered(self, vendor: str) -> None:
        """Returns when what the vendor had to push is taken in and understood."""
        await asyncio.gather(*self.vendors[vendor]._tasks)
        until_s = time.monotonic() + WITHIN_S
        while True:
            if not await self._queued(INBOX, process_queue("cash_application")):
                return
            assert time.monotonic() < until_s, f"what {vendor} has pushed is not understood"
            await asyncio.sleep(EVERY_S)

    async def _queued(self, *queues: str) -> int:
        return sum([len(await self.gateway.store.queued(queue, after_seq=0)) for queue in queues])

    async def stop_vendor(self, vendor: str) -> None:
        """From now on nobody answers there."""
        await self.servers[vendor].aclose()

    # time -------------------------------------------------------------------------------------------------------------

    async def rest(self, name: Name) -> Instance:
        """Follow an instance until nothing more happens by itself; where it is put off, time passes until then."""
        return await self.until(name, at_rest, moves=True)

    async def ended(self, name: Name) -> Instance:
        """Follow an instance that has been set going again until it has ended."""
        return await self.until(name, lambda row: row.status in ENDED, moves=True)

    async def until(self, name: Name, fits: Callable[[Instance], bool], *, moves: bool = False) -> Instance:
        """Look at an instance until it is as wanted; polls and sweeps are not waited for."""
        until_s = time.monotonic() + WITHIN_S
        row = None
        while time.monotonic() < until_s:
            row = await self.gateway.store.instance(TENANT, *name)
            if row is not None and fits(row):
                return row
            if moves and row is not None and row.status in {"running", "undoing"} and row.due_at is not None:
                self.clock.move_to(row.due_at)
            await self.gateway.poller.turn()
            await self.gateway.sweeper.turn()
            await asyncio.sleep(EVERY_S)
        raise AssertionError(f"{'/'.join(name)} does not come to what is waited for: {row}")

    async def pass_time(self, **span: int) -> None:
        """Let days pass, and let the sweep look what has become due."""
        self.clock.move(dt.timedelta(**span))
        await self.gateway.sweeper.turn()

    # what is told -----------------------------------------------------------------------------------------------------

    async def story(self, name: Name) -> str:
        """The story of one instance."""
        row = await self.gateway.store.instance(TENANT, *name)
        assert row is not None
        return story(row, await self.gateway.store.journal(TENANT, *name))

    async def stories(self, correlation_id: str) -> str:
        """The story of a whole transaction."""
        found: TransactionView = await self.get(f"/process/v1/transactions/{correlation_id}", TransactionView)
        return found.story


class Vendors:
    """The simulated vendors, each behind a server of its own."""

    def __init__(self, clock: MovedClock) -> None:
        self.simulations = {one.name: Simulation(one.name, clock=clock) for one in SIMULATORS}
        self.servers = {one.name: contextlib.AsyncExitStack() for one in SIMULATORS}
        self.addresses: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        for one in SIMULATORS:
            app = one.build(self.simulations[one.name])
            self.addresses[one.name] = await self.servers[one.name].enter_async_context(served(app))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(server.aclose() for server in self.servers.values()))


def _settings(addresses: dict[str, str], folder: Path) -> Settings:
    """The settings of the simulated world, with these addresses."""
    tree = settings("http://127.0.0.1:1", poll_every_s=POLL_EVERY_S)
    for one in SIMULATORS:
        tree["connections"][one.name]["settings"] = msgspec.to_builtins(one.simulated(addresses[one.name]))
    return load(None, base={**tree, "data": str(folder)}, environment={})


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A gateway at work, for the tests of a module."""
    clock = MovedClock()
    async with Vendors(clock) as vendors:
        own = _settings(vendors.addresses, folder)
        await migrate_store(own)
        gateway = Gateway(own, clock=clock)
        gateway.engine.jitter = lambda: 0.5
        await gateway.start(works=True)
        try:
            async with served(gateway.app()) as url, httpx.AsyncClient(base_url=url, timeout=30.0) as http:
                vendors.simulations["stripe"].webhook_url = f"{url}/webhooks/stripe"
                made = World(gateway, clock, http, vendors.simulations)
                made.addresses, made.servers = vendors.addresses, vendors.servers
                yield made
        finally:
            await gateway.stop()
