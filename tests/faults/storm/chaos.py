"""What is done to the site, and when: drawn from a seed."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tests.faults.storm.site import LAYER, Site

# What happens, how often; the first four are kills.
ACTS: Mapping[str, int] = {
    "worker": 60,
    "layer": 14,
    "vendor": 10,
    "database": 4,
    "broker": 2,
    "frozen worker": 4,
    "frozen vendor": 3,
    "hung broker": 1,
    "alarm": 2,
}
KILLS_PER_S = 0.4
FROZEN_S, HUNG_S, ALARM_S = 14.0, 12.0, 6.0  # a frozen worker's locks run out, and its heartbeats at the broker


class Chaos:
    """Hurts the site at random moments, the same for the same seed as far as time allows."""

    def __init__(
        self, site: Site, seed: int, tell: Callable[[str], None], *, kills_per_s: float = KILLS_PER_S, acts: Mapping[str, int] | None = None
    ) -> None:
        self._site = site
        self._random = random.Random(seed + 2)
        self._tell = tell
        self._pause_s = 1 / kills_per_s
        self._acts = acts or ACTS
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; what was begun is brought to its end by `rest`."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._pause_s))
            self._begin(self._random.choices(list(self._acts), list(self._acts.values()))[0])

    def _begin(self, act: str) -> None:
        if any(task.get_name() == act for task in self._under_way):
            return
        site, one = self._site, self._random
        self._tell(act)
        if act in {"worker", "layer", "vendor"}:
            name = LAYER if act == "layer" else one.choice(site.workers if act == "worker" else site.vendors)
            if name not in site.held:
                site.kill(name)
            return
        acts: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "database": site.crash_database,
            "broker": site.kill_broker,
            "frozen worker": lambda: site.freeze(one.choice(site.workers), FROZEN_S),
            "frozen vendor": lambda: site.freeze(one.choice(site.vendors), 3.0),
            "hung broker": lambda: site.hang_broker(HUNG_S),
            "alarm": lambda: site.alarm_broker(ALARM_S),
        }
        broker_acts = {"broker", "hung broker", "alarm"}
        if act in broker_acts and any(task.get_name() in broker_acts for task in self._under_way):
            return
        task = asyncio.create_task(acts[act](), name=act)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def rest(self) -> None:
        """Returns when everything that was begun has ended."""
        while self._under_way:
            await asyncio.wait(self._under_way)
