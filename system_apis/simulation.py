"""What all vendor simulators share: kept state, a ledger of committed effects, faults on demand, webhooks, and a clock.

A simulator is a Litestar app that speaks the vendor's real wire format. It is made by ``simulator(name, route_handlers, …)`` below, which
wraps it in the fault layer and adds the control routes under ``/_sim``:

========================  =====================================================================================
``GET /_sim/ledger``      every committed effect: kind, business key, record id, vendor idempotency key
``GET /_sim/records/{c}`` all records of a collection
``POST /_sim/faults``     plan a `Fault`; ``DELETE`` forgets them all
``POST /_sim/do/{name}``  an act of a person at the vendor, e.g. post an invoice (declared per vendor)
========================  =====================================================================================
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from litestar import Litestar, Request, Response, delete, get, post
from litestar.enums import ScopeType
from litestar.params import FromPath, JSONBody
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from canonical.failures import Failure
from runtime.clock import Clock, SystemClock
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable

FaultKind = Literal[
    "throttle",  # 429, with Retry-After where retry_after_s is set; nothing done
    "server_error",  # 500 before anything is done
    "server_error_after_write",  # 500, although it was done
    "timeout_after_write",  # done, but the answer never comes (after delay_s the connection is dropped)
    "drop_field",  # the vendor answers as if all was well and does not keep `field`
    "closed_period",  # the vendor refuses the date, in its own words
    "malformed",  # done, but the answer is not what is documented
    "slow",  # answers after delay_s
    "late_webhook",  # the next webhook waits until POST /_sim/do/release_webhooks
    "swap_webhooks",  # the next two webhooks arrive in the wrong order
]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A misbehaviour, for the next ``times`` requests whose "METHOD /path" contains ``on`` (a regular expression; empty: any)."""

    kind: FaultKind
    on: str = ""
    times: int = 1
    retry_after_s: float | None = None
    delay_s: float = 0.0
    field: str = ""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One committed effect, as the vendor's own books have it. ``business_key`` is what a person would call it (ORD-1001)."""

    seq: int
    kind: str
    business_key: str
    record_id: str
    idempotency_key: str = ""
    amount: str = ""
    currency: str = ""


