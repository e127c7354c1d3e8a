"""Spans: what is recorded, what hangs on what, and that nothing is built without a collector."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from canonical.failures import Rejected
from runtime import telemetry
from runtime.bus.contract import EVERYONE, Address, Features
from runtime.bus.observed import ObservedBus
from runtime.bus.wire import Envelope
from runtime.context import Context, current, working_in
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable
from tests.system_apis.harness import served

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECORDED, UNRECORDED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


class Recorded:
    """What a tracing to memory has recorded."""

    def __init__(self, ratio: float) -> None:
        self._memory = InMemorySpanExporter()
        self.tracing = telemetry.record_to(self._memory, ratio=ratio)

    def spans(self) -> dict[str, ReadableSpan]:
        """By name."""
        self.tracing.flush()
        return {span.name: span for span in self._memory.get_finished_spans()}


@pytest.fixture
def everything() -> Iterator[Recorded]:
    found = Recorded(1.0)
    yield found
    found.tracing.stop()


@pytest.fixture
def nothing() -> Iterator[Recorded]:
    found = Recorded(0.0)
    yield found
    found.tracing.stop()


class Wire:
    """A bus that hands a letter to whoever consumes, at once."""

    features = Features(name="wire", crosses_processes=False)

    def __init__(self) -> None:
        self.letters: list[Envelope] = []
        self.handler: Any = None

    async def consume(self, _queue: str, handler: Any, *, prefetch: int = 16) -> None:
        self.handler = handler

    async def answer(self, _queue: str, answerer: Any, *, prefetch: int = 16) -> None:
        self.handler = answerer

    async def publish(self, _address: Address, letter: Envelope) -> None:
        self.letters.append(letter)
        if self.handler is not None:
            await self.handler(letter)

    async def ask(self, _queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        self.letters.append(letter)
        answer: Envelope = await self.handler(letter)
        return answer


def letter(traceparent: str) -> Envelope:
    return Envelope(id="m-1", type="OrderBooked", body=msgspec.Raw(b"{}"), correlation_id="q2c-1", traceparent=traceparent)


def context(traceparent: str = "") -> Context:
    return Context(tenant="acme", entity="US01", correlation_id="q2c-1", traceparent=traceparent, key="p/K/s")


def ids(span: ReadableSpan) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent(span: ReadableSpan) -> str:
    return "" if span.parent is None else f"{span.parent.span_id:016x}"


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


class Echo:
    """An HTTP server that remembers the headers of the last request."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.headers = dict(scope["headers"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}", "more_body": False})


async def get(url: str, under: Context) -> None:
    client = HttpClient(url, failures=FailureTable({}))
    try:
        with working_in(under):
            await client.send("GET", "/things/1?secret=hunter2")
    finally:
        await client.aclose()


# without a collector --------------------------------------------------------------------------------------------------


