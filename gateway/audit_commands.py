"""``q2c audit``: verify the trail, export it, print its signed heads."""

import asyncio
import datetime as dt
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from canonical.failures import Rejected
from gateway.audit_heads import HEADS_FILE, AuditKey, kept_heads
from gateway.context import Where
from gateway.settings import Settings
from runtime.audit import Verdict, rows_of, verify
from runtime.clock import SystemClock
from runtime.store.engine import SqlStore, open_store

audit_app = typer.Typer(no_args_is_help=True, help="The audit trail: append-only, chained by hashes, its heads signed.")

SettingsPath = Annotated[Path | None, typer.Option("--settings", "-s", help="Settings file (TOML).", envvar="Q2C_SETTINGS")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder for what this host keeps.", envvar="Q2C_DATA")]
Tenant = Annotated[str, typer.Option("--tenant", help="One tenant only; default: all.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
EVERY_ROWS = 10_000


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[SqlStore]:
    store = open_store(settings.store_url, SystemClock())
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def _key(settings: Settings) -> AuditKey:
    return AuditKey(settings.folder, settings.audit.key)


def _told(tenant: str, rows: int) -> None:
    """Progress, for a person who waits."""
    if sys.stderr.isatty() or rows % EVERY_ROWS == 0:
        typer.echo(f"\r{tenant}: {rows:,} rows examined", err=True, nl=not sys.stderr.isatty())


@audit_app.command("verify")
def verify_command(
    settings: SettingsPath = None,
    data: Data = None,
    tenant: Tenant = "",
    heads: Annotated[Path | None, typer.Option("--heads", help="File of signed heads; default: the one in the data folder.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Public key (PEM) of the heads; default: this installation's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether every row is as it was written, in its place and there; name each that is not. Exits 1 where something is wrong."""
    loaded = Where(settings, data).load()
    verdicts = asyncio.run(_verified(loaded, tenant, heads or loaded.folder / HEADS_FILE, key))
    if as_json:
        typer.echo(msgspec.json.encode(verdicts))
    else:
        for verdict in verdicts:
            _print(verdict)
        if not verdicts:
            typer.echo("The audit trail is empty.")
    if any(verdict.findings for verdict in verdicts):
        raise typer.Exit(1)


async def _verified(settings: Settings, tenant: str, heads: Path, key: Path | None) -> list[Verdict]:
    public = key.read_text("ascii") if key else _key(settings).public_pem()
    signed = kept_heads(heads, public)
    async with _open(settings) as store:
        known = {head.tenant for head in (*await store.audit_heads(), *signed)}
        return [await verify(store, one, signed=signed, progress=_told) for one in sorted(known if not tenant else {tenant})]


def _print(verdict: Verdict) -> None:
    for finding in verdict.findings:
        typer.echo(f"{finding.tenant}: {finding.what.replace('_', ' ')}: {finding.detail}")
    state = f"{len(verdict.findings)} findings" if verdict.findings else "every row is as it was written"
    typer.echo(f"{verdict.tenant}: {verdict.rows:,} rows, {verdict.lines:,} journal lines: {state}; head {verdict.head[:16]}…")


@audit_app.command("export")
def export(
    settings: SettingsPath = None,
    data: Data = None,
    tenant: Annotated[str, typer.Option(help="Whose trail.")] = "default",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None,
) -> None:
    """Write the trail as JSON lines, oldest first, its signed head as the last line: for an auditor, or for another place."""
    loaded = Where(settings, data).load()
    if out is None:
        asyncio.run(_exported(loaded, tenant, sys.stdout.buffer))
        return
    unfinished = out.with_suffix(out.suffix + ".part")
    with unfinished.open("wb") as file:
        rows = asyncio.run(_exported(loaded, tenant, file))
    unfinished.replace(out)
    typer.echo(f"{rows:,} rows written to {out}", err=True)


async def _exported(settings: Settings, tenant: str, file: Any) -> int:
    rows, head = 0, None
    async with _open(settings) as store:
        head = next((head for head in await store.audit_heads() if head.tenant == tenant), None)
        if head is None:
            raise Rejected("audit_empty", f"there is no audit trail of a tenant called {tenant!r}")
        async for page in rows_of(store, tenant):
            for row in page:
                if row.seq > head.seq:
                    break
                at = dt.datetime.fromtimestamp(row.at / 1_000_000, dt.UTC).isoformat()
                file.write(msgspec.json.encode({**msgspec.to_builtins(row), "time": at}) + b"\n")
                rows += 1
    file.write(msgspec.json.encode({"head": _key(settings).sign(head, int(time.time()))}) + b"\n")
    return rows


@audit_app.command("head")
def head_command(settings: SettingsPath = None, data: Data = None, tenant: Tenant = "") -> None:
    """Print the signed heads (a JWS a line): keep them where the database's owner cannot write, and verify with --heads."""
    loaded = Where(settings, data).load()

    async def heads() -> list[str]:
        async with _open(loaded) as store:
            wanted = [head for head in await store.audit_heads() if tenant in ("", head.tenant)]
        return [_key(loaded).sign(head, int(time.time())) for head in wanted]

    for line in asyncio.run(heads()):
        typer.echo(line)


@audit_app.command("key")
def key_command(settings: SettingsPath = None, data: Data = None) -> None:
    """Print the public key with which signed heads can be verified elsewhere."""
    typer.echo(_key(Where(settings, data).load()).public_pem(), nl=False)
