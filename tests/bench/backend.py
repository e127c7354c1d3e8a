"""The back ends of all contestants: one process that answers each POST, at once or after ``--after-ms``."""

import argparse
import asyncio
from typing import Any

BODY = b'{"ref":"R-1"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


class BackEnd(asyncio.Protocol):
    """A connection: counts the bytes of each request, and answers it."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            if self._after_s:
                asyncio.get_running_loop().call_later(self._after_s, self._transport.write, ANSWER)
            else:
                self._transport.write(ANSWER)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--after-ms", type=float, default=0.0)
    given = parser.parse_args()
    server = await asyncio.get_running_loop().create_server(lambda: BackEnd(given.after_ms / 1000), "127.0.0.1", given.port)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
