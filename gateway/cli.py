"""``q2c``: one command for running the gateway, looking into it, and asking it about itself."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import uvloop

from canonical.failures import Failure, Rejected, Unavailable
from gateway import inspecting, running
from gateway.audit_commands import audit_app
from gateway.compose import LAYERS, Layer
from gateway.context import Where
from gateway.letters_commands import letters_app
from gateway.replay_command import replay, republish_command
from gateway.simulated import BASE_PORT
from process_apis.undo_planning import STATES, Abilities, ClosedPeriod, Document, plan
from system_apis.bank_files.printing import main_statement

app = typer.Typer(name="q2c", no_args_is_help=True, add_completion=False, help="The quote-to-cash gateway.", pretty_exceptions_enable=False)
process_app = typer.Typer(no_args_is_help=True, help="The tables of the processes.")
app.add_typer(process_app, name="process")
app.add_typer(audit_app, name="audit")
app.add_typer(letters_app, name="dead-letters")
app.command()(replay)
app.command("republish")(republish_command)

SettingsPath = Annotated[
    Path | None, typer.Option("--settings", "-s", help="Settings file (TOML). Default: embedded defaults.", envvar="Q2C_SETTINGS")
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder for what this host keeps.", envvar="Q2C_DATA")]
Simulators = Annotated[
    str, typer.Option("--simulators", help="Bind both sample entities to the simulators at this address (the first of six ports).")
]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on.")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.")]


@app.command()
def run(
    data: Data = None, port: Port = None, base_port: Annotated[int, typer.Option(help="First port of the simulators.")] = BASE_PORT
) -> None:
    """Start the gateway with embedded defaults and the simulators that it is bound to; serve until interrupted."""
    raise typer.Exit(running.run_all(data or Path("q2c-data"), port or 8000, base_port))


@app.command()
def demo(
    scaled: Annotated[
        bool, typer.Option("--scaled", help="With RabbitMQ and PostgreSQL, layers and workers as separate processes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON in the last line.")] = False,
    folder: Annotated[Path | None, typer.Option("--deals", help="Folder with the deals.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data folder.")] = False,
) -> None:
    """Drive the sample deals from quote to cash, and say whether each ended as its file says."""
    from gateway.demo import main as drive  # noqa: PLC0415 - the demo's own needs shall not burden every other command

    raise typer.Exit(drive(scaled=scaled, as_json=as_json, folder=folder, keep=keep))


@app.command()
def serve(
    settings: SettingsPath = None,
    data: Data = None,
    simulators: Simulators = "",
    host: Host = None,
    port: Port = None,
    layer: Annotated[
        list[str] | None, typer.Option("--layer", help="Serve this layer only (system, process, experience); repeatable.")
    ] = None,
) -> None:
    """Serve HTTP. Without --layer: all layers and the workers in this one process."""
    where = Where(settings, data, simulators, host, port)
    layers: list[Layer] = []
    for name in layer or []:
        if name not in LAYERS:
            raise typer.BadParameter(f"there are the layers {', '.join(LAYERS)}", param_hint="--layer")
        layers.append(name)
    _done(running.serve(where.load(), layers=tuple(layers) or LAYERS, works=not layers))


@app.command()
def worker(settings: SettingsPath = None, data: Data = None, simulators: Simulators = "") -> None:
    """Work: run processes, serve connections, poll, translate webhooks. Start as many as are needed."""
    _done(running.work(Where(settings, data, simulators).load()))


@app.command()
def migrate(settings: SettingsPath = None, data: Data = None) -> None:
    """Bring the store's schema to this release. Safe to run again."""
    _done(running.migrate_store(Where(settings, data).load()))
    typer.echo("The store's schema is that of this release.")


@app.command()
def check(settings: SettingsPath = None, data: Data = None, simulators: Simulators = "") -> None:
    """Compare tables, cards and bindings: every command that a process can ask has to be on the card of the bound connector. And where
    the store is at hand: every running instance has to have its version of the table in this release.
    """
    loaded = Where(settings, data, simulators).load()
    faults = inspecting.check(loaded)
    try:
        faults += asyncio.run(inspecting.check_store(loaded))
    except Unavailable as failure:
        typer.echo(f"The store is not at hand, so running instances were not looked at: {failure.detail}", err=True)
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)
    typer.echo("Tables, cards and bindings fit.")


@app.command()
def routes(settings: SettingsPath = None, data: Data = None, simulators: Simulators = "") -> None:
    """Every HTTP route and what it promises."""
    typer.echo(inspecting.routes_text(Where(settings, data, simulators).load()), nl=False)


