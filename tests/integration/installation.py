"""A whole installation as processes of their own: the simulated vendors and the gateway, on free ports, in a folder of its own."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import msgspec

from deploy.services.children import Child
from deploy.services.ports import FIRST, LAST, accepts, free_port, is_free
from deploy.services.software import REPOSITORY
from gateway.simulated import SIMULATORS
from policies.development_issuer import DevelopmentIssuer
from system_apis.simulation import Effect
from tests.integration.doors import Door, kept, until

READY_WITHIN_S = 40.0
# The simulated vendors are never still at a write when they have dropped its connection.
VENDORS_AT_REST = "".join(f'[connections.{name}]\nconnector = "{name}"\nsettles_in_s = 1\n' for name in ("tryton", "kantata"))


def neighbouring_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = free_port()
        if FIRST <= first <= LAST - count and all(is_free(first + step) for step in range(count)):
            return first


class Installation:
    """Starts parts of an installation by name, and ends them all."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None, settings: str = "") -> None:
        self._folder = folder
        self._children: dict[str, Child] = {}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("Q2C_")}
        self._environment = {**inherited, "PYTHONPATH": str(REPOSITORY), **(environment or {})}
        self._settings = folder / "settings.toml"
        self._settings.write_text(settings)
        self._http = httpx.AsyncClient(timeout=30.0)
        self._vendors = neighbouring_ports(len(SIMULATORS))
        self.token = DevelopmentIssuer(folder).mint("integration")

    @property
    def where(self) -> tuple[str, ...]:
        """The options by which a command finds its data, settings and vendors."""
        return (*self.data, "--simulators", self.vendor_url(0))

    @property
    def data(self) -> tuple[str, ...]:
        """The options by which a command finds its data and settings."""
        return ("--settings", str(self._settings), *self.folder)

    @property
    def folder(self) -> tuple[str, ...]:
        """The option by which a command that asks no vendor finds its data."""
        return ("--data", str(self._folder))

    def vendor_url(self, position: int) -> str:
        """The address of one of the simulated vendors."""
        return f"http://127.0.0.1:{self._vendors + position}"

    def start(self, name: str, *arguments: str, module: str = "gateway", environment: Mapping[str, str] | None = None) -> Child:
        """Run ``q2c``, or another module in its place, with these arguments."""
        command = [sys.executable, "-m", module, *arguments]
        environment = {**self._environment, **(environment or {})}
        self._children[name] = Child.start(name, command, env=environment, log=self._folder / f"{name}.log")
        return self._children[name]

    def part(self, name: str) -> Child:
        """A part that was started."""
        return self._children[name]

    def said(self, name: str, event: str) -> bool:
        """Whether a part has written this event into its log."""
        return f'"event":"{event}"' in (self._folder / f"{name}.log").read_text("utf-8")

    async def finished(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Run ``q2c`` with these arguments to its end, which must be a good one."""
        command = [sys.executable, "-m", "gateway", *arguments]
        environment = {**self._environment, **(environment or {})}
        done = await asyncio.create_subprocess_exec(*command, cwd=self._folder, env=environment, stderr=asyncio.subprocess.PIPE)
        _, said = await done.communicate()
        assert done.returncode == 0, f"{name}: {said.decode()}"

    def start_vendors(self, webhooks: str) -> None:
        """Run the simulated vendors, which push to this address, and wait until all of them listen."""
        vendors = self.start("vendors", "simulate", "--base-port", str(self._vendors), "--webhooks", webhooks)
        for position in range(len(SIMULATORS)):
            vendors.wait_until(lambda at=position: accepts(self._vendors + at), within_s=READY_WITHIN_S)  # type: ignore[misc]

    async def ready(self, name: str, url: str) -> None:
        """Wait until a part of the gateway says that it takes work."""
        self._children[name].wait_until(lambda: accepts(int(url.rpartition(":")[2])), within_s=READY_WITHIN_S)
        async with Door(url) as door:
            await until(door.takes_work, f"{name} takes work")

    async def books(self) -> dict[str, list[Effect]]:
        """Every vendor's committed effects."""
        answers = await asyncio.gather(*(self._http.get(f"{self.vendor_url(at)}/_sim/ledger") for at in range(len(SIMULATORS))))
        return {one.name: msgspec.json.decode(a.content, type=list[Effect]) for one, a in zip(SIMULATORS, answers, strict=True)}

    async def effects(self) -> Counter[tuple[str, str, str]]:
        """How often each vendor's books have each effect: vendor, kind, business key."""
        return Counter(
            {(vendor, *effect): times for vendor, ledger in (await self.books()).items() for effect, times in kept(ledger).items()}
        )

    def kill(self, name: str) -> None:
        """End a part as a power cut would."""
        self._children[name].kill()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End everything at once; nothing is to be kept."""
        await self._http.aclose()
        for child in self._children.values():
            child.kill()
