"""A road to PostgreSQL that can be cut at a chosen word: before it reaches the server, or before the server's answer comes back."""

import asyncio
import contextlib
from typing import Literal, Self

from sqlalchemy import make_url

Cut = Literal["before", "after"]


class Road:
    """Passes bytes on; `cut` arms it once. ``url`` is the database's, by way of the road."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._server: asyncio.Server | None = None
        self._word = b""
        self._how: Cut = "before"
        self._ends: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = True
        self.cuts = 0

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return self._target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)

    def cut(self, word: bytes, how: Cut) -> None:
        """Cut the connection on which the word is sent next."""
        self._word, self._how = word, how

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        back, forth = await asyncio.open_connection(self._target.host, self._target.port)
        self._ends += [writer, forth]
        silent = asyncio.Event()
        with contextlib.suppress(OSError):
            await asyncio.gather(self._to_server(reader, forth, writer, silent), self._to_client(back, writer, forth, silent))
        writer.close()
        forth.close()

    async def _to_server(
        self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter, writer: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self._word and self._word in data:
                self._word = b""
                self.cuts += 1
                if self._how == "before":
                    writer.close()
                    break
                silent.set()
            forth.write(data)
            await forth.drain()
        forth.close()

    async def _to_client(
        self, back: asyncio.StreamReader, writer: asyncio.StreamWriter, forth: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        while data := await back.read(65536):
            if silent.is_set():  # the server has answered, so what was asked is done; the asker does not hear of it
                forth.close()
                break
            writer.write(data)
            await writer.drain()
        writer.close()
