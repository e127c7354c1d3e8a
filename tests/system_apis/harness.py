"""Run a vendor simulator over real HTTP and call a card's operations on it."""

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from canonical.messages import Command
from system_apis.connector import Call, Connector

NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI app on a free port of 127.0.0.1 and give its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; else every answer waits 40 ms for the delayed ACK
    config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1, http="httptools")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0)
        if task.done():
            task.result()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


class Bench:
    """One connection to one simulator: ask commands of the card as the system layer would."""

    def __init__(self, card: Connector, settings: Any, connection: str = "vendor") -> None:
        self.card = card
        self.settings = settings
        self.client = card.client(settings)
        self.connection = connection

    def call(self, key: str, *, entity: str = "US01", correlation_id: str = "q2c-test", now: dt.datetime = NOW) -> Call:
        return Call(
            client=self.client,
            settings=self.settings,
            connection=self.connection,
            key=key,
            correlation_id=correlation_id,
            entity=entity,
            now=now,
        )

    async def ask(self, command: Command[Any], key: str = "process/K-1/step", **options: Any) -> Any:
        """Run the command's operation once."""
        return await self.card.does[type(command)].run(self.call(key, **options), command)

    async def find(self, command: Command[Any], key: str = "process/K-1/step", **options: Any) -> Any:
        """Run the command's `find`."""
        find = self.card.does[type(command)].find
        assert find is not None
        return await find(self.call(key, **options), command)

    async def aclose(self) -> None:
        await self.client.aclose()
