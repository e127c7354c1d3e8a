"""What is told of steps and instances."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog.testing
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from canonical.failures import FailureRecord
from canonical.order import BookOrder
from runtime import telemetry
from runtime.clock import SetClock
from runtime.context import Context, working_in
from runtime.process.declare import Process, decide
from runtime.process.run import Run
from runtime.process.watching import count, tell_rest, watched
from runtime.store.contract import Instance

NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)
TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
TABLE = Process(
    name="watched",
    starts_on=BookOrder,
    memory=msgspec.Struct,
    begin=lambda _: msgspec.Struct(),
    key=lambda _: "K-1",
    finish_within=dt.timedelta(hours=1),
    steps=(decide("yes", lambda _: True, otherwise=lambda _: ""),),
    shows=lambda _: pytest.fail("nobody looks"),
)


@pytest.fixture
def memory() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing = telemetry.record_to(exporter, ratio=1.0)
    yield exporter
    tracing.stop()


def run(**fields: Any) -> Run:
    row = Instance(
        tenant="acme", process="watched", key="K-1", correlation_id="q2c-1", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
        created_at=NOW, updated_at=NOW, **fields,
    )  # fmt: skip
    return Run(TABLE, row, msgspec.Struct(), seq=0, clock=SetClock(NOW))


def counted(step: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("q2c_process_steps_total", {"process": "watched", "step": step, "outcome": outcome}) or 0.0


@pytest.mark.parametrize(
    ("fields", "undo", "outcome"),
    [
        ({"status": "running"}, False, "done"),
        ({"status": "running", "due_at": NOW}, False, "later"),
        ({"status": "waiting", "due_at": NOW}, False, "waiting"),
        ({"status": "parked"}, False, "parked"),
        ({"status": "undoing"}, False, "rejected"),
        ({"status": "undoing"}, True, "done"),
        ({"status": "undoing", "due_at": NOW}, True, "later"),
        ({"status": "parked"}, True, "parked"),
    ],
)
def test_a_step_is_counted_by_what_became_of_it(fields: dict[str, Any], undo: bool, outcome: str) -> None:
    """Done, tried again later, waiting, rejected or parked; taking back is a step of its own, and one of many commands has no number."""
    name = f"book{len(fields)}/undo" if undo else f"book{len(fields)}"
    before = counted(name, outcome)
    count(run(**fields), f"book{len(fields)}.17", NOW.timestamp(), undo=undo)
    assert counted(name, outcome) == before + 1


@pytest.mark.parametrize(
    ("status", "level"),
    [("done", "info"), ("undone", "info"), ("cancelled", "info"), ("parked", "warning"), ("running", None), ("waiting", None)],
)
def test_an_instance_at_rest_is_a_line(status: str, level: str | None) -> None:
    """One that has ended is told, one that a person has to look at is a warning with the reason, and one on its way is not told."""
    with structlog.testing.capture_logs() as lines:
        tell_rest(run(status=status, reason=FailureRecord(word="rejected", code="no", detail="said no")))
    assert [line["log_level"] for line in lines] == ([level] if level else [])
    assert [(line["instance"], line["correlation_id"]) for line in lines] == ([("watched/K-1", "q2c-1")] if level else [])
    assert [line["reason"] for line in lines if level == "warning"] == (["rejected: said no"] if level == "warning" else [])


def test_a_step_is_a_part_of_its_instances_trace(memory: InMemorySpanExporter) -> None:
    """A step hangs on what started its instance, whenever it runs; the message that brought it on this time is linked."""
    work = run()
    with working_in(Context(traceparent=f"00-{OTHER}-b7ad6b7169203331-01")), watched(work, "book.2"):
        inside = work.context("book.2")
    assert telemetry._tracing is not None
    telemetry._tracing.flush()
    [exported] = memory.get_finished_spans()
    span: Any = exported
    assert (span.name, f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == ("watched/book", TRACE, "00f067aa0ba902b7")
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [OTHER]
    assert span.attributes["q2c.step_key"] == "watched/K-1/book.2"
    assert inside.traceparent[36:52] == f"{span.context.span_id:016x}"
    assert work.context("book.2").traceparent == work.instance.traceparent


def test_a_step_that_nobody_records_keeps_the_trace_as_it_is() -> None:
    """Without a collector a step is asked under the traceparent of its instance."""
    work = run()
    with watched(work, "book"):
        assert work.context("book").traceparent == work.instance.traceparent
