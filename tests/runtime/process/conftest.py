"""A store in a file, a clock, and a world in which tables run."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runtime.clock import SetClock
from runtime.process.declare import Process, Step
from runtime.store.engine import SqlStore, open_store
from runtime.store.migrations import migrate
from tests.runtime.process.tables import PLAIN, table
from tests.runtime.process.vendor import Vendor
from tests.runtime.process.world import World

NewWorld = Callable[..., World]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the present schema, to be copied."""
    path = tmp_path_factory.mktemp("store") / "migrated.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(migrated: Path, tmp_path: Path, clock: SetClock) -> AsyncIterator[SqlStore]:
    """An empty store in a file of its own."""
    shutil.copy(migrated, tmp_path / "q2c.db")
    opened = open_store(f"sqlite:///{tmp_path / 'q2c.db'}", clock)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def world_of(store: SqlStore, clock: SetClock, vendor: Vendor) -> NewWorld:
    """Makes a world in which a table of these steps runs."""

    def make(*steps: Step, processes: tuple[Process, ...] = (), **fields: object) -> World:
        return World(store, clock, vendor, *(processes or (table(*(steps or PLAIN), **fields),)))

    return make
