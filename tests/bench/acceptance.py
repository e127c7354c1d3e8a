"""How long a caller waits for its 202: the process layer, served for real, at half of what it takes."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from itertools import count

import aiohttp
from msgspec.structs import replace

from deploy.services.children import Child
from deploy.services.ports import accepts, free_port
from deploy.services.software import REPOSITORY
from gateway.settings import Settings
from policies.development_issuer import DevelopmentIssuer
from runtime.store.migrations import migrate
from tests.bench.contest import Ring
from tests.bench.measure import percentile
from tests.faults.storm.driver import Orders

FULL_S, HALF_S, AT_ONCE = 5.0, 8.0, 16
SETTINGS = """
data = "{folder}"
[store]
url = "{store}"
[bus]
url = "{bus}"
[entities]
US01 = {{ name = "US01", country = "US", currency = "USD", bindings = {{}} }}
DE01 = {{ name = "DE01", country = "DE", currency = "EUR", bindings = {{}} }}
JP01 = {{ name = "JP01", country = "JP", currency = "JPY", bindings = {{}} }}
"""


async def acceptance(ring: Ring, tell: Callable[[str], None]) -> dict[str, float]:
    """Requests per second at full and at half load, and p50 and p99 at half load in milliseconds."""
    folder, port = ring.folder / "layer", free_port()
    folder.mkdir()
    store, bus = ring.database.fresh_database(), ring.broker.fresh_vhost()
    await migrate(store)
    (folder / "settings.toml").write_text(SETTINGS.format(folder=folder, store=store, bus=bus), "utf-8")
    command = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--layer",
        "process",
        "--settings",
        str(folder / "settings.toml"),
        "--port",
        str(port),
    ]
    child = Child.start("layer", command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, log=ring.folder / "layer.log")
    try:
        child.wait_until(lambda: accepts(port), within_s=40)
        token = DevelopmentIssuer(replace(Settings(), data=str(folder)).folder).mint("bench")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"}) as http:
            return await _measured(http, f"http://127.0.0.1:{port}/process/v1/orders", tell)
    finally:
        child.stop()


async def _measured(http: aiohttp.ClientSession, url: str, tell: Callable[[str], None]) -> dict[str, float]:
    orders, keys = Orders(1), count()

    async def post() -> float:
        body = json.dumps(orders.next()[0]).encode()
        began = time.monotonic()
        async with http.post(url, data=body, headers={"Idempotency-Key": f"k-{next(keys)}"}) as answer:
            await answer.read()
            if answer.status != 202:
                raise RuntimeError(f"{answer.status}: {await answer.text()}")
        return (time.monotonic() - began) * 1000

    async def busy(until: float) -> int:
        done = 0
        while time.monotonic() < until:
            await post()
            done += 1
        return done

    await asyncio.gather(*(post() for _ in range(AT_ONCE)))
    until = time.monotonic() + FULL_S
    full = sum(await asyncio.gather(*(busy(until) for _ in range(AT_ONCE)))) / FULL_S
    half, began = full / 2, time.monotonic()
    tasks = []
    for number in range(int(half * HALF_S)):
        await asyncio.sleep(max(0.0, began + number / half - time.monotonic()))
        tasks.append(asyncio.create_task(post()))
    took = await asyncio.gather(*tasks)
    found = {
        "full_per_s": round(full, 1),
        "per_s": round(half, 1),
        "p50_ms": round(percentile(took, 0.5), 2),
        "p99_ms": round(percentile(took, 0.99), 2),
    }
    tell(f"acceptance: {found['full_per_s']}/s at most; at half of it p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms")
    return found
