"""Log lines, whatever is put into them."""

import json
import logging
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import logs
from gateway.log_lines import EXCEPTION_LENGTH_MAX, VALUE_LENGTH_MAX, encoded, without_secrets
from runtime.context import Context, working_in

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
UNRULY = "\n\r\x00\x1b\x7f\x9b\u2028\u2029\u202e\ufeff\ud800"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


class Mute:
    """Cannot describe itself."""

    def __repr__(self) -> str:
        raise RuntimeError("nothing to say")


def said(**fields: Any) -> dict[str, Any]:
    """What a reader of the line finds in it."""
    found: dict[str, Any] = json.loads(encoded(fields))
    return found


def lines_of(program: str) -> list[dict[str, Any]]:
    """What a process of its own writes to standard error, read line by line."""
    start = "from gateway.logs import *; configure_logs(); catch_strays(); import structlog, logging, warnings, threading, sys\n"
    done = subprocess.run([sys.executable, "-c", start + program], capture_output=True, check=False)
    return [json.loads(line) for line in done.stderr.decode("utf-8").splitlines()]


@given(st.dictionaries(st.text(), anything))
def test_a_line_is_one_line_of_json_whatever_is_in_it(fields: dict[str, Any]) -> None:
    """Any fields at all become a single line that a JSON reader takes and that a terminal does not obey."""
    line = encoded(fields)
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert len(line.splitlines()) == 1
    assert not set(UNRULY) & set(line)


def test_control_characters_are_escaped_and_kept() -> None:
    """A newline, an escape sequence or a right-to-left override in a value reaches the reader as data."""
    line = encoded({"event": UNRULY})
    assert line.isascii()
    assert json.loads(line)["event"] == UNRULY.replace("\ud800", "\\ud800")


def test_long_values_are_cut_with_a_mark() -> None:
    """A value beyond 2,000 characters is cut and says how long it was; so is what is long only because it has many parts."""
    found = said(text="x" * 100_000, parts=["part"] * 10_000, short="x" * VALUE_LENGTH_MAX)
    assert found["text"] == "x" * VALUE_LENGTH_MAX + "… (cut, 100000 characters)"
    assert found["parts"].startswith('["part","part"')
    assert len(found["parts"]) < VALUE_LENGTH_MAX + 50
    assert found["short"] == "x" * VALUE_LENGTH_MAX


def test_the_end_of_a_long_exception_is_kept() -> None:
    """Of an exception that is too long the end remains, where its reason stands."""
    found = said(exception="frame\n" * 10_000 + "ValueError: the reason")
    assert found["exception"].startswith("(cut, 60022 characters) …")
    assert found["exception"].endswith("ValueError: the reason")
    assert len(found["exception"]) < EXCEPTION_LENGTH_MAX + 50


@pytest.mark.parametrize(
    "name", ["authorization", "Authorization", "token", "access_token", "client_secret", "password", "api_key", "X-Api-Key", "private_key"]
)
def test_what_is_called_a_secret_is_hidden(name: str) -> None:
    """A value under the name of a secret is not written, also deep inside another."""
    assert said(**{name: "hunter2-hunter2"}) == {name: "***"}
    assert said(request={"headers": [{name: "hunter2-hunter2"}]}) == {"request": {"headers": [{name: "***"}]}}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter2hunter2",
        "refused: Basic hunter2hunter2==",
        '{"api_key": "hunter2"}',
        "https://vendor.example/token?client_secret=hunter2&x=1",
        "amqp://q2c:hunter2@rabbit:5672/",
        "password='hunter2 hunter2'",
        "key sk_live_hunter2 was refused",
        "whsec_hunter2",
        "eyJhbGciOiJub25lIn0.hunter2hunter2.hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2 (cut",
    ],
)
def test_a_secret_in_a_sentence_is_hidden(text: str) -> None:
    """A text that quotes a secret is written without it, as an event, as an exception, and within an object's description."""
    assert "hunter2" not in without_secrets(text)
    assert "hunter2" not in encoded({"event": text, "exception": text, "object": ValueError(text), "list": [text]})


