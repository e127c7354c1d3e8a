"""Places at which a worker dies, by its own hand and with SIGKILL: enumerated, so that a run can be repeated.

``points.json`` in the site's folder says for an order at which step and moment its worker dies, once:

=============== =====================================================================================
``before_call`` the step is about to be asked                ``after_call`` it has been answered, nothing is kept yet
``after_commit`` its journal line is committed               ``before_ack`` all is done but the acknowledgement
=============== =====================================================================================
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway import ports
from runtime.bus import handling
from runtime.process.engine import Engine
from runtime.store.contract import AddLine

POINTS = "points.json"
MOMENTS = ("before_call", "after_call", "after_commit", "before_ack")


class Deaths:
    """Who has to die where; each dies once, whoever comes by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._points: dict[str, list[str]] = json.loads((folder / POINTS).read_text("utf-8"))

    def at(self, order: str, step: str, moment: str) -> None:
        """Die here, if this is the place and nobody has yet."""
        if self._points.get(order) != [step, moment]:
            return
        try:
            os.close(os.open(self._folder / f"{order}.died", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def lay(folder: Path) -> None:
    """Put the places into this process."""
    deaths = Deaths(folder)
    ports.BoundAsker.ask = _asking(ports.BoundAsker.ask, deaths)  # type: ignore[method-assign]
    Engine.commit = _committing(Engine.commit, deaths)  # type: ignore[method-assign]
    handling.Handling.__call__ = _handling(handling.Handling._outcome, deaths)  # type: ignore[method-assign]


def _asking(ask: Callable[..., Any], deaths: Deaths) -> Callable[..., Any]:
    async def dying(self: Any, command: Any, context: Any, **options: Any) -> Any:
        _, order, step = context.key.split("/", 2)
        deaths.at(order, step, "before_call")
        answer = await ask(self, command, context, **options)
        deaths.at(order, step, "after_call")
        return answer

    return dying


def _committing(commit: Callable[..., Any], deaths: Deaths) -> Callable[..., Any]:
    async def dying(self: Any, run: Any) -> None:
        kinds = {"undo": "/undo"}
        lines = [write.line for write in run.writes if isinstance(write, AddLine)]
        await commit(self, run)
        for line in lines:
            deaths.at(line.key, line.step + kinds.get(line.kind, ""), "after_commit")

    return dying


def _handling(outcome_of: Callable[..., Any], deaths: Deaths) -> Callable[..., Any]:
    work = handling.Handling.__call__

    async def outcome(self: Any, parcel: Any) -> Any:
        ended = await outcome_of(self, parcel)
        body = json.loads(parcel.body).get("body", {})
        order = body.get("order", {}).get("id") or body.get("key", "")
        deaths.at(order, "", "before_ack")
        return ended

    handling.Handling._outcome = outcome  # type: ignore[method-assign]
    return work