def test_without_a_collector_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a span gets the same empty block each time, and works in the context in which he was."""
    assert telemetry.start_tracing("", ratio=1.0) is None
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert telemetry.start_tracing("http://127.0.0.1:1", ratio=1.0) is None
    blocks = [
        telemetry.span("a", context=context(RECORDED)),
        telemetry.call_span("GET", "https://vendor.example/"),
        telemetry.message_span("b", context=context(RECORDED), attributes={}),
        telemetry.request_span("c", context=context(RECORDED), known=True, attributes={}),
    ]
    assert len({id(block) for block in blocks}) == 1
    with working_in(context(RECORDED)) as before, blocks[0] as traced:
        assert traced is None
        assert current() is before
    assert not telemetry.recording()


async def test_without_a_collector_a_letter_is_not_touched() -> None:
    """Every letter arrives as it was sent, with the traceparent of its sender, and is handled in its own context."""
    wire, handled = Wire(), []
    bus = ObservedBus(wire)  # type: ignore[arg-type]

    async def handle(received: Envelope) -> None:
        handled.append((received, current().traceparent))

    await bus.consume("process.x", handle)
    sent = letter(RECORDED)
    await bus.publish(EVERYONE, sent)
    assert handled == [(sent, RECORDED)]
    assert handled[0][0] is sent


async def test_without_a_collector_an_outgoing_call_passes_the_trace_on() -> None:
    """A vendor is sent the traceparent as it came."""
    echo = Echo()
    async with served(echo) as url:
        await get(url, context(RECORDED))
    assert echo.headers[b"traceparent"] == RECORDED.encode()


# what is recorded -----------------------------------------------------------------------------------------------------


def test_a_span_is_a_child_of_its_context_and_the_parent_of_what_is_within(everything: Recorded) -> None:
    """Spans nest by the traceparent of the context, and carry its ids."""
    with telemetry.span("outer", SpanKind.CLIENT, context=context(RECORDED)) as outer:
        assert current() is outer
        with telemetry.span("inner", attributes={"more": 1}):
            telemetry.note({"later": "known"})
    spans = everything.spans()
    assert (ids(spans["outer"])[0], parent(spans["outer"])) == (TRACE, SPAN)
    assert (ids(spans["inner"])[0], parent(spans["inner"])) == (TRACE, ids(spans["outer"])[1])
    named = {"q2c.correlation_id": "q2c-1", "q2c.tenant": "acme", "q2c.entity": "US01", "q2c.step_key": "p/K/s"}
    assert said(spans["outer"]) == named
    assert said(spans["inner"]) == {**named, "more": 1, "later": "known"}


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("callers", [RECORDED, UNRECORDED])
def test_the_caller_does_not_decide_what_is_recorded(ratio: float, callers: str) -> None:
    """A request is recorded by our own ratio, within the caller's trace; what is not recorded says so to everyone behind it."""
    recorded = Recorded(ratio)
    try:
        with telemetry.request_span("request", context=context(callers), known=True, attributes={}) as traced:
            assert traced is not None
            assert traced.traceparent[3:35] == TRACE
            assert int(traced.traceparent[-2:], 16) & 1 == ratio
            with telemetry.span("below"):
                pass
        assert set(recorded.spans()) == ({"request", "below"} if ratio else set())
    finally:
        recorded.tracing.stop()


def test_a_trace_of_our_own_has_no_parent(everything: Recorded) -> None:
    """A request that comes without a trace begins one, and is not the child of a span that nobody ever saw."""
    with telemetry.request_span("request", context=context(UNRECORDED), known=False, attributes={}):
        pass
    assert parent(everything.spans()["request"]) == ""


def test_what_belongs_to_an_unrecorded_trace_is_not_recorded(everything: Recorded) -> None:
    """Steps, calls and messages of a trace that is not recorded are not recorded either, whatever surrounds them."""
    with telemetry.span("around"):
        with telemetry.span("step", context=context(UNRECORDED)) as traced:
            assert traced is not None
            assert traced.traceparent == UNRECORDED
            telemetry.note({"of": "step"})
            telemetry.link(RECORDED)
        with telemetry.message_span("message", context=context(UNRECORDED), attributes={}):
            assert not telemetry.recording()
    spans = everything.spans()
    assert set(spans) == {"around"}
    assert "of" not in said(spans["around"])
    assert list(spans["around"].links) == []


def test_what_belongs_to_a_recorded_trace_is_recorded(nothing: Recorded) -> None:
    """What hangs on a recorded span is recorded whatever the ratio, so that no chain has a gap."""
    with telemetry.message_span("message", context=context(RECORDED), attributes={}), telemetry.span("step"):
        pass
    with telemetry.span("alone"):
        pass
    assert set(nothing.spans()) == {"message", "step"}


@given(
    st.floats(min_value=0, max_value=1), st.text(alphabet="0123456789abcdef", min_size=32, max_size=32).filter(lambda t: set(t) != {"0"})
)
def test_everybody_chooses_the_same_traces(ratio: float, trace: str) -> None:
    """Whether a trace is recorded follows from its id and the ratio alone, as with OpenTelemetry's own sampler."""
    recorded = Recorded(ratio)
    try:
        with telemetry.request_span("r", context=context(f"00-{trace}-{SPAN}-01"), known=True, attributes={}):
            theirs = TraceIdRatioBased(ratio).should_sample(None, int(trace, 16), "r")
            assert telemetry.recording() == theirs.decision.is_sampled()  # type: ignore[no-untyped-call]
    finally:
        recorded.tracing.stop()


