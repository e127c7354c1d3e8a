"""The bus on RabbitMQ: an empty virtual host and a queue for each test."""

import pytest

from deploy.services.rabbitmq import RabbitMQ
from runtime.bus.contract import Address, Queue
from tests.contracts.rabbit_bench import prepared_vhost


@pytest.fixture
def url(rabbitmq: RabbitMQ) -> str:
    """Where the broker is."""
    return prepared_vhost(rabbitmq)


@pytest.fixture
def orders() -> Queue:
    """A queue of commands that also wants an event."""
    return Queue(name="process.order_booking", events=("InvoicePaid",))


@pytest.fixture
def to_orders(orders: Queue) -> Address:
    """A command to that queue."""
    return Address(orders.name)
