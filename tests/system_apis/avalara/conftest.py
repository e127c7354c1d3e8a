"""A simulated AvaTax account, served over HTTP, and a connection to it."""

import datetime as dt
from collections.abc import AsyncIterator, Callable

import pytest

from canonical.customer import Address, Customer, TaxRegistration
from canonical.money import Money, Quantity
from canonical.tax import TaxableLine, TaxDocument
from runtime.clock import SetClock
from system_apis.avalara.connector import AVALARA
from system_apis.avalara.simulator import build, simulated
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench, served

ACME = Customer(
    id="C-ACME",
    legal_name="Acme Robotics Inc.",
    currency="USD",
    ship_to=Address(street="500 Howard Street", city="San Francisco", region="CA", postal_code="94105", country="US"),
)
MUSTER = Customer(
    id="C-MUSTER",
    legal_name="Muster Maschinenbau GmbH",
    bill_to=Address(street="Königstraße 20", city="Stuttgart", postal_code="70173", country="DE"),
    tax_registrations=(TaxRegistration(country="DE", number="DE129273398"),),
)

Documents = Callable[..., TaxDocument]


@pytest.fixture
def clock() -> SetClock:
    """A clock that only the test moves."""
    return SetClock()


@pytest.fixture
def simulation(clock: SetClock) -> Simulation:
    """The books of the simulated account."""
    return Simulation("avalara", clock=clock)


@pytest.fixture
async def bench(simulation: Simulation) -> AsyncIterator[Bench]:
    """A connection to the served simulator."""
    async with served(build(simulation)) as base_url:
        bench = Bench(AVALARA, simulated(base_url), "tax-main")
        yield bench
        await bench.aclose()


@pytest.fixture
def document() -> Documents:
    """A document of Acme with lines of these amounts; each amount may bring a tax code."""

    def make(*amounts: str | tuple[str, str], code: str = "ORD-1001", customer: Customer = ACME, currency: str = "USD") -> TaxDocument:
        pairs = [a if isinstance(a, tuple) else (a, "") for a in amounts or ("1000.00",)]
        lines = tuple(
            TaxableLine(number=i, item_code=f"ITEM-{i}", tax_code=tax_code, quantity=Quantity("2"), amount=Money(amount, currency))
            for i, (amount, tax_code) in enumerate(pairs, start=1)
        )
        entity = "US01" if currency == "USD" else "DE01"
        return TaxDocument(
            code=code, entity=entity, customer=customer, currency=currency, date=dt.date(2026, 1, 15), ship_to=customer.ship_to, lines=lines
        )

    return make
