"""Long-running commands: serve, work, simulate, and all of it together."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from pathlib import Path
from typing import Any

import structlog
import typer
import uvicorn
import uvloop
from litestar import Litestar
from litestar.types import ASGIApp

from canonical.failures import Misconfigured, Unavailable
from gateway.compose import LAYERS, Gateway, Layer
from gateway.context import Where
from gateway.ending import Ending
from gateway.logs import catch_strays, configure_logs
from gateway.roster import CONNECTORS
from gateway.settings import Settings
from gateway.simulated import SIMULATORS, apps
from gateway.watching import metrics_shown
from gateway.welcome import welcome
from policies.development_issuer import ALL_SCOPES, DevelopmentIssuer
from runtime.store.migrations import migrate
from system_apis.connector import Connector

ANSWERING_SHARE = 0.3  # of the time that a process has to end: for the requests in work


async def migrate_store(settings: Settings) -> None:
    """Bring the schema to this release; makes the data folder for the embedded store."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    await migrate(settings.store_url)


async def serve(
    settings: Settings,
    *,
    layers: Sequence[Layer] = LAYERS,
    works: bool,
    greeting: str = "",
    connectors: Sequence[Connector] = CONNECTORS,
) -> None:
    """Serve HTTP until interrupted; with `works` this process is a worker, too. The embedded store migrates itself.

    ``greeting`` is printed when requests are taken.
    """
    refuse_taken(settings.http.host, settings.http.port)
    configure_logs()
    catch_strays()
    if not settings.store.url:
        await migrate_store(settings)
    gateway = Gateway(settings, connectors=connectors)
    server = _server(gateway.app(layers), settings)
    with Ending(settings.stop.within_s) as ending:
        try:
            start = _started(gateway, server, works=works, greeting=greeting)
            await _served(server, start, ending, going=gateway.stops_taking_work)
        finally:
            await gateway.stop()


async def _started(gateway: Gateway, server: "_Server", *, works: bool, greeting: str) -> None:
    await gateway.start(works=works)
    await server.listens.wait()
    if greeting:
        typer.echo(greeting)


async def _served(server: "_Server", start: Coroutine[Any, Any, None], ending: Ending, *, going: Callable[[], None]) -> None:
    """Answer requests from the first moment on: while store and broker are waited for we are alive, and say that we are not ready."""
    serving, starting = asyncio.create_task(server.serve()), asyncio.create_task(start)
    asked = asyncio.create_task(ending.asked.wait())
    try:
        ended, _ = await asyncio.wait({serving, starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if ended == {starting} and starting.exception() is None:
            await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        going()
        server.should_exit = True
        asked.cancel()
        starting.cancel()
        outcomes = await asyncio.gather(serving, starting, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def work(settings: Settings, *, connectors: Sequence[Connector] = CONNECTORS) -> None:
    """Work without HTTP until interrupted."""
    configure_logs()
    catch_strays()
    gateway = Gateway(settings, connectors=connectors)
    with Ending(settings.stop.within_s) as ending, metrics_shown(settings.http.host, settings.telemetry.metrics_port):
        starting = asyncio.create_task(_at_work(gateway))
        asked = asyncio.create_task(ending.asked.wait())
        try:
            await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await asked
        finally:
            starting.cancel()
            asked.cancel()
            await asyncio.gather(starting, asked, return_exceptions=True)
            await gateway.stop()


async def _at_work(gateway: Gateway) -> None:
    await gateway.start(works=True)
    structlog.get_logger("q2c.gateway").info("worker_at_work")


def refuse_taken(host: str, *ports: int) -> None:
    """Raises `Misconfigured` for a port on which something listens already."""
    for port in ports:
        try:
            socket.create_server((host, port)).close()
        except OSError as error:
            raise Misconfigured("port_taken", f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from error


def _server(app: Litestar | ASGIApp, settings: Settings) -> "_Server":
    config = uvicorn.Config(
        app,
        host=settings.http.host,
        port=settings.http.port,
        log_config=None,
        access_log=False,
        http="httptools",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.stop.within_s * ANSWERING_SHARE)),
    )
    return _Server(config)


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to whoever runs it: its own way would end the process before its work is handed back."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Server(_Quiet):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.listens.set()


async def simulate(base_port: int, state: Path | None, webhooks: str) -> None:
    """Serve the simulators on neighbouring ports until interrupted."""
    configure_logs()
    catch_strays()
    servers = [_simulator(app, base_port + position) for position, (_, app) in enumerate(apps(state, webhooks))]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve() for server in servers))


def _simulator(app: ASGIApp, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        port=port,
        log_config=None,
        access_log=False,
        http="httptools",
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    return _Quiet(config)


def run_all(data: Path, port: int, base_port: int) -> int:
    """The simulators in a process of their own, the gateway in this one; until interrupted."""
    data.mkdir(parents=True, exist_ok=True)
    refuse_taken("127.0.0.1", port, *(base_port + position for position in range(len(SIMULATORS))))
    command = [sys.executable, "-m", "gateway", "simulate", "--base-port", str(base_port), "--state", str(data / "simulators")]
    simulators = subprocess.Popen([*command, "--webhooks", f"http://127.0.0.1:{port}/webhooks"], env=dict(os.environ))  # noqa: S603 - our own program
    try:
        settings = Where(None, data, f"http://127.0.0.1:{base_port}", None, port).load()
        text = welcome(settings, base_port, [s.name for s in SIMULATORS], development_token(settings, "developer", "", 12))
        wait_for_simulators(simulators, base_port)
        uvloop.run(serve(settings, works=True, greeting=text))
    finally:
        simulators.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            simulators.wait(5)
    return 0


def wait_for_simulators(process: "subprocess.Popen[bytes]", base_port: int, *, within_s: float = 30.0) -> None:
    """Returns when all of them take connections. Raises `Unavailable` when they end or take too long."""
    until = time.monotonic() + within_s
    for position in range(len(SIMULATORS)):
        while True:
            try:
                socket.create_connection(("127.0.0.1", base_port + position), timeout=1).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > until:
                    raise Unavailable("no_simulators", "the simulators did not start; their reason stands above") from error
                time.sleep(0.05)


def development_token(settings: Settings, subject: str, scope: str, hours: float) -> str:
    """A token of the development issuer in the data folder."""
    return DevelopmentIssuer(settings.folder).mint(subject, scopes=scope or ALL_SCOPES, valid_s=int(hours * 3600))
