"""The site under fire: servers, vendors and the gateway's processes, each started again when it has died."""

import asyncio
import contextlib
import http.client
import os
import sys
import time
from pathlib import Path

from deploy.services import postgres, rabbitmq
from deploy.services.children import Child
from deploy.services.ports import accepts, free_port
from deploy.services.software import REPOSITORY
from policies.development_issuer import DevelopmentIssuer
from runtime.store.migrations import migrate

READY_WITHIN_S = 60.0
LAG_S = 0.5
HANDLES = {"storm_erp": "upsert", "storm_tax": "unique", "storm_billing": "key", "storm_psa": "none", "storm_crm": "upsert"}
BINDINGS = {name.removeprefix("storm_"): name for name in HANDLES}
ENTITIES = {"US01": ("US", "USD"), "DE01": ("DE", "EUR"), "JP01": ("JP", "JPY")}
WATCH_EVERY_S = 0.1
SETTINGS = "settings.toml"
LAYER = "layer"


def _apart(count: int) -> list[int]:
    """So many free ports, no two the same."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        if port not in found:
            found.append(port)
    return found


class Site:
    """Everything that can be hurt. ``kills`` counts what was killed with SIGKILL or its like."""

    def __init__(self, folder: Path, *, seed: int, rate: float, workers: int = 2, mutant: str = "") -> None:
        self.folder = folder
        self.seed = seed
        self.rate = rate
        self.mutant = mutant
        self.kills = 0
        self.workers = tuple(f"worker-{number}" for number in range(1, workers + 1))
        self.vendors = tuple(HANDLES)
        self.held: set[str] = set()  # frozen, or down on purpose: not to be started again
        self._children: dict[str, Child] = {}
        self._watching: asyncio.Task[None] | None = None
        self.database = postgres.start()
        try:
            self.broker = rabbitmq.start()
        except BaseException:
            self.database.stop()
            raise
        self._ports = dict(zip((*HANDLES, LAYER), _apart(len(HANDLES) + 1), strict=True))
        self.store_url = self.database.fresh_database()
        self.bus_url = self.broker.url
        self.token = DevelopmentIssuer(folder).mint("storm")

    @property
    def door(self) -> str:
        """The address of the process layer."""
        return f"http://127.0.0.1:{self._ports[LAYER]}"

    def ledger(self, vendor: str) -> Path:
        """A vendor's books."""
        return self.folder / f"{vendor}.jsonl"

    async def open(self) -> None:
        """Start everything and wait until it takes work."""
        await migrate(self.store_url)
        (self.folder / SETTINGS).write_text(self._settings(), "utf-8")
        for name in (*self.vendors, LAYER, *self.workers):
            self.start(name)
        for name, port in self._ports.items():
            await self._until_it_listens(name, port)
        self._watching = asyncio.create_task(self._watch())
        await asyncio.to_thread(self.broker.keep_queues)

    async def _until_it_listens(self, name: str, port: int) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while not await asyncio.to_thread(accepts, port):
            if time.monotonic() > until:
                raise TimeoutError(f"{name} does not listen\n{self._children[name].last_words()}")
            await asyncio.sleep(0.05)

    def _settings(self) -> str:
        lines = [f'data = "{self.folder}"', f'[store]\nurl = "{self.store_url}"', f'[bus]\nurl = "{self.bus_url}"']
        bindings = ", ".join(f'{port} = "{name}"' for port, name in BINDINGS.items())
        for name, (country, currency) in ENTITIES.items():
            said = f'name = "{name} Ltd."\ncountry = "{country}"\ncurrency = "{currency}"\nbindings = {{ {bindings} }}'
            lines.append(f"[entities.{name}]\n{said}")
        lines += [
            f'[connections.{name}]\nconnector = "{name}"\nsettings = {{ url = "http://127.0.0.1:{self._ports[name]}" }}' for name in HANDLES
        ]
        return "\n".join(lines) + "\n"

    def start(self, name: str) -> None:
        """Start a part of the gateway, or a vendor."""
        if name in HANDLES:
            program = [str(Path(__file__).with_name("vendor.py")), "--port", str(self._ports[name]), "--ledger", str(self.ledger(name))]
            seed = self.seed * 1000 + list(HANDLES).index(name) + 17 * self.kills
            command = [*program, "--handle", HANDLES[name], "--lag", str(LAG_S), "--seed", str(seed), "--rate", str(self.rate)]
            self._children[name] = Child.start(name, [sys.executable, *command], env=os.environ, log=self.folder / f"{name}.log")
            return
        role = "layer" if name == LAYER else "worker"
        command = ["-m", "tests.faults.storm.part", role, str(self.folder), "--port", str(self._ports[LAYER])]
        if self.mutant:
            command += ["--mutant", self.mutant]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("Q2C_")}
        environment = {**inherited, "PYTHONPATH": str(REPOSITORY)}
        self._children[name] = Child.start(name, [sys.executable, *command], env=environment, log=self.folder / f"{name}.log")

    async def _watch(self) -> None:
        """The supervisor: whatever has died is started again."""
        while True:
            for name, child in list(self._children.items()):
                if name not in self.held and not child.alive:
                    child.kill()  # what it may have left behind in its group
                    self.start(name)
            await asyncio.sleep(WATCH_EVERY_S)

    # what chaos does

    def kill(self, name: str) -> None:
        """As a power cut would; the supervisor starts it again."""
        self.kills += 1
        self._children[name].kill()

    async def freeze(self, name: str, for_s: float) -> None:
        """Stop a process and let it go on: it does not know that it was away."""
        self.held.add(name)
        child = self._children[name]
        child.pause()
        try:
            await asyncio.sleep(for_s)
        finally:
            child.resume()
            self.held.discard(name)

    async def crash_database(self) -> None:
        """Kill PostgreSQL and start it again on its files."""
        self.kills += 1
        await asyncio.to_thread(self.database.restart)

    async def kill_broker(self) -> None:
        """Kill RabbitMQ and start it again on its files."""
        self.kills += 1
        await asyncio.to_thread(self.broker.restart)

    async def hang_broker(self, for_s: float) -> None:
        """RabbitMQ answers nothing for a while, its connections stay open."""
        self.broker.pause()
        try:
            await asyncio.sleep(for_s)
        finally:
            self.broker.resume()

    async def alarm_broker(self, for_s: float) -> None:
        """RabbitMQ believes that its disk is full, and takes no messages."""
        await asyncio.to_thread(self.broker.control, "set_disk_free_limit", "9000GB")
        try:
            await asyncio.sleep(for_s)
        finally:
            await asyncio.to_thread(self.broker.control, "set_disk_free_limit", "50MB")

    async def calm(self) -> None:
        """No vendor misbehaves any more, nor one that is started from now on."""
        self.rate = 0.0
        for name in self.vendors:
            for _ in range(50):
                if await asyncio.to_thread(self._calmed, name):
                    break
                await asyncio.sleep(0.1)

    def _calmed(self, name: str) -> bool:
        """Ask until the vendor itself has answered: its faults may eat the first requests."""
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[name], timeout=2)
        try:
            connection.request("POST", "/calm", body=b"{}")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def close(self) -> None:
        """End everything."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        for child in self._children.values():
            with contextlib.suppress(OSError):
                child.resume()
            child.kill()
        self.broker.stop()
        self.database.stop()
