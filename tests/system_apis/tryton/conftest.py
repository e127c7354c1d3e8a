"""Tryton behind one face: the simulator for every test, the real server where a test asks for both."""

from collections.abc import AsyncIterator

import pytest

from deploy.services.tryton import TrytonServer
from system_apis.simulation import Simulation
from system_apis.tryton import simulator
from tests.system_apis.harness import served
from tests.system_apis.tryton.worlds import World, real_settings


@pytest.fixture
def simulation() -> Simulation:
    """The state of a simulated Tryton."""
    return Simulation("tryton")


@pytest.fixture
async def simulated(simulation: Simulation) -> AsyncIterator[World]:
    """The simulator, over real HTTP."""
    async with served(simulator.build(simulation)) as url:
        world = World(simulator.simulated(url))
        await simulator.ACTS["close_period"](simulation, {"until": "2025-01-31"})
        yield world
        await world.bench.aclose()


@pytest.fixture(params=["simulator", pytest.param("real server", marks=pytest.mark.tryton)])
def server(request: pytest.FixtureRequest) -> TrytonServer | None:
    """The real server where it is its turn, which starts with the first test that asks for it."""
    return request.getfixturevalue("tryton") if request.param == "real server" else None


@pytest.fixture
async def world(server: TrytonServer | None, simulation: Simulation) -> AsyncIterator[World]:
    """The same promises hold in both."""
    if server is None:
        async with served(simulator.build(simulation)) as url:
            await simulator.ACTS["close_period"](simulation, {"until": "2025-01-31"})
            world = World(simulator.simulated(url))
            yield world
            await world.bench.aclose()
        return
    world = World(real_settings(server))
    yield world
    await world.bench.aclose()
