"""The dead letters of a queue, taken out to be read or sent back; whatever is not sent back is laid down again."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from runtime.bus.contract import DeadLetter
from runtime.bus.handling import Send
from runtime.bus.parcel import Delivery, Parcel, Posting

Get = Callable[[], Awaitable[Delivery | None]]


class Drawer:
    """An open drawer: ``get`` takes the next dead letter out of the broker."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._taken: list[Delivery] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for delivery in self._taken:
            await delivery.back()

    async def take(self) -> Delivery | None:
        """The next one, or None when there are no more."""
        delivery = await self._get()
        if delivery is not None:
            self._taken.append(delivery)
        return delivery

    def sent(self, delivery: Delivery) -> None:
        """This one shall not be laid back."""
        self._taken.remove(delivery)


Open = Callable[[str], AbstractAsyncContextManager[Drawer]]

LOOK_MAX = 5000


async def look(opening: Open, queue: str, *, limit: int) -> tuple[DeadLetter, ...]:
    """The oldest dead letters of a queue.

    The broker lays what is laid back behind the rest, so that whoever takes out a few finds others the next time: all are taken, and put in
    order here. Beyond `LOOK_MAX` of them it is the oldest of those that come first.
    """
    found: list[Parcel] = []
    async with opening(queue) as drawer:
        while len(found) < LOOK_MAX and (delivery := await drawer.take()) is not None:
            found.append(delivery.parcel)
    found.sort(key=lambda parcel: parcel.buried_at_ms)
    return tuple(parcel.dead_letter(queue) for parcel in found[:limit])


async def send_back(opening: Open, queue: str, send: Send, *, limit: int) -> int:
    """Put the dead letters that can be read back into their queue, as if nobody had tried them; returns how many."""
    count = 0
    async with opening(queue) as drawer:
        while count < limit and (delivery := await drawer.take()) is not None:
            if delivery.parcel.dead_letter(queue).letter is not None:
                await send(Posting(parcel=delivery.parcel.after(0), to=queue))
                await delivery.done()
                drawer.sent(delivery)
                count += 1
    return count
