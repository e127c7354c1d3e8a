"""A shop behind the policies."""

from pathlib import Path

import pytest

from runtime.clock import SetClock
from tests.contracts.stores import OpenStore, clock, migrated_file, opened, store
from tests.policies.shop import Shop
from tests.policies.tokens import Issuer

__all__ = ["clock", "migrated_file", "opened", "store"]


@pytest.fixture
def store_url(migrated_file: Path, tmp_path: Path) -> str:
    """The url of an empty store."""
    (tmp_path / "store.db").write_bytes(migrated_file.read_bytes())
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def shop(opened: OpenStore, clock: SetClock, tmp_path: Path) -> Shop:
    """One process of the shop."""
    return Shop(await opened(), tmp_path, clock)


@pytest.fixture
async def twin(shop: Shop, opened: OpenStore, clock: SetClock, tmp_path: Path) -> Shop:
    """Another process of the same shop, on the same store."""
    return Shop(await opened(), tmp_path, clock)


@pytest.fixture
def issuer() -> Issuer:
    """An issuer."""
    return Issuer()
