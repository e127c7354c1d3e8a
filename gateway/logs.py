"""Log lines: one JSON object each on standard error, with the ids of the context; nothing that a caller sent can break a line."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

from runtime.context import current

QUIET = ("httpx", "httpcore", "aiohttp", "aio_pika", "aiormq", "uvicorn", "alembic", "zeep")


def _ids(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = current()
    named = {"correlation_id": context.correlation_id, "key": context.key, "tenant": context.tenant if context.correlation_id else ""}
    line.update({name: value for name, value in named.items() if value})
    return line


def _line(line: Any, **_options: Any) -> str:
    return msgspec.json.encode(line, enc_hook=repr).decode()


def configure_logs(level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging, once per process."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _ids,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, format='{"level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}', stream=sys.stderr
    )
    for name in QUIET:  # httpx writes whole URLs, with their secrets, at INFO
        logging.getLogger(name).setLevel(logging.WARNING)