@pytest.mark.parametrize("text", ["the token has expired", "customer C-1 has no tokens", "https://vendor.example/token", "keyboard: 3"])
def test_a_sentence_without_a_secret_stays_as_it_is(text: str) -> None:
    """Talking about a secret is not telling it."""
    assert without_secrets(text) == text


def test_an_object_that_does_not_describe_itself_costs_no_line() -> None:
    """A broken description is replaced; the other fields are there."""
    assert said(mute=Mute(), event="still here") == {"mute": "<Mute that does not describe itself>", "event": "still here"}


def test_a_line_says_when_and_for_whom() -> None:
    """Time in UTC, correlation id, tenant, step key and trace id come from the circumstances; what the line itself says counts more."""
    with working_in(Context(tenant="acme", correlation_id="q2c-1", key="p/K/s", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")):
        found = json.loads(logs.finished("info", "q2c.x", "event", {}))
        own = json.loads(logs.finished("info", "q2c.x", "event", {"correlation_id": "q2c-2"}))
    assert datetime.fromisoformat(found.pop("timestamp")).tzinfo == UTC
    assert found == {
        "level": "info",
        "logger": "q2c.x",
        "event": "event",
        "correlation_id": "q2c-1",
        "tenant": "acme",
        "key": "p/K/s",
        "trace_id": TRACE,
    }
    assert own["correlation_id"] == "q2c-2"


def test_every_line_of_a_process_is_json() -> None:
    """Ours, the libraries', warnings, and what nobody caught, in threads and finalizers, too: each is one JSON line."""
    lines = lines_of(
        "log = structlog.get_logger('q2c.x')\n"
        "log.info('ours %', a='b\\nc'); log.debug('not shown')\n"
        "try:\n  1/0\nexcept ZeroDivisionError:\n  log.exception('failed', why='x')\n"
        "logging.getLogger('aio_pika.robust').warning('lost %s', 'amqp://u:pw@h')\n"
        "logging.getLogger('uvicorn.error').error('bad %d arguments', 'x', 'y')\n"
        "logging.getLogger('httpx').info('GET https://vendor/?api_key=1')\n"
        "warnings.warn('careful')\n"
        "thread = threading.Thread(target=lambda: 1/0); thread.start(); thread.join()\n"
        "class Bad:\n  def __del__(self): raise ValueError('late')\n"
        "Bad()\n"
        "raise KeyError('nobody\\ncaught')\n"
    )
    told = [(line["level"], line["logger"], line["event"]) for line in lines]
    assert told == [
        ("info", "q2c.x", "ours %"),
        ("error", "q2c.x", "failed"),
        ("warning", "aio_pika.robust", "lost amqp://u:***@h"),
        ("error", "uvicorn.error", "bad %d arguments"),
        ("warning", "py.warnings", lines[4]["event"]),
        ("critical", "q2c.stray", "uncaught_in_thread"),
        ("error", "q2c.stray", "uncaught_in_finalizer"),
        ("critical", "q2c.stray", "uncaught"),
    ]
    assert "careful" in lines[4]["event"]
    assert lines[1]["exception"].count("ZeroDivisionError") == 1
    assert lines[7]["exception"].endswith("KeyError: 'nobody\\ncaught'")


def test_asyncio_tells_of_a_lost_failure_in_one_line() -> None:
    """A task whose failure nobody looked at is told by the standard library as one JSON line with its exception."""
    [line] = lines_of(
        "import asyncio, gc\n"
        "async def fail(): raise ValueError('lost')\n"
        "async def main():\n  asyncio.ensure_future(fail()); await asyncio.sleep(0)\n"
        "asyncio.run(main()); gc.collect()\n"
    )
    assert (line["level"], line["logger"]) == ("error", "asyncio")
    assert "ValueError: lost" in line["exception"]


def test_a_disk_that_is_full_costs_the_line_and_not_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever logs goes on when the line cannot be written (D5)."""
    written = threading.Event()

    class Full:
        def write(self, _text: str) -> None:
            written.set()
            raise OSError(28, "No space left on device")

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Full())
    logs.StandardLibrary().emit(logging.LogRecord("x", logging.ERROR, "x.py", 1, "event", (), None))
    assert written.is_set()
