"""The real servers as fixtures: started when the first test asks, one of each for a test process, gone at its end.

A test that hurts a server (kills, pauses, fills it) leaves it running for the others: `server.restart()` in a `finally`, or a server
of its own through `deploy.services.rabbitmq.start()`. Isolation is by `fresh_vhost()` and `fresh_database()`, not by new servers.
"""

from collections.abc import Iterator

import pytest

from deploy.services import postgres as postgres_service
from deploy.services import rabbitmq as rabbitmq_service
from deploy.services import tryton as tryton_service


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[rabbitmq_service.RabbitMQ]:
    """A real RabbitMQ node."""
    server = rabbitmq_service.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_service.Postgres]:
    """A real PostgreSQL server."""
    server = postgres_service.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tryton() -> Iterator[tryton_service.TrytonServer]:
    """A real Tryton server with a company that sells."""
    server = tryton_service.start()
    yield server
    server.stop()
