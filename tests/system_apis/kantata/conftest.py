"""A simulated Kantata account, served over HTTP, and a connection to it."""

import datetime as dt
from collections.abc import AsyncIterator, Callable

import pytest

from canonical.customer import Customer
from canonical.money import Money, Price, Quantity
from canonical.order import OrderLine
from canonical.project import Project
from canonical.quote import Term
from runtime.clock import SetClock
from system_apis.kantata.connector import KANTATA
from system_apis.kantata.simulator import build, simulated
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench, served

Projects = Callable[..., Project]


@pytest.fixture
def clock() -> SetClock:
    """A clock that only the test moves."""
    return SetClock()


@pytest.fixture
def simulation(clock: SetClock) -> Simulation:
    """The records of the simulated account."""
    return Simulation("kantata", clock=clock)


@pytest.fixture
async def bench(simulation: Simulation) -> AsyncIterator[Bench]:
    """A connection to the served simulator."""
    async with served(build(simulation)) as base_url:
        bench = Bench(KANTATA, simulated(base_url), "psa-main")
        yield bench
        await bench.aclose()


@pytest.fixture
def project() -> Projects:
    """The service lines of an order, as many as asked for, at 1,450.00 EUR a day."""

    def make(lines: int = 2, *, order_id: str = "ORD-1001", description: str = "") -> Project:
        days = tuple(
            OrderLine(
                number=number,
                item_code="SVC-ONB",
                description=description or f"Onboarding, part {number}",
                charge_type="service",
                quantity=Quantity(str(number), "day"),
                unit_price=Price("1450", "EUR"),
                net_total=Money(str(1450 * number), "EUR"),
                term=Term(start=dt.date(2026, 2, 1), end=dt.date(2026, 2, 28)) if number == 1 else None,
            )
            for number in range(1, lines + 1)
        )
        return Project(
            order_id=order_id,
            entity="DE01",
            title=f"{order_id} Muster Maschinenbau",
            customer=Customer(id="C-MUSTER", legal_name="Muster Maschinenbau GmbH"),
            currency="EUR",
            budget=Money.total((line.net_total for line in days), "EUR"),
            starts_on=dt.date(2026, 2, 1),
            ends_on=dt.date(2026, 6, 30),
            lines=days,
        )

    return make
