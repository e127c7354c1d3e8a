"""The one order in which policies run: trace → problems → limits → (mTLS) → JWT → tenancy → (version) → idempotency.

Idempotency is last, so that a stored answer only goes to its owner. The policies in brackets come with the complete set; their places are
here. A route that declares nothing is refused at start-up (`refuse_undeclared`). Policies only raise; `policies.problems.handle`, which
Litestar also calls for what no route serves, turns that into documents.
"""

from collections.abc import Iterable
from typing import Any

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.routes import WebSocketRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from policies import bodies, idempotency, limits
from policies.declare import Policies, policies_of
from policies.incoming import incoming
from policies.jwt import Caller, Verifier, require_scope
from policies.problems import not_served
from runtime.context import Context, working_in
from runtime.house import House, collecting
from runtime.store.contract import IdempotencyRecord

NOBODY = Caller(subject="", client="", tenant="default", scopes=frozenset(), expires_at=0.0)
JSON = "application/json"


class Enforcer(ASGIMiddleware):
    """Runs around every route of an application."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, house: House, verifier: Verifier) -> None:
        self._house = house
        self._verifier = verifier
        self._in_flight: set[tuple[str, str, str]] = set()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """One request through all policies."""
        method = str(scope["method"])  # type: ignore[typeddict-item]
        policies = policies_of(scope["route_handler"])
        if policies is None or method == "OPTIONS":  # Litestar adds OPTIONS handlers of its own to every route
            raise not_served(scope, _methods(scope))
        asked = incoming(scope)
        headers = asked.headers
        bodiless = method in limits.BODILESS
        if not bodiless:
            limits.check_type(headers, policies)
            limits.check_declared_length(headers, policies.body_bytes_max)
        caller = await self._verifier.verify(headers.get("authorization", "")) if policies.signed_by == "jwt" else NOBODY
        require_scope(caller, policies.scope)
        body, tree = b"", None
        if not bodiless:
            body = await limits.read_body(receive, policies.body_bytes_max)
            if JSON in policies.content_types and (body or scope["route_handler"].parsed_data_field is not None):
                tree = bodies.parsed(body)
            receive = limits.again(body, receive)
        context = Context(tenant=caller.tenant, correlation_id=asked.correlation_id, traceparent=asked.traceparent, actor=caller.subject)
        with working_in(context):
            key = ""
            if policies.idempotency != "none":
                key = idempotency.read_key(headers.get("idempotency-key"), required=policies.idempotency == "required")
            if not key:
                await next_app(scope, receive, send)
                return
            request = idempotency.Request(
                tenant=caller.tenant,
                scope=f"{caller.client} {method} {scope['path_template']}",
                key=key,
                fingerprint=idempotency.fingerprint(
                    method, str(scope["path"]), scope["query_string"].decode("latin-1"), caller.tenant, caller.subject, body=body, tree=tree
                ),
            )
            await self._once(request, scope, receive, send, next_app)

    async def _once(self, request: idempotency.Request, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        name = (request.tenant, request.scope, request.key)
        if name in self._in_flight:
            raise idempotency.in_flight()
        self._in_flight.add(name)  # before the look into the store, so that of twins in this process only one does the work
        try:
            known = await idempotency.replayed(self._house, request)
            if known is None:
                answer = _Captured()
                with collecting() as writes:
                    await next_app(scope, receive, answer)
                ScopeState.from_scope(scope).response_started = False  # it is held back: a commit that fails is still told as a problem
                if answer.status < 300:
                    known = await idempotency.keep(self._house, request, answer.status, answer.headers, answer.body, writes)
                if known is None:
                    for message in answer.messages:
                        await send(message)
                    return
            await _replay(send, known)
        finally:
            self._in_flight.discard(name)


class _Captured:
    """An answer that is held back until what it promises is committed."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages if message["type"] == "http.response.body")


async def _replay(send: Send, known: IdempotencyRecord) -> None:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in known.headers.items()]
    pairs += [(b"content-length", str(len(known.body)).encode()), (b"idempotency-replayed", b"true")]
    await send({"type": "http.response.start", "status": known.status, "headers": pairs})
    await send({"type": "http.response.body", "body": known.body, "more_body": False})


def _methods(scope: Scope) -> set[str]:
    """What the path of a request serves."""
    template = scope["path_template"]
    return {str(method) for route in scope["litestar_app"].routes if route.path_format == template for method in _methods_of(route)}


def _methods_of(route: Any) -> Iterable[Any]:
    return getattr(route, "methods", ())


def declared(app: Litestar) -> list[tuple[str, str, str, Policies | None]]:
    """Every route of an application, in order: path, method, handler name, and what it promises."""
    return sorted(_declared(app), key=lambda row: row[:3])


def _declared(app: Litestar) -> Iterable[tuple[str, str, str, Policies | None]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", [getattr(route, "route_handler", None)]):
            for method in getattr(handler, "http_methods", {"ASGI"}):
                if method != "OPTIONS":
                    yield route.path, str(method), handler.handler_name, policies_of(handler)


def undeclared(app: Litestar) -> list[str]:
    """What is wrong with the declarations of the routes, a line each; nothing where all is well."""
    faults = [f"{route.path} is a web socket, around which no policy runs" for route in app.routes if isinstance(route, WebSocketRoute)]
    for path, method, _, policies in declared(app):
        if policies is None:
            faults.append(f"{method} {path} declares no policies")
        elif policies.signed_by == "jwt" and not policies.scope:
            faults.append(f"{method} {path} takes any token: it declares no scope")
    return faults


def refuse_undeclared(app: Litestar) -> None:
    """Raises `TypeError` at start-up when a route declares no policies, or ones that would not hold."""
    faults = undeclared(app)
    if faults:
        raise TypeError("; ".join(faults))
