"""A second module of the bus speaks AMQP."""

import aio_pika.abc
