"""The doors that the demo knocks at: the gateway's HTTP routes, as a patient caller uses them, and the simulated vendors'.

A patient caller keeps its Idempotency-Key and asks again when the gateway is away, busy, or has left it without an answer. What the
gateway refuses comes back as its problem document.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from canonical.failures import Failure, OutcomeUnknown, Throttled, Unavailable
from gateway.simulated import SIMULATORS, address
from policies.problems import TYPE_PREFIX
from runtime.clock import Clock
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable
from system_apis.simulation import Effect, Fault

Shape = TypeVar("Shape")
LATER = (Throttled, Unavailable, OutcomeUnknown)
AGAIN = {"idempotency-key-in-flight", "conflict"}
ANSWER_WITHIN_S = 15.0
PATIENCE_S = 90.0
PAUSE_S = 0.25


class TooLate(Exception):
    """Something did not come in time, or has stopped for good."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One of the errors of a problem document."""

    pointer: str = ""
    detail: str = ""
    code: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document, as far as the demo reads it."""

    type: str = ""
    status: int = 0
    detail: str = ""
    errors: tuple[Entry, ...] = ()
    correlation_id: str = ""

    @property
    def code(self) -> str:
        return self.type.removeprefix(TYPE_PREFIX)


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the three layers are served; one address for all of them where one process serves them."""

    process: str
    experience: str
    system: str

    def of(self, path: str) -> str:
        """The layer to which a path belongs."""
        return {"process": self.process, "experience": self.experience}.get(path.split("/")[1], self.system)


class Door:
    """The gateway, seen from outside. ``token(name)`` is the access token of a person or program."""

    def __init__(self, addresses: Addresses, token: Callable[[str], str], clock: Clock, *, patience_s: float = PATIENCE_S) -> None:
        self._addresses = addresses
        self._token = token
        self._clock = clock
        self._patience_s = patience_s
        bases = {addresses.process, addresses.experience, addresses.system}
        self._clients = {base: HttpClient(base, failures=FailureTable({}), deadline_s=ANSWER_WITHIN_S) for base in bases}

    async def get(self, path: str, shape: type[Shape], **params: str) -> Shape:
        """Read something. Raises `TooLate` where it cannot be read."""
        answer = await self._asked("GET", path, shape, "demo", params=params)
        if isinstance(answer, Refusal):
            raise TooLate(f"GET {path} is refused: {answer.status} {answer.detail}")
        return answer

    async def post(
        self, path: str, body: Any, shape: type[Shape], *, by: str = "demo", key: str = "", content_type: str = "application/json"
    ) -> Shape | Refusal:
        """Hand something in, as often as it takes, under one key. Bytes are sent as they are."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Content-Type": content_type, **({"Idempotency-Key": key} if key else {})}
        return await self._asked("POST", path, shape, by, content=content, headers=headers)

    async def _asked(
        self, method: str, path: str, shape: type[Shape], by: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Shape | Refusal:
        client = self._clients[self._addresses.of(path)]
        sent = {"Authorization": f"Bearer {self._token(by)}", **(headers or {})}
        until_s = self._clock.monotonic_s() + self._patience_s
        while True:
            try:
                answer = await client.send(method, path, headers=sent, **options)
            except LATER as later:
                why: Failure = later
            except Failure as failure:
                refusal = _refusal(failure)
                if refusal.code not in AGAIN:
                    return refusal
                why = failure
            else:
                found: Shape = answer.decode(shape)
                return found
            if self._clock.monotonic_s() >= until_s:
                raise TooLate(f"{method} {path}: {why.detail}")
            await self._clock.sleep(max(PAUSE_S, min(why.retry_after_s or 0.0, 5.0)))

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()


def _refusal(failure: Failure) -> Refusal:
    try:
        return msgspec.json.decode(failure.raw, type=Refusal)
    except msgspec.DecodeError:  # not a problem document, or one that is cut: what is known of it
        return Refusal(detail=failure.detail)


class Vendors:
    """The simulated vendors: what their people do there, the troubles that they are told to make, and their own books."""

    def __init__(self, base: str) -> None:
        names = enumerate(simulator.name for simulator in SIMULATORS)
        self._clients = {name: HttpClient(address(base, at), failures=FailureTable({}), deadline_s=ANSWER_WITHIN_S) for at, name in names}

    async def act(self, vendor: str, name: str, **wish: Any) -> dict[str, Any]:
        """A person at the vendor does something. Raises `TooLate` where the vendor says no."""
        answer = await self._clients[vendor].send("POST", f"/_sim/do/{name}", json=wish)
        told: dict[str, Any] = answer.decode(dict[str, Any])
        if "error" in told:
            raise TooLate(f"{vendor} does not {name.replace('_', ' ')}: {told['error']}")
        return told

    async def plan(self, vendor: str, fault: Fault) -> None:
        """Plan a fault."""
        await self._clients[vendor].send("POST", "/_sim/faults", json=fault)

    async def ledgers(self) -> dict[str, list[Effect]]:
        """Every vendor's committed effects."""
        return {name: (await client.send("GET", "/_sim/ledger")).decode(list[Effect]) for name, client in self._clients.items()}

    async def records(self, vendor: str, collection: str) -> list[dict[str, Any]]:
        """All records of a collection."""
        answer = await self._clients[vendor].send("GET", f"/_sim/records/{collection}")
        found: list[dict[str, Any]] = answer.decode(list[dict[str, Any]])
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()
