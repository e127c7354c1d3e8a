"""How a process of the gateway ends: asked once it finishes or hands back its work, asked twice it ends at once, and never later than set.

Whatever is not finished at the deadline was not acknowledged: the broker, or the store at the next start, gives it to somebody else.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import structlog

log = structlog.get_logger("q2c.gateway")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
TELLING_S = 1.0
TOO_LATE = 1  # the code with which a process ends that did not end in good order


class Ending:
    """Listens for the signals that end this process.

    ``within_s``: seconds from the first signal to the end, in good order or not. The deadline is kept by a thread, because what hangs may
    be the event loop; it ``ends`` the process without asking anybody.
    """

    def __init__(self, within_s: float, *, ends: Callable[[int], object] = os._exit) -> None:
        self.asked = asyncio.Event()
        self._within_s = within_s
        self._ends = ends
        self._deadline: threading.Timer | None = None
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        _handled_by(self._before)

    def _signalled(self, number: signal.Signals) -> None:
        # First of all: the second signal is for the system, which ends us whatever we are at.
        _handled_by(dict.fromkeys(SIGNALS, signal.SIG_DFL))
        self._deadline = threading.Timer(self._within_s, self._too_late)
        self._deadline.daemon = True
        self._deadline.start()
        log.info("asked_to_end", signal=number.name, within_s=self._within_s)
        self.asked.set()

    def _too_late(self) -> None:
        # Not here: a log that nobody reads would keep us from ending.
        telling = threading.Thread(target=log.critical, args=("ended_at_the_deadline",), kwargs={"within_s": self._within_s}, daemon=True)
        telling.start()
        telling.join(TELLING_S)
        self._ends(TOO_LATE)


def _handled_by(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)
