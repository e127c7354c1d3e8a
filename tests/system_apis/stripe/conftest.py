"""A simulated Stripe account, served over HTTP, and a connection to it."""

from collections.abc import AsyncIterator

import pytest

from runtime.clock import SetClock
from system_apis.simulation import Simulation
from system_apis.stripe.connector import STRIPE
from system_apis.stripe.simulator import build, simulated
from tests.system_apis.harness import Bench, served


@pytest.fixture
def clock() -> SetClock:
    """A clock that only the test moves."""
    return SetClock()


@pytest.fixture
def simulation(clock: SetClock) -> Simulation:
    """The account's books."""
    return Simulation("stripe", clock=clock)


@pytest.fixture
async def url(simulation: Simulation) -> AsyncIterator[str]:
    """Where the account is served."""
    async with served(build(simulation)) as base_url:
        yield base_url


@pytest.fixture
async def stripe(url: str) -> AsyncIterator[Bench]:
    """A connection to the account."""
    bench = Bench(STRIPE, simulated(url), connection="stripe-main")
    yield bench
    await bench.aclose()
