"""A store in a file of its own, and a clock that is moved."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.clock import SetClock
from runtime.store.engine import SqlStore, open_store
from runtime.store.migrations import migrate


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