@app.command()
def topology(settings: SettingsPath = None, data: Data = None, simulators: Simulators = "") -> None:
    """Every queue, and which messages go there."""
    typer.echo(inspecting.topology_text(Where(settings, data, simulators).load()), nl=False)


@app.command()
def capabilities(settings: SettingsPath = None, data: Data = None, simulators: Simulators = "") -> None:
    """What each connection can do, how its writes are made single, what it loses."""
    typer.echo(inspecting.capabilities_text(Where(settings, data, simulators).load()), nl=False)


@app.command("undo-plan")
def undo_plan(
    state: Annotated[str, typer.Option(help=f"What the document has become: {', '.join(STATES)}.")],
    dated: Annotated[str, typer.Option(help="Its date (ISO 8601).")],
    period: Annotated[str, typer.Option(help="Its accounting period: open or closed.")] = "open",
    next_open: Annotated[str, typer.Option("--next-open", help="First day of the next open period.")] = "",
    policy: Annotated[str, typer.Option(help="For closed periods: next_open_period or hold.")] = "next_open_period",
    voids: Annotated[bool, typer.Option("--voids/--no-voids", help="Whether the ERP voids posted documents.")] = False,
    credit_notes: Annotated[bool, typer.Option("--credits/--no-credits", help="Whether it issues credit notes.")] = True,
) -> None:
    """How a document in a ledger is taken back without removing anything: void, credit note, reversing entry, or hold."""
    asked = {"state": state, "period_open": period == "open", "dated": dated, "next_open_on": next_open or None}
    try:
        document, by_policy = msgspec.convert(asked, Document), msgspec.convert(policy, ClosedPeriod)
    except msgspec.ValidationError as error:
        raise Rejected("undo_plan", str(error)) from error
    found = plan(document, Abilities(voids=voids, credits=credit_notes), by_policy)
    typer.echo(
        f"{found.act.replace('_', ' ')}{f' as of {found.on}' if found.on else ''}: {found.why}{f'; {found.cash}' if found.cash else ''}"
    )


@app.command()
def asyncapi(out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None) -> None:
    """The AsyncAPI 3 document of all messages, made from their classes."""
    from gateway.asyncapi import text  # noqa: PLC0415 - only this command needs it

    document = text(Where().load())
    if out is None:
        typer.echo(document, nl=False)
    else:
        out.write_text(document, "utf-8")


@process_app.command("show")
def process_show(name: str, mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False) -> None:
    """The table of a process."""
    typer.echo(inspecting.process_text(name, mermaid=mermaid), nl=False)


@process_app.command("list")
def process_list() -> None:
    """The names of all processes."""
    typer.echo("\n".join(inspecting.process_names()))


@app.command()
def story(reference: str, settings: SettingsPath = None, data: Data = None, tenant: str = "default") -> None:
    """What happened, as a story: by correlation id, order id, quote id, payment id, or process/key."""
    text = asyncio.run(inspecting.story_text(Where(settings, data).load(), tenant, reference))
    if not text:
        typer.echo(f"Nothing is known under {reference}.", err=True)
        raise typer.Exit(1)
    typer.echo(text, nl=False)


@app.command()
def token(
    data: Data = None,
    subject: Annotated[str, typer.Option(help="Who the token speaks for.")] = "developer",
    scope: Annotated[str, typer.Option(help="Scopes, separated by blanks; default: all.")] = "",
    hours: Annotated[float, typer.Option(help="How long it holds.")] = 12.0,
    settings: SettingsPath = None,
) -> None:
    """Print an access token of the development issuer."""
    typer.echo(running.development_token(Where(settings, data).load(), subject, scope, hours))


@app.command()
def simulate(
    base_port: Annotated[int, typer.Option("--base-port", help="First of six neighbouring ports.")] = BASE_PORT,
    state: Annotated[Path | None, typer.Option("--state", help="Folder that keeps the simulators' state over a restart.")] = None,
    webhooks: Annotated[str, typer.Option("--webhooks", help="Where webhooks go.")] = "http://127.0.0.1:8000/webhooks",
) -> None:
    """Serve the vendor simulators: Salesforce, NetSuite, Tryton, Stripe, Avalara, Kantata."""
    _done(running.simulate(base_port, state, webhooks))


@app.command()
def statement(file: str, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Read a bank statement file (MT940, CAMT.052/053/054) and print its lines, or why it is refused."""
    raise typer.Exit(main_statement(file, as_json))


def _done(work: Coroutine[Any, Any, None]) -> None:
    uvloop.run(work)


def main() -> None:
    """The entry point: a failure that has a word is one clear line, not a traceback."""
    try:
        app()
    except Failure as failure:
        typer.echo(f"q2c: {failure.detail}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
