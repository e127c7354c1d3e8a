"""A small shop behind the real policies, on a real store: what the tests of the policies talk to."""

import asyncio
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import msgspec
from litestar import Litestar, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from canonical.failures import Failure, Rejected
from canonical.messages import Accepted, Command
from canonical.money import Money
from gateway.application import Health, application
from policies.declare import EDGE, PUBLIC, WEBHOOK
from policies.development_issuer import AUDIENCE, ISSUER, DevelopmentIssuer
from policies.jwt import Verifier
from policies.problems import Problem
from policies.providing import provided
from runtime.bus.wire import Envelope
from runtime.clock import SetClock
from runtime.context import current
from runtime.house import House
from runtime.store.contract import IdempotencyRecord, PutIdempotency, Send, Store, Unit

LIMIT = 1024 * 1024
WRITE = EDGE.but(scope="shop:write", idempotency="required", body_bytes_max=LIMIT)
READ = EDGE.but(scope="shop:read")


class Buy(Command[Accepted], frozen=True, kw_only=True):
    """Buy something; what the shop sends on."""

    port = "shop_of_the_tests"
    item: str


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line."""

    total: Money
    count: int = 1


class Purchase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is bought."""

    item: str
    lines: tuple[Line, ...] = ()
    kind: Literal["new", "used"] = "new"
    notes: dict[str, Money] = {}


class Publisher:
    """Remembers what it was told to send."""

    def __init__(self) -> None:
        self.sent: list[Send] = []

    async def publish_now(self, sends: list[Send]) -> None:
        self.sent += sends


class Bus:
    """Answers questions as it was told to."""

    def __init__(self) -> None:
        self.answers: Callable[[Envelope], Envelope] = lambda letter: letter
        self.asked: list[Envelope] = []

    async def ask(self, _queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        self.asked.append(letter)
        return self.answers(letter)


class Journal:
    """What the routes did, and gates to hold them up."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.business_key = ""


@post("/purchases", status_code=202, opt=WRITE.opt)
async def buy(data: JSONBody[Purchase], house: NamedDependency[House], journal: NamedDependency[Journal]) -> dict[str, Any]:
    """Buy."""
    journal.entered.set()
    await journal.gate.wait()
    journal.done.append(data.item)
    if journal.business_key:
        await house.write(PutIdempotency(business_record(journal.business_key)))
    await house.send(Buy(item=data.item))
    if journal.failure is not None:
        raise journal.failure
    return {"item": data.item, "times": len(journal.done), "by": current().actor, "correlation_id": current().correlation_id}


@post("/purchases/{purchase_id:str}/returns", status_code=202, opt=WRITE.but(idempotency="optional").opt)
async def give_back(
    purchase_id: FromPath[str], data: JSONBody[Purchase], house: NamedDependency[House], journal: NamedDependency[Journal]
) -> dict[str, str]:
    """Give back."""
    journal.done.append(f"return of {purchase_id}")
    await house.send(Buy(item=data.item))
    return {"purchase": purchase_id}


@get("/purchases/{purchase_id:str}", opt=READ.opt)
async def one(purchase_id: FromPath[str]) -> dict[str, str]:
    """One purchase; three of its names are there to go wrong."""
    if purchase_id == "missing":
        raise Problem(404, "purchase_unknown", "no such purchase", hint="look elsewhere")
    if purchase_id == "forbidden":
        raise Rejected("not_this_one", "rules say no", pointer="/purchase~id")
    return {"id": purchase_id}


@get("/purchases", opt=READ.opt)
async def listed(
    journal: NamedDependency[Journal],
    limit: Annotated[int, QueryParameter(ge=1, le=10)] = 5,
    kind: FromQuery[Literal["new", "used"]] = "new",
) -> list[str]:
    """Some purchases."""
    if journal.failure is not None:
        raise journal.failure
    return [f"{limit} {kind}"]


@delete("/purchases/{purchase_id:str}", opt=READ.opt, status_code=204)
async def forget(purchase_id: FromPath[str]) -> None:
    """Forget one."""


@post("/hooks", status_code=200, opt=WEBHOOK.opt)
async def hook(request: Request[Any, Any, Any]) -> dict[str, int]:
    """Take anything."""
    return {"bytes": len(await request.body())}


@get("/open", opt=PUBLIC.opt)
async def opened() -> dict[str, str]:
    """Open to everybody."""
    return {"correlation_id": current().correlation_id}


ROUTES: tuple[Any, ...] = (buy, give_back, one, listed, forget, hook, opened)


def business_record(key: str) -> IdempotencyRecord:
    """A business key that is taken for good."""
    now = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
    return IdempotencyRecord(
        tenant="default",
        scope="business:purchase",
        key=key,
        fingerprint="f",
        status=202,
        headers={},
        body=b"",
        created_at=now,
        expires_at=now + dt.timedelta(days=36500),
    )


class FailingStore:
    """A store whose next commits fail, in the way they are told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failures: list[Failure] = []
        self.after: list[Failure] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, unit: Unit) -> None:
        if self.failures:
            raise self.failures.pop()
        await self._store.commit(unit)
        if self.after:
            raise self.after.pop()


