"""``q2c dead-letters``: what could not be handled, why, and whose it is; and sending it back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.compose import Gateway
from gateway.context import Where
from gateway.roster import INQUIRIES
from gateway.settings import Settings
from process_apis.worker import all_queues as process_queues
from runtime.bus.contract import DeadLetter
from runtime.bus.topology import process_queue
from system_apis.worker import all_queues as system_queues

letters_app = typer.Typer(no_args_is_help=True, help="Messages that could not be handled.")

SettingsPath = Annotated[Path | None, typer.Option("--settings", "-s", help="Settings file (TOML).", envvar="Q2C_SETTINGS")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder for what this host keeps.", envvar="Q2C_DATA")]
OneQueue = Annotated[str, typer.Option("--queue", help="One queue only; default: all.")]
NOBODYS = "integration"


@asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[Gateway]:
    gateway = Gateway(settings)
    await gateway.start(works=False)
    try:
        yield gateway
    finally:
        await gateway.stop()


def _queues(gateway: Gateway, one: str) -> list[str]:
    every = (*process_queues(gateway.tables, INQUIRIES), *system_queues(gateway.desk))
    return [queue.name for queue in every if not queue.asks and one in ("", queue.name)]


def owners(gateway: Gateway) -> Mapping[str, str]:
    """Whose the dead letters of a queue are: the owner of its process; else whoever runs the integration."""
    return {process_queue(table.name): table.owner for table in gateway.tables}


def told(letter: DeadLetter, owner: str) -> dict[str, Any]:
    """A dead letter with its owner."""
    kind = letter.letter.type if letter.letter else "unreadable"
    said = {"queue": letter.queue, "id": letter.id, "type": kind, "owner": owner, "attempts": letter.attempts}
    return {**said, "correlation_id": letter.correlation_id, "reason": letter.reason}


@letters_app.command("list")
def list_command(
    settings: SettingsPath = None,
    data: Data = None,
    queue: OneQueue = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Dead letters, oldest first: queue, type, owner, attempts, correlation id and reason."""

    async def found() -> list[dict[str, Any]]:
        async with _gateway(Where(settings, data).load()) as gateway:
            whose = owners(gateway)
            names = _queues(gateway, queue)
            return [told(one, whose.get(name, NOBODYS)) for name in names for one in await gateway.bus.dead_letters(name)]

    letters = asyncio.run(found())
    if as_json:
        typer.echo(msgspec.json.encode(letters).decode())
        return
    for one in letters:
        typer.echo(
            f"{one['queue']:<26}{one['type']:<24}{one['owner']:<20}{one['attempts']:>3}  {one['correlation_id']:<20} {one['reason']}"
        )
    typer.echo(f"{len(letters)} dead letters")


@letters_app.command("redrive")
def redrive(settings: SettingsPath = None, data: Data = None, queue: OneQueue = "") -> None:
    """Send dead letters that can be read back to their queues, with a fresh count of attempts."""

    async def sent(tell: Callable[[str], None]) -> None:
        async with _gateway(Where(settings, data).load()) as gateway:
            for name in _queues(gateway, queue):
                if count := await gateway.bus.redrive(name):
                    tell(f"{name}: {count} sent back")

    asyncio.run(sent(typer.echo))
