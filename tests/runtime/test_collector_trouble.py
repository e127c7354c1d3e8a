"""A collector that hangs, refuses or is away costs the spans, never the work."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
import structlog.testing
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import REGISTRY

from runtime import telemetry
from runtime.context import Context
from tests.runtime.collector import Collector
from tests.system_apis.harness import served


class Stuck(SpanExporter):
    """An exporter that comes to its end only when it is let go."""

    def __init__(self) -> None:
        self.begun, self.free = threading.Event(), threading.Event()
        self.exported = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.set()
        self.free.wait(30)
        self.exported += len(spans)
        return SpanExportResult.SUCCESS


def lost_spans() -> float:
    return REGISTRY.get_sample_value("q2c_spans_total", {"outcome": "lost"}) or 0.0


def test_a_stuck_collector_neither_stops_work_nor_fills_the_memory() -> None:
    """While the collector hangs work goes on; what does not fit into the queue is dropped (O2)."""
    stuck = Stuck()
    tracing = telemetry.record_to(stuck, ratio=1.0)
    try:
        for _ in range(telemetry.SPANS_WAITING_MAX * 3):
            with telemetry.span("step"):
                pass
        assert stuck.begun.wait(10)
        assert stuck.exported == 0
    finally:
        stuck.free.set()
        tracing.flush()
        tracing.stop()
    assert 0 < stuck.exported <= telemetry.SPANS_WAITING_MAX + telemetry.TOGETHER_MAX


def test_the_end_does_not_wait_for_a_stuck_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping gives the last spans a little time, and then ends although the collector still hangs."""
    monkeypatch.setattr(telemetry, "STOP_WITHIN_S", 0.05)
    stuck = Stuck()
    tracing = telemetry.record_to(stuck, ratio=1.0)
    with telemetry.span("step"):
        pass
    tracing.stop()
    assert stuck.begun.is_set()
    assert stuck.exported == 0
    assert not telemetry.active()
    stuck.free.set()


async def test_a_collector_that_refuses_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans that the collector does not take are counted, and the log says once that it is away, and once that it is back."""
    monkeypatch.setattr(telemetry, "EXPORT_WITHIN_S", 0.2)
    collector, before = Collector(status=503), lost_spans()
    with structlog.testing.capture_logs() as lines:
        async with served(collector) as url:
            tracing = telemetry.start_tracing(url, ratio=1.0)
            assert tracing is not None
            for status in (503, 400, 200):
                collector.status = status
                with telemetry.span("step", context=Context(correlation_id="q2c-1")):
                    pass
                await asyncio.to_thread(tracing.flush)
            await asyncio.to_thread(tracing.stop)
    assert lost_spans() - before == 2
    assert [line["event"] for line in lines] == ["collector_away", "collector_back"]
    assert len(collector.spans) == 1
