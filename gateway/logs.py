"""Log lines: one JSON object each on standard error, with the ids of the context; nothing that a caller sent can break a line.

structlog and the standard library's logging, and so every library's, end in the same line (see `gateway.log_lines` for what it may hold).
"""

import contextlib
import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from gateway.log_lines import encoded
from runtime.context import current

QUIET = ("httpx", "httpcore", "aiohttp", "aio_pika", "aiormq", "uvicorn", "alembic", "zeep")
Fields = MutableMapping[str, Any]

_timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


class StandardError:
    """Where the lines go. A full disk or a closed pipe costs the line, never the work that wanted to tell of itself."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = err = msg


class StandardLibrary(logging.Handler):
    """Turns the records of the standard library's logging into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; one whose arguments do not fit its text is written all the same."""
        more = {"exc_info": record.exc_info} if record.exc_info else {}
        StandardError().msg(finished(record.levelname.lower(), record.name, _text(record), more))


def finished(level: str, logger: str, event: Any, fields: Mapping[str, Any]) -> str:
    """The line for an event: with the time, the ids of the context, and an exception as text."""
    said = {"level": level, "logger": logger, "event": event}
    whole = {**_timestamp(None, "", {}), **said, **_ids(), **fields}  # what the line itself says counts more than the context
    return encoded(structlog.processors.format_exc_info(None, "", whole))


def configure_logs(level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging, once per process."""
    if hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(encoding="utf-8")  # JSON is UTF-8 wherever the process runs
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=StandardError,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, StandardLibrary) for handler in root.handlers):
        root.addHandler(StandardLibrary())
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    for name in QUIET:  # httpx writes whole URLs, with their secrets, at INFO
        logging.getLogger(name).setLevel(logging.WARNING)


def catch_strays() -> None:
    """Have what nobody caught told in a line, too, instead of over many; for a process of its own."""
    log = structlog.get_logger("q2c.stray")

    def uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.critical("uncaught", exc_info=(kind, error, traceback))

    def in_thread(stray: threading.ExceptHookArgs) -> None:
        log.critical("uncaught_in_thread", thread=stray.thread.name if stray.thread else "", exc_info=stray.exc_value)

    def unraisable(stray: "sys.UnraisableHookArgs") -> None:
        log.error("uncaught_in_finalizer", where=repr(stray.object), exc_info=stray.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable


def _rendered(logger: Any, level: str, fields: Fields) -> str:
    return finished(level.replace("exception", "error"), logger.name, fields.pop("event", ""), fields)


PROCESSORS: list[Any] = [_rendered]  # one list for good: a logger keeps the one with which it was first used


def _ids() -> dict[str, str]:
    context = current()
    named = {
        "correlation_id": context.correlation_id,
        "key": context.key,
        "tenant": context.tenant if context.correlation_id else "",
        "trace_id": context.traceparent[3:35],
    }
    return {name: value for name, value in named.items() if value}


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - somebody else's arguments; the text alone is better than no line
        return str(record.msg)
