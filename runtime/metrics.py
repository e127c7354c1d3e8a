"""What is counted and measured, for Prometheus. Labels are names out of tables and settings; never an id, never what a caller sent."""

import datetime as dt
from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

M = TypeVar("M", Counter, Histogram)

disable_created_metrics()  # type: ignore[no-untyped-call]

_FAST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Counter("q2c_http_requests", "Requests by route, method and status", ("route", "method", "status"))
REQUEST_S = Histogram("q2c_http_request_seconds", "How long requests took", ("route", "method"), buckets=_FAST_S)

STEPS = Counter("q2c_process_steps", "Steps by what became of them: done, waiting, later, rejected, parked", ("process", "step", "outcome"))
STEP_S = Histogram(
    "q2c_process_step_seconds", "How long steps took, without waiting for the next attempt", ("process", "step"), buckets=_FAST_S
)
INSTANCES = Counter("q2c_process_instances", "Instances by where they came to rest: done, undone, cancelled, parked", ("process", "status"))

VENDOR_CALLS = Counter("q2c_vendor_calls", "Operations at vendors: done, or the word of the failure", ("connection", "outcome"))
VENDOR_CALL_S = Histogram("q2c_vendor_call_seconds", "How long operations at vendors took", ("connection",), buckets=_FAST_S)

MESSAGES = Counter("q2c_messages", "Messages by what became of them: handled, failed, handed_back, buried", ("queue", "outcome"))
WEBHOOKS = Counter("q2c_webhooks", "Webhooks by what became of them: kept, known, refused", ("connection", "outcome"))

LEFT_BEHIND_S = Gauge(
    "q2c_outbox_oldest_unsent_seconds", "Age of the oldest message that is committed and not yet on the bus, at the last sweep"
)
COMMIT_UNITS = Histogram("q2c_commit_units", "Units of work that share one commit", buckets=(1, 2, 5, 10, 20, 50, 100, 200))

RESTARTS = Counter("q2c_background_restarts", "Work in the background that ended by a bug and began again", ("work",))

SPANS = Counter("q2c_spans", "Spans that the collector has taken, or not", ("outcome",))


def method(sent: str) -> str:
    """The method of a request, where it is one that anybody knows."""
    return sent if sent in METHODS else "other"


@cache
def _child(metric: M, *labels: str) -> M:
    """The metric with its labels. Looking it up in the library costs more than counting."""
    return metric.labels(*labels)


def requested(route: str, named_method: str, status: int, seconds: float) -> None:
    """A request was answered."""
    _child(REQUESTS, route, named_method, str(status)).inc()
    _child(REQUEST_S, route, named_method).observe(seconds)


def stepped(process: str, step: str, outcome: str, seconds: float) -> None:
    """A step was tried."""
    _child(STEPS, process, step, outcome).inc()
    _child(STEP_S, process, step).observe(seconds)


def left_behind(sent_at: Iterable[str], now: dt.datetime) -> None:
    """Messages were found that are committed and not on the bus."""
    oldest = min(filter(None, sent_at), default="")  # ISO 8601 in UTC: the order of the texts is that of the moments
    try:
        LEFT_BEHIND_S.set((now - dt.datetime.fromisoformat(oldest)).total_seconds())
    except (ValueError, TypeError):  # nothing, or a letter that does not say when: no reason to stop a relay
        LEFT_BEHIND_S.set(0)


def called(connection: str, outcome: str, seconds: float) -> None:
    """A vendor was asked."""
    _child(VENDOR_CALLS, connection, outcome).inc()
    _child(VENDOR_CALL_S, connection).observe(seconds)


def came_to_rest(process: str, status: str) -> None:
    """An instance came to rest."""
    _child(INSTANCES, process, status).inc()


def handled(queue: str, outcome: str) -> None:
    """A message was handled, or not."""
    _child(MESSAGES, queue, outcome).inc()
