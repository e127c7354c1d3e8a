"""A world in which tables run."""

from collections.abc import Callable

import pytest

from runtime.clock import SetClock
from runtime.process.declare import Process, Step
from runtime.store.engine import SqlStore
from tests.runtime.process.tables import PLAIN, table
from tests.runtime.process.vendor import Vendor
from tests.runtime.process.world import World

NewWorld = Callable[..., World]


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def world_of(store: SqlStore, clock: SetClock, vendor: Vendor) -> NewWorld:
    """Makes a world in which a table of these steps runs."""

    def make(*steps: Step, processes: tuple[Process, ...] = (), **fields: object) -> World:
        return World(store, clock, vendor, *(processes or (table(*(steps or PLAIN), **fields),)))

    return make
