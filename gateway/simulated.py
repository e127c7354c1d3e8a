"""The simulated world: six vendor simulators on neighbouring ports, and the settings that bind two entities to them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from litestar.types import ASGIApp

from runtime.clock import SystemClock
from system_apis.avalara import simulator as avalara
from system_apis.kantata import simulator as kantata
from system_apis.netsuite import simulator as netsuite
from system_apis.salesforce import simulator as salesforce
from system_apis.simulation import Simulation
from system_apis.stripe import simulator as stripe
from system_apis.tryton import simulator as tryton

BASE_PORT = 8101
# some cards give the real vendor up to three minutes; a simulated one has done a write within milliseconds, or never will
SETTLES_IN_S: dict[str, float] = {"tryton": 3.0, "avalara": 3.0, "kantata": 3.0}


class Simulator(msgspec.Struct, frozen=True):
    """A vendor's simulator and the settings that fit it."""

    name: str
    build: Callable[[Simulation], ASGIApp]
    simulated: Callable[[str], msgspec.Struct]


SIMULATORS: tuple[Simulator, ...] = (
    Simulator("salesforce", salesforce.build, salesforce.simulated),
    Simulator("netsuite", netsuite.build, netsuite.simulated),
    Simulator("tryton", tryton.build, tryton.simulated),
    Simulator("stripe", stripe.build, stripe.simulated),
    Simulator("avalara", avalara.build, avalara.simulated),
    Simulator("kantata", kantata.build, kantata.simulated),
)

_SHARED = {"crm": "salesforce", "billing": "stripe", "payments": "stripe", "tax": "avalara", "psa": "kantata"}
ENTITIES: dict[str, Any] = {
    "US01": {"name": "Northwind Software Inc.", "country": "US", "currency": "USD", "bindings": {**_SHARED, "erp": "netsuite"}},
    "DE01": {"name": "Northwind Software GmbH", "country": "DE", "currency": "EUR", "bindings": {**_SHARED, "erp": "tryton"}},
}


def address(base: str, position: int) -> str:
    """The address of the simulator at a position; they stand on neighbouring ports from the base on."""
    root, _, port = base.rstrip("/").rpartition(":")
    return f"{root}:{int(port) + position}"


def settings(base: str, *, poll_every_s: float = 1.0) -> dict[str, Any]:
    """The settings tree that binds both entities to the simulators at `base`, e.g. ``http://127.0.0.1:8101``."""
    connections = {
        simulator.name: {
            "connector": simulator.name,
            "settings": msgspec.to_builtins(simulator.simulated(address(base, position))),
            "poll_every_s": poll_every_s,
            "settles_in_s": SETTLES_IN_S.get(simulator.name),
        }
        for position, simulator in enumerate(SIMULATORS)
    }
    bank = {"connector": "bank_files", "settings": {"currencies": {e["currency"]: name for name, e in ENTITIES.items()}}}
    return {"entities": ENTITIES, "connections": {**connections, "bank": bank}}


def apps(state: Path | None, webhooks: str) -> list[tuple[str, ASGIApp]]:
    """The simulators as ASGI apps, in the order of their ports; with a state folder they survive a restart."""
    found = []
    for simulator in SIMULATORS:
        path = None
        if state is not None:
            state.mkdir(parents=True, exist_ok=True)
            path = state / f"{simulator.name}.jsonl"
        simulation = Simulation(simulator.name, clock=SystemClock(), path=path)
        simulation.webhook_url = f"{webhooks}/{simulator.name}" if webhooks else ""
        found.append((simulator.name, simulator.build(simulation)))
    return found
