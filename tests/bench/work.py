"""The work that all contestants do: five calls to back ends, one after the other, through the gateway's own HTTP client.

The shapes here need nothing but msgspec and the HTTP client, so that the rivals' environment can import them.
"""

import asyncio
import os
import threading
from typing import Any

import msgspec
import uvloop

from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable

STEPS = ("tax", "erp", "billing", "psa", "crm")
DONE_QUEUE = "bench.done"


class Place(msgspec.Struct, frozen=True):
    """Where everything is: handed to the contestants' processes in the environment."""

    backend: str
    database: str
    broker: str
    in_flight: int = 100

    @classmethod
    def here(cls) -> "Place":
        """As the environment says."""
        return msgspec.json.decode(os.environ["BENCH_PLACE"], type=cls)


class Ref(msgspec.Struct, frozen=True):
    """What a back end answers."""

    ref: str


def client(place: Place) -> HttpClient:
    """The HTTP client of a contestant."""
    return HttpClient(place.backend, failures=FailureTable({}), deadline_s=30)


async def call(http: HttpClient, step: str, order: str, amount: str) -> str:
    """One step at its back end."""
    answer = await http.send("POST", f"/{step}", json={"order": order, "amount": amount}, headers={"Idempotency-Key": f"{order}/{step}"})
    reference: str = answer.decode(Ref).ref
    return reference


class Caller:
    """The same for programs whose code is not asynchronous: one event loop in a thread of its own for the whole process."""

    def __init__(self, place: Place) -> None:
        self._loop = uvloop.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._http = client(place)

    def call(self, step: str, order: str, amount: str) -> Any:
        """Wait for one step."""
        return asyncio.run_coroutine_threadsafe(call(self._http, step, order, amount), self._loop).result()