async def test_a_message_is_linked_to_its_sender(everything: Recorded) -> None:
    """Sending is a span of the sender's trace; handling begins a trace of its own with a link to it, and works within."""
    wire, worked_in = Wire(), []
    bus = ObservedBus(wire)  # type: ignore[arg-type]

    async def handle(received: Envelope) -> None:
        worked_in.append((received.traceparent, current().traceparent))

    await bus.consume("process.x", handle)
    await bus.publish(Address("process.x"), letter(RECORDED))
    sent, handled = (everything.spans()[name] for name in ("send process.x", "process process.x"))
    assert (sent.kind, ids(sent)[0], parent(sent)) == (SpanKind.PRODUCER, TRACE, SPAN)
    assert wire.letters[0].traceparent[3:52] == "-".join(ids(sent))
    assert (handled.kind, parent(handled)) == (SpanKind.CONSUMER, "")
    assert ids(handled)[0] != TRACE
    assert [link.context.span_id for link in handled.links] == [sent.context.span_id]
    assert {traceparent[3:52] for both in worked_in for traceparent in both} == {"-".join(ids(handled))}
    assert said(handled)["messaging.message.id"] == "m-1"
    assert said(handled)["q2c.message_type"] == "OrderBooked"


async def test_a_question_is_answered_within_its_trace(everything: Recorded) -> None:
    """Whoever asks waits, so that the answering is a part of his trace."""
    bus = ObservedBus(Wire())  # type: ignore[arg-type]

    async def answer(received: Envelope) -> Envelope:
        return msgspec.structs.replace(received, type="Failure")

    await bus.answer("ask.x", answer)
    await bus.ask("ask.x", letter(RECORDED), within_s=1)
    asked, answered = (everything.spans()[name] for name in ("ask ask.x", "answer ask.x"))
    assert (asked.kind, parent(asked)) == (SpanKind.CLIENT, SPAN)
    assert (answered.kind, parent(answered)) == (SpanKind.SERVER, ids(asked)[1])
    assert answered.status.status_code is StatusCode.ERROR


async def test_an_outgoing_call_is_a_span_without_its_query(everything: Recorded) -> None:
    """A vendor is sent the traceparent of the span of its call, which names the connection and leaves the query out."""
    echo = Echo()
    async with served(echo) as url:
        await get(url, msgspec.structs.replace(context(RECORDED), connection="stripe"))
    call = everything.spans()["GET stripe"]
    assert (call.kind, parent(call)) == (SpanKind.CLIENT, SPAN)
    assert echo.headers[b"traceparent"][3:52].decode() == "-".join(ids(call))
    assert said(call)["url.path"] == "/things/1"
    assert said(call)["http.response.status_code"] == 200
    assert "hunter2" not in str(said(call))


def test_a_failure_is_told_by_its_code_alone(everything: Recorded) -> None:
    """A block that fails makes its span a failed one; why in detail, where names and amounts stand, is left to the journal."""
    with pytest.raises(Rejected), telemetry.span("step"):
        raise Rejected("credit_exceeded", "Acme owes 45.00")
    step = everything.spans()["step"]
    assert step.status.status_code is StatusCode.ERROR
    assert said(step) == {"error.type": "rejected:credit_exceeded"} | {"q2c.tenant": "default"}
    assert "Acme" not in step.to_json()


async def test_spans_of_tasks_do_not_mix(everything: Recorded) -> None:
    """Tasks that run at the same time each have their own thread of spans."""
    both_begun = asyncio.Barrier(2)

    async def work(name: str) -> None:
        with telemetry.span(f"outer {name}"):
            await both_begun.wait()
            with telemetry.span(f"inner {name}"):
                await both_begun.wait()

    await asyncio.gather(work("a"), work("b"))
    spans = everything.spans()
    assert [parent(spans[f"inner {name}"]) for name in "ab"] == [ids(spans[f"outer {name}"])[1] for name in "ab"]


@pytest.mark.parametrize(
    "broken", ["", "00", "00-0-0-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01", "ü" * 55]
)
def test_a_broken_traceparent_begins_a_new_trace(everything: Recorded, broken: str) -> None:
    """What is no traceparent is nobody's parent and nobody's link."""
    with (
        telemetry.span("step", context=context(broken), causes=(broken,)),
        telemetry.message_span("m", context=context(broken), attributes={}),
    ):
        telemetry.link(broken)
    spans = everything.spans()
    assert [parent(span) for span in spans.values()] == ["", ""]
    assert [list(span.links) for span in spans.values()] == [[], []]
