"""The one order in which policies run: trace → problems → limits → (mTLS) → JWT → tenancy → (version) → idempotency.

Idempotency is last, so that a stored answer only goes to its owner. The policies in brackets come with the complete set; their places are
here. A route that declares nothing is refused at start-up (`refuse_undeclared`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from policies import idempotency, limits, problems, tracing
from policies.declare import Policies, policies_of
from policies.jwt import Caller, Verifier, require_scope
from policies.problems import Problem
from runtime.context import Context, working_in
from runtime.house import House, collecting
from runtime.store.contract import IdempotencyRecord

NOBODY = Caller(subject="", client="", tenant="default", scopes=frozenset(), expires_at=0.0)


class Enforcer(ASGIMiddleware):
    """Runs around every route of an application."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, house: House, verifier: Verifier) -> None:
        self._house = house
        self._verifier = verifier
        self._in_flight: set[tuple[str, str, str]] = set()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """One request through all policies; whatever is raised becomes a problem document."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        context = Context(
            correlation_id=tracing.correlation_id(headers.get("x-correlation-id", "")),
            traceparent=tracing.traceparent(headers.get("traceparent", "")),
        )
        with working_in(context):
            traced = _with_headers(send, {"x-correlation-id": context.correlation_id})
            try:
                await self._admitted(scope, receive, traced, next_app, headers, context)
            except (Problem, UnicodeDecodeError) as refusal:
                await _respond(scope, receive, traced, refusal)

    async def _admitted(
        self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp, headers: Mapping[str, str], context: Context
    ) -> None:
        policies = policies_of(scope["route_handler"]) or Policies(profile="undeclared", scope="undeclared")
        method = str(scope["method"])  # type: ignore[typeddict-item]
        limits.check_type(method, headers, policies)
        caller = await self._verifier.verify(headers.get("authorization", "")) if policies.signed_by == "jwt" else NOBODY
        require_scope(caller, policies.scope)
        body = b"" if method in limits.BODILESS else await limits.read_body(receive, headers, policies.body_bytes_max)
        replay = limits.again(body, receive)
        full = msgspec.structs.replace(context, tenant=caller.tenant, actor=caller.subject)
        with working_in(full):
            if policies.idempotency == "none":
                await next_app(scope, replay, send)
                return
            key = idempotency.read_key(headers.get("idempotency-key"), required=policies.idempotency == "required")
            if not key:
                await next_app(scope, replay, send)
                return
            asked = idempotency.Request(
                tenant=caller.tenant,
                scope=f"{caller.client} {method} {scope['route_handler'].opt.get('operation') or scope['path']}",
                key=key,
                fingerprint=idempotency.fingerprint(method, str(scope["path"]), caller.tenant, body),
            )
            await self._once(asked, scope, replay, send, next_app)

    async def _once(self, asked: idempotency.Request, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        name = (asked.tenant, asked.scope, asked.key)
        known = await idempotency.replayed(self._house, asked)
        if known is not None:
            await _replay(send, known)
            return
        if name in self._in_flight:
            raise Problem(
                409, "idempotency_key_in_flight", "the first request with this key is still at work", headers={"Retry-After": "1"}
            )
        self._in_flight.add(name)
        try:
            with collecting() as writes:
                answer = _Captured()
                await next_app(scope, receive, answer)
            if answer.status < 300:
                known = await idempotency.keep(self._house, asked, answer.status, answer.headers, answer.body, writes)
                if known is not None:
                    await _replay(send, known)
                    return
            for message in answer.messages:
                await send(message)
        finally:
            self._in_flight.discard(name)


class _Captured:
    """An answer that is held back until what it promises is committed."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message["body"]


def _with_headers(send: Send, extra: Mapping[str, str]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *((n.encode(), v.encode()) for n, v in extra.items())]
        await send(message)

    return sending


async def _replay(send: Send, known: IdempotencyRecord) -> None:
    pairs = [(n.encode(), v.encode()) for n, v in known.headers.items()]
    pairs += [(b"content-length", str(len(known.body)).encode()), (b"idempotency-replayed", b"true")]
    await send({"type": "http.response.start", "status": known.status, "headers": pairs})
    await send({"type": "http.response.body", "body": known.body, "more_body": False})


async def _respond(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    response = problems.of(error, instance=str(scope["path"]))
    request: Request[Any, Any, Any] = Request(scope, receive)
    app = response.to_asgi_response(None, request)
    await app(scope, receive, send)


def undeclared(app: Litestar) -> list[str]:
    """The routes that declare no policies."""
    return [f"{method} {path}" for path, method, _, policies in declared(app) if policies is None]


def declared(app: Litestar) -> Iterable[tuple[str, str, str, Policies | None]]:
    """Every route of an application: path, method, handler name, and what it promises."""
    for route in sorted(app.routes, key=lambda route: route.path):
        for handler in getattr(route, "route_handlers", [getattr(route, "route_handler", None)]):
            for method in sorted(getattr(handler, "http_methods", {"ASGI"})):
                if method != "OPTIONS":
                    yield route.path, str(method), handler.handler_name, policies_of(handler)


def refuse_undeclared(app: Litestar) -> None:
    """Raises `TypeError` at start-up when a route declares no policies."""
    missing = undeclared(app)
    if missing:
        raise TypeError(f"these routes declare no policies: {', '.join(missing)}")
