"""Every request is seen from outside all policies: a span, a count, and one line in the log, also where no route serves it."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import start_http_server

from canonical.failures import Misconfigured
from policies.incoming import incoming, within
from runtime import metrics, telemetry
from runtime.clock import Clock
from runtime.context import Context, working_in

log = structlog.get_logger("q2c.http")

UNMATCHED = "unmatched"
NOBODY_THERE = 499  # no answer was begun: the caller had gone, or we are being stopped


@contextmanager
def metrics_shown(host: str, port: int) -> Iterator[int]:
    """Metrics at a port of their own, in a thread of its own; gives the port, 0 where there is to be none."""
    if not port:
        yield 0
        return
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise Misconfigured("port_taken", f"cannot show metrics on {host}:{port} ({error.strerror})") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answer:
    """Remembers the status of what is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = NOBODY_THERE

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def watched(app: ASGIApp, clock: Clock) -> ASGIApp:
    """The application as it was, but seen."""

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        asked, began_s, answer = incoming(scope), clock.monotonic_s(), _Answer(send)
        method = metrics.method(scope["method"])
        context = Context(correlation_id=asked.correlation_id, traceparent=asked.traceparent)
        with telemetry.request_span(method, context=context, known=asked.has_trace, attributes={"http.request.method": method}) as traced:
            if traced is not None:
                within(scope, traced.traceparent)
            with working_in(traced or context):
                try:
                    await app(scope, receive, answer)
                finally:
                    _tell(method, scope.get("path_template") or UNMATCHED, answer.status, clock.monotonic_s() - began_s)

    return watching


def _tell(method: str, route: str, status: int, seconds: float) -> None:
    metrics.requested(route, method, status, seconds)
    telemetry.rename(f"{method} {route}")
    telemetry.note({"http.route": route, "http.response.status_code": status}, failed=status >= 500)
    log.info("request_finished", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
