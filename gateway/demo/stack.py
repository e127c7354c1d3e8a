"""A whole installation of its own: the simulated vendors and the gateway as processes, on free ports, with a fresh data folder.

Embedded: one gateway process. Scaled: PostgreSQL, RabbitMQ, each layer in a process of its own, and two workers.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import gateway
from canonical.failures import Failure
from gateway.demo.door import Addresses
from gateway.settings import PREFIX
from gateway.simulated import SIMULATORS
from policies.development_issuer import DevelopmentIssuer
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable

HOST = "127.0.0.1"
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 12.0
LOOK_EVERY_S = 0.1
WORKERS = 2
LAYERS = ("process", "experience", "system")


class NotStarted(Exception):
    """A part of the installation did not come up; the end of its log says why."""


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports on which nobody listens."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            first = int(probe.getsockname()[1])
        if first + count < 65536 and all(_is_free(first + step) for step in range(count)):
            return first
    raise NotStarted(f"there are no {count} neighbouring free ports on {HOST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Stack:
    """The installation. Whatever was started is stopped by `stop`, however far `start` has come."""

    def __init__(self, folder: Path, *, scaled: bool = False) -> None:
        self._folder = folder
        self._scaled = scaled
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._services = ExitStack()
        self._environment: dict[str, str] = {}
        self._base_port = free_ports(len(SIMULATORS) + len(LAYERS))
        ports = {layer: self._base_port + len(SIMULATORS) + (at if scaled else 0) for at, layer in enumerate(LAYERS)}
        self._ports = ports
        self.simulators = f"http://{HOST}:{self._base_port}"
        self.addresses = Addresses(**{layer: f"http://{HOST}:{port}" for layer, port in ports.items()})
        self._issuer = DevelopmentIssuer(folder / "data")
        self._tokens: dict[str, str] = {}

    def token(self, name: str) -> str:
        """A person's access token, as ``q2c token`` prints it."""
        if name not in self._tokens:
            self._tokens[name] = self._issuer.mint(name)
        return self._tokens[name]

    async def start(self) -> None:
        """Start everything and wait until it takes work. Raises `NotStarted`."""
        (self._folder / "logs").mkdir(parents=True, exist_ok=True)
        state, webhooks = str(self._folder / "simulators"), f"{self.addresses.system}/webhooks"
        self._run("simulators", "simulate", "--base-port", str(self._base_port), "--state", state, "--webhooks", webhooks)
        if self._scaled:
            await asyncio.to_thread(self._start_services)
            self._run("migrate", "migrate", *self._data())
            await self._until("migrate", self._finished)
        self.start_gateway()
        await self._until("simulators", _answering(f"http://{HOST}:{self._base_port + len(SIMULATORS) - 1}/_sim/ledger"))
        await self.ready()

    def start_gateway(self) -> None:
        """Start the gateway's own processes."""
        bound = (*self._data(), "--simulators", self.simulators)
        if not self._scaled:
            self._run("gateway", "serve", *bound, "--port", str(self._ports["process"]))
            return
        for layer in LAYERS:
            self._run(layer, "serve", *bound, "--layer", layer, "--port", str(self._ports[layer]))
        for number in range(1, WORKERS + 1):
            self._run(f"worker-{number}", "worker", *bound)

    async def ready(self) -> None:
        """Wait until every layer says that it takes work. Raises `NotStarted`."""
        for layer, base in (
            ("process", self.addresses.process),
            ("experience", self.addresses.experience),
            ("system", self.addresses.system),
        ):
            await self._until(layer if self._scaled else "gateway", _answering(f"{base}/health/ready"))

    def kill_gateway(self) -> None:
        """End the gateway as a power cut would; its data stay, and so do the vendors."""
        for name in [name for name in self._children if name != "simulators"]:
            child = self._children.pop(name)
            child.kill()
            child.wait()

    def stop(self) -> None:
        """End everything, the gateway before what it leans on."""
        for child in reversed(self._children.values()):
            child.send_signal(signal.SIGTERM)
        for name in reversed(list(self._children)):
            child = self._children.pop(name)
            try:
                child.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._services.close()

    def log(self, name: str, lines: int = 15) -> str:
        """The end of what a part has written."""
        path = self._folder / "logs" / f"{name}.log"
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:]) if path.exists() else ""

    def _data(self) -> tuple[str, str]:
        return "--data", str(self._folder / "data")

    def _start_services(self) -> None:
        from deploy.services import postgres, rabbitmq  # noqa: PLC0415 - only the scaled demo needs them, and an installed q2c has none

        database = postgres.start()
        self._services.callback(database.stop)
        broker = rabbitmq.start()
        self._services.callback(broker.stop)
        self._environment |= {f"{PREFIX}STORE__URL": database.url, f"{PREFIX}BUS__URL": broker.url}

    def _run(self, name: str, *arguments: str) -> None:
        with (self._folder / "logs" / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(  # noqa: S603 - our own program with our own arguments
                [sys.executable, "-m", "gateway", *arguments],
                env=environment(os.environ) | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops them in order
            )

    async def _finished(self) -> bool:
        return self._children["migrate"].poll() == 0

    async def _until(self, name: str, there: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a part; one that has ended, or takes too long, raises `NotStarted` with the end of its log."""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not await there():
                    if self._children[name].poll() not in {None, 0}:
                        raise NotStarted(f"{name} has ended:\n{self.log(name)}")
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError as error:
            raise NotStarted(f"{name} was not ready within {READY_WITHIN_S:g} s:\n{self.log(name)}") from error


def environment(outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of the parts: this source, and none of the settings that the caller may have set for an installation of his own."""
    source = str(Path(gateway.__file__).resolve().parents[1])
    kept = {name: value for name, value in outer.items() if not name.startswith(PREFIX)}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (source, outer.get("PYTHONPATH", ""))))}


def _answering(url: str) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        client = HttpClient("", failures=FailureTable({}), deadline_s=5)
        try:
            await client.send("GET", url)
        except Failure:
            return False
        finally:
            await client.aclose()
        return True

    return answers
