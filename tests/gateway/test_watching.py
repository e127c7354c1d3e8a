"""What is seen of requests from outside the policies, and where a worker shows its numbers."""

import asyncio
import socket
from typing import Any

import httpx
import pytest
import structlog.testing

from canonical.failures import Misconfigured
from gateway.settings import TelemetrySettings, load
from gateway.watching import metrics_shown, watched
from runtime.clock import SystemClock
from runtime.context import current


def scope(**more: Any) -> Any:
    return {"type": "http", "method": "GET", "path": "/x", "headers": [], "state": {}, **more}


async def nothing(_message: Any = None) -> Any:
    return {}


async def test_work_below_is_in_the_context_of_the_request() -> None:
    """Everything within a request knows its correlation id and its trace, also before any policy has run."""
    seen = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(current())

    headers = [(b"x-correlation-id", b"q2c-abcd"), (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    await watched(app, SystemClock())(scope(headers=headers), nothing, nothing)
    assert (seen[0].correlation_id, seen[0].traceparent) == ("q2c-abcd", headers[1][1].decode())
    assert current().correlation_id == ""


@pytest.mark.parametrize("error", [RuntimeError("bug"), asyncio.CancelledError()])
async def test_a_request_without_an_answer_is_a_line_too(error: BaseException) -> None:
    """A request that is broken off is told with a status of its own, and whatever ended it goes on its way."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise error

    with structlog.testing.capture_logs() as lines, pytest.raises(type(error)):
        await watched(app, SystemClock())(scope(path_template="/x"), nothing, nothing)
    [line] = lines
    assert (line["event"], line["route"], line["status"]) == ("request_finished", "/x", 499)


async def test_what_is_no_request_passes_unseen() -> None:
    """Start and stop of the application are nobody's request."""
    passed = []

    async def app(given: Any, _receive: Any, _send: Any) -> None:
        passed.append(given)

    with structlog.testing.capture_logs() as lines:
        await watched(app, SystemClock())({"type": "websocket"}, nothing, nothing)  # type: ignore[arg-type]
    assert (passed, lines) == ([{"type": "websocket"}], [])


def test_a_worker_shows_its_numbers() -> None:
    """A process that serves no other HTTP shows its metrics at a port of their own, until the end; without a port nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured), metrics_shown("127.0.0.1", port):
            pytest.fail("nobody can listen there")
    with metrics_shown("127.0.0.1", port) as shown:
        assert "q2c_process_steps_total" in httpx.get(f"http://127.0.0.1:{shown}/metrics", trust_env=False).text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    with metrics_shown("127.0.0.1", 0) as shown:
        assert shown == 0


def test_settings_of_telemetry_are_checked() -> None:
    """Nothing is recorded by default; a ratio is a part of one, an address is one of HTTP."""
    assert load(None, environment={}).telemetry == TelemetrySettings(otlp_url="", sample_ratio=1.0, metrics_port=0)
    found = load(None, environment={"Q2C_TELEMETRY__OTLP_URL": "http://collector:4318", "Q2C_TELEMETRY__SAMPLE_RATIO": "0.05"})
    assert found.telemetry == TelemetrySettings(otlp_url="http://collector:4318", sample_ratio=0.05)
    for name, value in (("SAMPLE_RATIO", "1.5"), ("SAMPLE_RATIO", "-1"), ("OTLP_URL", "collector:4317"), ("METRICS_PORT", "70000")):
        with pytest.raises(Misconfigured, match="telemetry"):
            load(None, environment={f"Q2C_TELEMETRY__{name}": value})
