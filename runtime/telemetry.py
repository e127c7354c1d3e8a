"""Spans: what happened when and why, for a collector that speaks OTLP over HTTP. Where none is configured nothing is built.

The traceparent of the context is the thread: whatever opens a span takes it as the parent and puts its own in its place, and it travels in
envelopes, instances and outgoing calls. Whether a trace is recorded is decided once, where it begins, before anything is built; without a
collector every traceparent is passed on as it came. Spans carry ids and names; never payloads, never secrets.

A message is linked to its sender and not its child, because it may lie for days, and many may answer one. A link is recorded where its
sender was, so that a chain from quote to cash is recorded as a whole or not at all.
"""

import logging
import os
import re
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from types import TracebackType
from urllib.parse import urlsplit

import msgspec
import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, Status, StatusCode

from canonical.failures import Failure
from runtime import metrics
from runtime.context import Context, current, working_in

log = structlog.get_logger("q2c.telemetry")

EXPORT_WITHIN_S = 3.0
STOP_WITHIN_S = 3.0
EXPORT_EVERY_S = 2.0
SPANS_WAITING_MAX = 4096
TOGETHER_MAX = 512
TEXT_LENGTH_MAX = 256

Attributes = Mapping[str, str | int | bool]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SILENT: AbstractContextManager[Context | None] = nullcontext()
_SPAN: ContextVar[trace.Span | None] = ContextVar("q2c_span", default=None)


class Tracing:
    """The way of the spans of this process to the collector. ``ratio``: the part of the traces that is recorded."""

    def __init__(self, exporter: SpanExporter, *, ratio: float, version: str = "") -> None:
        self.bound = round(ratio * 2**64)
        self._told = _Told(exporter)
        self._batches = BatchSpanProcessor(
            self._told,
            max_queue_size=SPANS_WAITING_MAX,
            schedule_delay_millis=EXPORT_EVERY_S * 1000,
            max_export_batch_size=TOGETHER_MAX,
        )
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # what is not to be recorded is never offered
            resource=Resource.create({"service.name": "q2c-gateway", "service.version": version}),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=TEXT_LENGTH_MAX),
        )
        self._provider.add_span_processor(self._batches)
        self.tracer = self._provider.get_tracer("q2c")

    def flush(self) -> None:
        """Send what waits; blocks."""
        self._batches.force_flush()

    def stop(self) -> None:
        """Send what waits, for a few seconds at most, and record nothing more; blocks."""
        global _tracing  # noqa: PLW0603 - one way out per process, like the log
        if _tracing is self:
            _tracing = None
        stopping = threading.Thread(target=self._batches.shutdown, name="q2c-last-spans", daemon=True)
        stopping.start()
        stopping.join(STOP_WITHIN_S)
        self._told.give_up()


_tracing: Tracing | None = None


def start_tracing(url: str, *, ratio: float, version: str = "") -> Tracing | None:
    """Begin to record, where there is an address of a collector, e.g. ``http://collector:4318``.

    Headers that the collector wants are taken from OTEL_EXPORTER_OTLP_HEADERS; OTEL_SDK_DISABLED=true ends all recording.
    """
    if not url or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # `_Told` says it once, not every few seconds
    endpoint = url if url.endswith("/v1/traces") else f"{url.rstrip('/')}/v1/traces"
    return record_to(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_WITHIN_S), ratio=ratio, version=version)


def record_to(exporter: SpanExporter, *, ratio: float, version: str = "") -> Tracing:
    """Begin to record to an exporter."""
    global _tracing  # noqa: PLW0603 - see `Tracing.stop`
    _tracing = Tracing(exporter, ratio=ratio, version=version)
    return _tracing


