"""A collector for OTLP over HTTP, for tests: keeps the spans that it is sent."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A span as it was sent."""

    id: str
    trace: str
    parent: str
    name: str
    kind: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool

    @property
    def correlation_id(self) -> str:
        return str(self.attributes.get("q2c.correlation_id", ""))


class Collector:
    """An ASGI application; answers with ``status``."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.requests = 0
        self.spans: list[Span] = []
        self.bytes = b""
        self.resource: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # type: ignore[comparison-overlap]
            return
        body, more = b"", True
        while more:
            message: Any = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        assert scope["path"] == "/v1/traces"
        self.requests += 1
        if self.status == 200:
            self.bytes += body
            self._keep(ExportTraceServiceRequest.FromString(body))
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-type", b"application/x-protobuf")]})
        await send({"type": "http.response.body", "body": ExportTraceServiceResponse().SerializeToString(), "more_body": False})

    def _keep(self, request: ExportTraceServiceRequest) -> None:
        for of_resource in request.resource_spans:
            self.resource = _plain(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans.extend(_span(sent) for sent in of_scope.spans)

    def named(self, name: str) -> Span:
        """The only span of this name."""
        [found] = [span for span in self.spans if span.name == name]
        return found

    def orphans(self) -> list[Span]:
        """The spans whose parent, or the target of whose link, was never sent."""
        known = {span.id for span in self.spans}
        return [span for span in self.spans if not ({span.parent, *span.links} - {""} <= known)]

    def chain(self, start: Span) -> set[str]:
        """The ids of all spans that hang together with one, by parents and links."""
        neighbours: dict[str, set[str]] = {}
        for span in self.spans:
            for other in {span.parent, *span.links} - {""}:
                neighbours.setdefault(span.id, set()).add(other)
                neighbours.setdefault(other, set()).add(span.id)
        found, rest = {start.id}, [start.id]
        while rest:
            for other in neighbours.get(rest.pop(), set()) - found:
                found.add(other)
                rest.append(other)
        return found


def _span(sent: Sent) -> Span:
    return Span(
        id=sent.span_id.hex(),
        trace=sent.trace_id.hex(),
        parent=sent.parent_span_id.hex(),
        name=sent.name,
        kind=Sent.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_"),
        links=tuple(link.span_id.hex() for link in sent.links),
        attributes=_plain(sent.attributes),
        failed=sent.status.code == Status.STATUS_CODE_ERROR,
    )


def _plain(attributes: Iterable[Any]) -> dict[str, Any]:
    def pairs() -> Iterator[tuple[str, Any]]:
        for attribute in attributes:
            kind = attribute.value.WhichOneof("value")
            yield attribute.key, getattr(attribute.value, kind)

    return dict(pairs())
