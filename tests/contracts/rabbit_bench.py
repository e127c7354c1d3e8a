"""Buses on a real RabbitMQ for the suite of the bus: a virtual host for each test."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

import aio_pika
import pytest

from deploy.services.rabbitmq import USER, RabbitMQ
from runtime.bus.contract import ATTEMPTS_MAX, Bus
from runtime.bus.rabbit import RabbitBus
from runtime.clock import SystemClock

VHOSTS_AT_A_TIME = 20
PREPARED: dict[str, list[str]] = {}

MAKE_VHOSTS = """\
lists:foreach(fun(Name) ->
    ok = rabbit_vhost:add(Name, <<"{user}">>),
    ok = rabbit_auth_backend_internal:set_permissions(<<"{user}">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"{user}">>)
end, [{names}]).
"""


def prepared_vhost(server: RabbitMQ) -> str:
    """The url of an empty virtual host. They are made many at a time, for calling the broker's control costs as much as a whole test."""
    vhosts = PREPARED.setdefault(server.url, [])
    if not vhosts:
        vhosts += [f"p{secrets.token_hex(6)}" for _ in range(VHOSTS_AT_A_TIME)]
        names = ", ".join(f'<<"{name}">>' for name in vhosts)
        server.control("eval", MAKE_VHOSTS.format(user=USER, names=names))
    return server.url_of(vhosts.pop())


class RabbitBench:
    """Buses on one virtual host."""

    def __init__(self, url: str, *, pause_s: float, stop_within_s: float) -> None:
        self._url = url
        self._pause_s = pause_s
        self._stop_within_s = stop_within_s

    async def bus(self, *, attempts_max: int = ATTEMPTS_MAX) -> RabbitBus:
        """A bus as a process has it, not yet started."""
        return RabbitBus(
            self._url, clock=SystemClock(), attempts_max=attempts_max, pause_s=self._pause_s, stop_within_s=self._stop_within_s
        )

    async def kill(self, bus: Bus) -> None:
        """Its handlers end where they are, and its connections are gone before it could say anything."""
        assert isinstance(bus, RabbitBus)
        tasks = [task for subscription in bus._subscriptions for task in subscription._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bus._close_lines()

    async def put(self, queue: str, data: bytes) -> None:
        """Bytes that a stranger puts into a queue."""
        connection = await aio_pika.connect(self._url)
        async with connection, connection.channel(on_return_raises=True) as channel:
            await channel.default_exchange.publish(aio_pika.Message(data), queue)


@contextlib.asynccontextmanager
async def on_rabbitmq(request: pytest.FixtureRequest, *, pause_s: float, stop_within_s: float) -> AsyncIterator[RabbitBench]:
    """The bus on RabbitMQ."""
    server = request.getfixturevalue("rabbitmq")
    yield RabbitBench(prepared_vhost(server), pause_s=pause_s, stop_within_s=stop_within_s)
