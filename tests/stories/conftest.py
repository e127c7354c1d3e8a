"""One world for the stories of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.stories.harness import World, world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A running gateway with its simulated vendors, shared by the module's stories."""
    async with world(tmp_path_factory.mktemp("gateway")) as made:
        yield made