class _Told(SpanExporter):
    """Counts what gets through and says once when nothing does. Runs in the exporting thread: work never waits for it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._well = True
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE if self._ended else self._exporter.export(spans)
        well = result is SpanExportResult.SUCCESS
        metrics.SPANS.labels("exported" if well else "lost").inc(len(spans))
        if well != self._well:
            self._well = well
            (log.info if well else log.warning)("collector_back" if well else "collector_away")
        return result

    def shutdown(self) -> None:
        self.give_up()

    def give_up(self) -> None:
        """Try nothing more, and end what is being tried."""
        if not self._ended:
            self._ended = True
            self._exporter.shutdown()


class _Scope:
    """A block of work in a context, with the span that records it, or with none because its trace is not recorded."""

    __slots__ = ("_context", "_span", "_token", "_working")

    def __init__(self, span: trace.Span | None, context: Context) -> None:
        self._span = span
        self._context = context

    def __enter__(self) -> Context:
        self._working = working_in(self._context)
        self._token: Token[trace.Span | None] = _SPAN.set(self._span)
        return self._working.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._working.__exit__(None, None, None)
        _SPAN.reset(self._token)
        if self._span is not None:
            if error is not None:
                name = f"{error.word}:{error.code}" if isinstance(error, Failure) else type(error).__name__
                self._span.set_attribute("error.type", name)
                self._span.set_status(Status(StatusCode.ERROR))
            self._span.end()


def active() -> bool:
    """Whether there is a collector at all."""
    return _tracing is not None


def recording() -> bool:
    """Whether the work of this moment is recorded."""
    return _tracing is not None and _SPAN.get() is not None


def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    context: Context | None = None,
    attributes: Attributes | None = None,
    causes: Iterable[str] = (),
) -> AbstractContextManager[Context | None]:
    """A part of the trace of a context (of the current one): child of its traceparent, or the first of a new trace where it has none.

    ``causes`` are traceparents of other traces to link to. Gives the context in which to work, or None where it is the same as before.
    """
    if _tracing is None:
        return _SILENT
    context = context or current()
    parent = _parsed(context.traceparent)
    if parent is None:
        return _first(_tracing, name, kind, context, attributes, causes, sampled=_chosen(_tracing, secrets.token_hex(8)))
    if not parent.trace_flags.sampled:
        return _SILENT if _SPAN.get() is None else _Scope(None, context)
    return _Scope(*_begun(_tracing, name, kind, context, attributes, causes, parent))


def call_span(method: str, url: str) -> AbstractContextManager[Context | None]:
    """The span of an outgoing HTTP request. Of the address its query is left out: it may hold anything."""
    if _tracing is None:
        return _SILENT
    parts = urlsplit(url)
    host = parts.hostname or ""
    named: dict[str, str | int] = {"http.request.method": method, "server.address": host, "url.path": parts.path}
    if parts.port is not None:
        named["server.port"] = parts.port
    return span(f"{method} {current().connection or host}", SpanKind.CLIENT, attributes=named)


def request_span(name: str, *, context: Context, known: bool, attributes: Attributes) -> AbstractContextManager[Context | None]:
    """The span of a request from outside: in the caller's trace, but whether it is recorded is not the caller's decision.

    ``known``: the traceparent is the caller's; else there is only the id of a trace that begins here.
    """
    if _tracing is None:
        return _SILENT
    caller = _parsed(context.traceparent) if known else None
    trace_id = context.traceparent[3:35]
    if _chosen(_tracing, trace_id[16:]):
        return _Scope(*_begun(_tracing, name, SpanKind.SERVER, context, attributes, (), caller))
    return _Scope(None, _unrecorded(context, trace_id))


def message_span(name: str, *, context: Context, attributes: Attributes) -> AbstractContextManager[Context | None]:
    """The span of the handling of a message: a trace of its own that is linked to its sender, and recorded where that one is."""
    if _tracing is None:
        return _SILENT
    sender = _parsed(context.traceparent)
    sampled = sender.trace_flags.sampled if sender else _chosen(_tracing, secrets.token_hex(8))
    return _first(_tracing, name, SpanKind.CONSUMER, context, attributes, (context.traceparent,), sampled=bool(sampled))


def note(attributes: Attributes, *, failed: bool = False) -> None:
    """Add to the span of this moment what has become known."""
    live = _SPAN.get()
    if live is not None:
        live.set_attributes(dict(attributes))
        if failed:
            live.set_status(Status(StatusCode.ERROR))


def rename(name: str) -> None:
    """Call the span of this moment by a name that has become known."""
    live = _SPAN.get()
    if live is not None:
        live.update_name(name)


def link(traceparent: str) -> None:
    """Connect the span of this moment with another trace that it belongs to, where that one is recorded."""
    live, other = _SPAN.get(), _parsed(traceparent)
    if live is not None and other is not None and other.trace_flags.sampled:
        live.add_link(other)


def _first(
    tracing: Tracing,
    name: str,
    kind: SpanKind,
    context: Context,
    attributes: Attributes | None,
    causes: Iterable[str],
    *,
    sampled: bool,
) -> _Scope:
    if sampled:
        return _Scope(*_begun(tracing, name, kind, context, attributes, causes, None))
    return _Scope(None, context if context.traceparent else _unrecorded(context, secrets.token_hex(16)))


def _begun(
    tracing: Tracing,
    name: str,
    kind: SpanKind,
    context: Context,
    attributes: Attributes | None,
    causes: Iterable[str],
    parent: trace.SpanContext | None,
) -> tuple[trace.Span, Context]:
    above = trace.set_span_in_context(trace.NonRecordingSpan(parent or trace.INVALID_SPAN_CONTEXT))
    others = (_parsed(cause) for cause in causes)
    links = [trace.Link(other) for other in others if other is not None and other.trace_flags.sampled]
    said = {**_said(context), **(attributes or {})}
    begun = tracing.tracer.start_span(name, above, kind, said, links, record_exception=False)
    mine = begun.get_span_context()
    traceparent = f"00-{mine.trace_id:032x}-{mine.span_id:016x}-{mine.trace_flags:02x}"
    return begun, msgspec.structs.replace(context, traceparent=traceparent)


def _said(context: Context) -> dict[str, str]:
    named = {
        "q2c.correlation_id": context.correlation_id,
        "q2c.tenant": context.tenant,
        "q2c.entity": context.entity,
        "q2c.connection": context.connection,
        "q2c.step_key": context.key,
    }
    return {name: value for name, value in named.items() if value}


def _unrecorded(context: Context, trace_id: str) -> Context:
    return msgspec.structs.replace(context, traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-00")


def _chosen(tracing: Tracing, random_hex: str) -> bool:
    """Every service that looks at the same half of the trace id chooses the same traces."""
    return int(random_hex, 16) < tracing.bound


def _parsed(traceparent: str) -> trace.SpanContext | None:
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    flags = trace.TraceFlags(int(found[3], 16))
    context = trace.SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
    return context if context.is_valid else None
