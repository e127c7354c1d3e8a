"""What the integration tests can ask for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.services.postgres import Postgres
from deploy.services.rabbitmq import RabbitMQ
from tests.integration.installation import VENDORS_AT_REST, Installation
from tests.integration.site import Site


@pytest.fixture
async def site(rabbitmq: RabbitMQ, postgres: Postgres, tmp_path: Path) -> AsyncIterator[Site]:
    """Migrated, with its vendors; no part of the gateway runs yet."""
    database = postgres.fresh_database()
    services = {"Q2C_STORE__URL": database, "Q2C_BUS__URL": rabbitmq.fresh_vhost()}
    async with Installation(tmp_path, environment=services, settings=VENDORS_AT_REST) as installation:
        installation.start_vendors("http://127.0.0.1:1/webhooks")
        await installation.finished("migrate", "migrate", *installation.data)
        yield Site(installation, database, installation.part("vendors"))