class Simulation:
    """The state of one simulated vendor account; survives a restart when it is given a file (JSON lines, appended)."""

    def __init__(self, name: str, *, clock: Clock | None = None, path: Path | None = None) -> None:
        self.name = name
        self.clock = clock or SystemClock()
        self.faults: list[Fault] = []
        self.ledger: list[Effect] = []
        self.webhook_url = ""
        self._records: dict[str, dict[str, dict[str, Any]]] = {}
        self._numbers: dict[str, int] = {}
        self._held: list[tuple[bytes, Mapping[str, str]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = HttpClient("", failures=FailureTable({}), deadline_s=5)
        self._path = path
        if path is not None and path.exists():
            self._replay(path.read_bytes())

    # records ---------------------------------------------------------------------------------------------------------

    def number(self, sequence: str, start: int = 1) -> int:
        """The next number of a sequence."""
        self._numbers[sequence] = self._numbers.get(sequence, start - 1) + 1
        self._append({"number": sequence, "value": self._numbers[sequence]})
        return self._numbers[sequence]

    def put(self, collection: str, record_id: str, record: dict[str, Any]) -> dict[str, Any]:
        """Keep a record (a planned ``drop_field`` bites here: the field is silently lost)."""
        lost = self.take("drop_field", f"PUT /{collection}")
        kept = {k: v for k, v in record.items() if lost is None or k != lost.field}
        self._records.setdefault(collection, {})[record_id] = kept
        self._append({"collection": collection, "id": record_id, "record": kept})
        return kept

    def get(self, collection: str, record_id: str) -> dict[str, Any] | None:
        return self._records.get(collection, {}).get(record_id)

    def all(self, collection: str) -> list[dict[str, Any]]:
        """The records of a collection, oldest first."""
        return list(self._records.get(collection, {}).values())

    def find(self, collection: str, **fields: Any) -> dict[str, Any] | None:
        """The first record whose fields have these values."""
        return next((r for r in self.all(collection) if all(r.get(k) == v for k, v in fields.items())), None)

    def commit(
        self, kind: str, business_key: str, record_id: str, *, idempotency_key: str = "", amount: str = "", currency: str = ""
    ) -> None:
        """Write an effect into the vendor's own books."""
        effect = Effect(
            seq=len(self.ledger) + 1,
            kind=kind,
            business_key=business_key,
            record_id=record_id,
            idempotency_key=idempotency_key,
            amount=amount,
            currency=currency,
        )
        self.ledger.append(effect)
        self._append({"effect": msgspec.to_builtins(effect)})

    # faults ----------------------------------------------------------------------------------------------------------

    def take(self, kind: FaultKind, request: str) -> Fault | None:
        """Use up one planned fault of this kind that fits the request ("METHOD /path")."""
        for fault in self.faults:
            if fault.kind == kind and fault.times > 0 and re.search(fault.on, request):
                fault.times -= 1
                return fault
        return None

    # webhooks --------------------------------------------------------------------------------------------------------

    def push(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a webhook in the background; planned faults make it late or swap it with the next."""
        if self.take("late_webhook", "webhook"):
            self._held.append((body, headers))
            return
        if self.take("swap_webhooks", "webhook"):
            self._held.insert(0, (body, headers))
            return
        self._send(body, headers)
        if self._held:
            self.release_webhooks()

    def release_webhooks(self) -> int:
        """Send what was held back, in reverse order of its making; returns how many."""
        held, self._held = self._held[::-1], []
        for body, headers in held:
            self._send(body, headers)
        return len(held)

    def _send(self, body: bytes, headers: Mapping[str, str]) -> None:
        if not self.webhook_url:
            return
        task = asyncio.get_running_loop().create_task(self._deliver(body, headers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, body: bytes, headers: Mapping[str, str]) -> None:
        for wait_s in (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0):
            await self.clock.sleep(wait_s)
            try:
                await self._http.send("POST", self.webhook_url, content=body, headers=headers)
            except Failure:  # as a vendor does: try again later, give up after the last time
                continue
            return

    async def aclose(self) -> None:
        """Stop sending webhooks and close the connection to the receiver."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    # persistence -----------------------------------------------------------------------------------------------------

    def _append(self, line: dict[str, Any]) -> None:
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")

    def _replay(self, lines: bytes) -> None:
        for raw in lines.splitlines():
            line = msgspec.json.decode(raw)
            if "effect" in line:
                self.ledger.append(msgspec.convert(line["effect"], Effect))
            elif "number" in line:
                self._numbers[line["number"]] = line["value"]
            else:
                self._records.setdefault(line["collection"], {})[line["id"]] = line["record"]


Act = Callable[[Simulation, dict[str, Any]], Awaitable[dict[str, Any]]]


class FaultLayer:
    """ASGI middleware that plays the planned faults around the simulator's own routes."""

    def __init__(self, app: ASGIApp, simulation: Simulation) -> None:
        self._app = app
        self._sim = simulation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or str(scope["path"]).startswith("/_sim"):
            await self._app(scope, receive, send)
            return
        http: HTTPScope = scope
        request = f"{http['method']} {http['path']}"
        if slow := self._sim.take("slow", request):
            await self._sim.clock.sleep(slow.delay_s)
        if throttle := self._sim.take("throttle", request):
            seconds = throttle.retry_after_s
            await _answer(send, 429, b'{"error":"too many requests"}', {} if seconds is None else {"retry-after": f"{seconds:g}"})
        elif self._sim.take("server_error", request):
            await _answer(send, 500, b'{"error":"internal error"}', {})
        elif self._sim.take("server_error_after_write", request):
            await self._app(scope, receive, _nothing)
            await _answer(send, 500, b'{"error":"internal error"}', {})
        elif lost := self._sim.take("timeout_after_write", request):
            await self._app(scope, receive, _nothing)
            await self._sim.clock.sleep(lost.delay_s)
            await _break_off(send)
        elif self._sim.take("malformed", request):
            await self._app(scope, receive, _nothing)
            await _answer(send, 200, b"<html><body>It works!</body></html>", {"content-type": "text/html"})
        else:
            await self._app(scope, receive, send)


async def _nothing(_message: Any) -> None:
    """Swallow an answer that the client shall not see."""


async def _answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    pairs = [(k.encode(), v.encode()) for k, v in {"content-type": "application/json", **headers}.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*pairs, (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _break_off(send: Send) -> None:
    """Promise a body and end without it: the server drops the connection and the client cannot know what happened."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


def simulator(
    simulation: Simulation,
    route_handlers: Sequence[Any],
    *,
    acts: Mapping[str, Act] | None = None,
    exception_handlers: Mapping[Any, Any] | None = None,
) -> ASGIApp:
    """The whole simulator: the vendor's routes, the control routes, and the fault layer around them."""
    app = Litestar(
        route_handlers=[*route_handlers, *_control(simulation, dict(acts or {}))],
        exception_handlers=dict(exception_handlers or {}),
        openapi_config=None,
        logging_config=None,
        on_shutdown=[simulation.aclose],
    )
    app.state.simulation = simulation
    return FaultLayer(app, simulation)


def _control(simulation: Simulation, acts: Mapping[str, Act]) -> list[Any]:
    @get("/_sim/ledger")
    async def ledger() -> list[Effect]:
        return simulation.ledger

    @get("/_sim/records/{collection:str}")
    async def records(collection: FromPath[str]) -> list[dict[str, Any]]:
        return simulation.all(collection)

    @post("/_sim/faults")
    async def plan(data: JSONBody[Fault]) -> Fault:
        simulation.faults.append(data)
        return data

    @delete("/_sim/faults")
    async def forget() -> None:
        simulation.faults.clear()

    @post("/_sim/do/{name:str}", status_code=200)
    async def act(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        body = await request.body()
        if name == "release_webhooks":
            return Response({"released": simulation.release_webhooks()})
        if name not in acts:
            return Response({"error": f"{simulation.name} has no act {name!r}; it has {sorted(acts)}"}, status_code=404)
        return Response(await acts[name](simulation, msgspec.json.decode(body) if body else {}))

    return [ledger, records, plan, forget, act]
