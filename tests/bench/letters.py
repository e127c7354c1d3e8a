"""Orders as the gateway's bus carries them."""

import aio_pika

from runtime.bus.parcel import Parcel
from runtime.bus.wire import envelope
from runtime.clock import SystemClock
from runtime.context import Context
from tests.bench.ours import BookBench

CLOCK = SystemClock()


def letter(number: int) -> aio_pika.Message:
    """The message that starts the booking of an order."""
    told = envelope(BookBench(order_id=f"O-{number}", amount="12.00"), Context(entity="E", correlation_id=f"q2c-{number}"), now=CLOCK.now())
    parcel = Parcel.of(told)
    return aio_pika.Message(
        parcel.body,
        headers=dict(parcel.headers()),
        message_id=parcel.id,
        type=parcel.type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
