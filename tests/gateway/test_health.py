"""Health: alive and ready are two things."""

from pathlib import Path

import httpx

from canonical.failures import Unavailable
from gateway.compose import Gateway
from gateway.settings import load
from runtime.clock import SystemClock
from runtime.store.engine import SqlStore


class Away(SqlStore):
    """A store whose database is down."""

    def __init__(self) -> None:
        """Nothing is opened."""

    async def cursor(self, name: str) -> str:
        raise Unavailable("store_down")

    async def seen(self, consumer: str, message_id: str) -> bool:
        raise Unavailable("store_down")


async def test_without_its_store_a_gateway_is_alive_and_not_ready(tmp_path: Path) -> None:
    """While the database is away /health/live is 200 and /health/ready 503: it takes no work and need not be restarted (O3)."""
    gateway = Gateway(load(None, base={"data": str(tmp_path)}, environment={}), store=Away())
    transport = httpx.ASGITransport(app=gateway.app())  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        live, ready = await http.get("/health/live"), await http.get("/health/ready")
    assert (live.status_code, ready.status_code) == (200, 503)
    assert ready.json()["parts"] == {"store": False, "bus": False, "work": False}


async def test_a_store_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """A part that is started before its database waits for it, longer and longer, and does not end (P14)."""
    waited: list[float] = []

    class Late(Away):
        async def start(self) -> None:
            if len(waited) < 7:
                raise Unavailable("store_down", "nobody there")

        async def stop(self) -> None:
            """Nothing is open."""

    class Watched(SystemClock):
        async def sleep(self, seconds: float) -> None:
            waited.append(seconds)

    gateway = Gateway(load(None, base={"data": str(tmp_path)}, environment={}), store=Late(), clock=Watched())
    await gateway._store_up()
    assert waited == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