class Shop:
    """One process of the shop: its application, and what is behind it."""

    def __init__(self, store: Store, folder: Path, clock: SetClock, handlers: Sequence[Any] = ROUTES) -> None:
        self.store = FailingStore(store)
        self.clock = clock
        self.publisher = Publisher()
        self.bus = Bus()
        self.journal = Journal()
        self.names = {Buy.wire_name(): "process.buying"}
        self.house = House(self.store, self.bus, self.publisher, clock, routes=self.names, desks=self.names)  # type: ignore[arg-type]
        self.issuer = DevelopmentIssuer(folder)
        self.verifier = Verifier(ISSUER, AUDIENCE, self.issuer.keys)
        self.app: Litestar = application(
            handlers,
            provided(house=self.house, journal=self.journal),
            house=self.house,
            verifier=self.verifier,
            health=Health(ready=self._ready, concerns=self._concerns),
            version="0",
        )

    async def _concerns(self) -> tuple[str, ...]:
        return ()

    async def _ready(self) -> dict[str, bool]:
        return {"store": True}

    def token(self, subject: str = "crm", scopes: str = "shop:read shop:write") -> str:
        return self.issuer.mint(subject, scopes=scopes)

    def caller(self, subject: str = "crm", scopes: str = "shop:read shop:write") -> httpx.AsyncClient:
        """An HTTP client with a token. Whatever escapes the application fails the test."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),  # type: ignore[arg-type]  # ASGI, in other words for its types
            base_url="http://shop",
            headers={"authorization": f"Bearer {self.token(subject, scopes)}"},
        )

    async def buy(self, key: str | None = None, body: Any = None, *, by: str = "crm", path: str = "/purchases") -> httpx.Response:
        """Buy something under a key."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body or {"item": "chair"})
        headers = {"content-type": "application/json", "idempotency-key": secrets.token_hex(8) if key is None else key}
        async with self.caller(by) as client:
            return await client.post(path, content=content, headers=headers)


@asynccontextmanager
async def lifespan(shop: Shop) -> AsyncIterator[Shop]:
    """The application started, as a server would."""
    async with shop.app.lifespan():
        yield shop


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The document of a refusal, after checking what all of them have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert set(document) >= {"type", "title", "status", "detail", "instance", "correlation_id"}
    assert document["type"] == f"urn:q2c:problem:{code.replace('_', '-')}"
    assert document["status"] == status
    assert document["detail"]
    assert document["correlation_id"] == answer.headers["x-correlation-id"]
    assert answer.headers.get_list("x-correlation-id") == [document["correlation_id"]]
    return document


def pointers(answer: httpx.Response) -> list[str]:
    """Where a refusal points to."""
    return [error["pointer"] for error in answer.json()["errors"]]
