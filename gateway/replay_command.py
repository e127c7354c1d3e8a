"""``q2c replay``: deliver again what was handled; with ``--preview`` say what that would do."""

import asyncio
import datetime as dt
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from canonical.failures import Rejected
from gateway.compose import Gateway
from gateway.context import Where
from gateway.settings import Settings
from runtime.keys import new_correlation_id
from runtime.process.replaying import Plan, Replayer, Selection, republish
from runtime.store.contract import IdempotencyRecord, PutIdempotency

KEPT_FOR = dt.timedelta(days=365 * 10)
SHOWN = 50

SettingsPath = Annotated[Path | None, typer.Option("--settings", "-s", help="Settings file (TOML).", envvar="Q2C_SETTINGS")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder for what this host keeps.", envvar="Q2C_DATA")]


def replay(  # noqa: PLR0917 - each is an option of the command line
    settings: SettingsPath = None,
    data: Data = None,
    preview: Annotated[bool, typer.Option("--preview", help="Say what would be created, updated and skipped; write nothing.")] = False,
    correlation_id: Annotated[str, typer.Option("--correlation-id", help="One transaction.")] = "",
    case: Annotated[str, typer.Option("--case", help="The instance of a case.")] = "",
    process: Annotated[str, typer.Option("--process", help="One process only, e.g. order_booking.")] = "",
    since: Annotated[str, typer.Option("--since", help="Begun from this moment on (ISO 8601; a date means its beginning, UTC).")] = "",
    until: Annotated[str, typer.Option("--until", help="Begun before this moment.")] = "",
    tenant: str = "default",
    by: Annotated[str, typer.Option("--by", help="Who asks for it, for the audit trail.")] = "operator",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Deliver again what was handled: finished work has no new effect, parked work goes on."""
    if not (correlation_id or case or process or since or until):
        raise Rejected("nothing_selected", "say what to replay: --correlation-id, --case, --process, --since or --until")
    selection = Selection(
        correlation_id=correlation_id, case_id=case, process=process, since=moment(since, "--since"), until=moment(until, "--until")
    )
    plan = asyncio.run(_run(Where(settings, data).load(), tenant, selection, by, preview=preview))
    typer.echo(msgspec.json.encode(plan).decode() if as_json else told(plan, preview=preview))


def moment(text: str, option: str) -> dt.datetime | None:
    """A moment as people write it. Raises `Rejected` with the name of the option."""
    if not text:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected("not_a_moment", f"{option}: {text!r} is no date or time in ISO 8601, e.g. 2026-11-30 or 2026-11-30T14:00") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


async def _run(settings: Settings, tenant: str, selection: Selection, by: str, *, preview: bool) -> Plan:
    gateway = Gateway(settings)
    replayer = Replayer(gateway.engine, gateway.store, gateway.bus)
    if preview:  # the store alone: a preview needs no bus
        await gateway.store.start()
        try:
            return await replayer.plan(tenant, selection, _progress)
        finally:
            await gateway.store.stop()
    await gateway.start(works=False)
    try:
        plan = await replayer.carry_out(tenant, selection, by=by, progress=_progress)
        await gateway.store.commit([recorded(plan, tenant, selection, by, gateway.clock.now())])
        return plan
    finally:
        await gateway.stop()


def republish_command(
    since: Annotated[str, typer.Option("--since", help="From this moment on (ISO 8601): before the broker began to lose messages.")],
    settings: SettingsPath = None,
    data: Data = None,
) -> None:
    """Put what was sent since a moment onto the bus again, for a broker that has lost its data; what was handled has no new effect."""
    begin = moment(since, "--since")
    if begin is None:
        raise Rejected("nothing_selected", "say since when: --since 2026-11-30T14:00")
    count = asyncio.run(_republished(Where(settings, data).load(), begin))
    typer.echo(f"{count:,} messages are on the bus again.")


async def _republished(settings: Settings, since: dt.datetime) -> int:
    gateway = Gateway(settings)
    await gateway.start(works=False)
    try:
        return await republish(gateway.store, gateway.bus, since, _progress)
    finally:
        await gateway.stop()


def recorded(plan: Plan, tenant: str, selection: Selection, by: str, now: dt.datetime) -> PutIdempotency:
    """The record of a replay, and by it its row in the audit trail."""
    return PutIdempotency(
        IdempotencyRecord(
            tenant=tenant,
            scope=f"replay:{by}",
            key=new_correlation_id(),
            fingerprint="",
            status=200,
            headers={},
            body=msgspec.json.encode({"selection": selection, "plan": msgspec.structs.replace(plan, instances=())}),
            created_at=now,
            expires_at=now + KEPT_FOR,
        )
    )


def _progress(done: int) -> None:
    if sys.stderr.isatty() and done % 100 == 0:
        typer.echo(f"\r{done:,} instances", err=True, nl=False)


def told(plan: Plan, *, preview: bool) -> str:
    """The plan for a person."""
    word = "would be" if preview else "were"
    lines = [f"{'process/key':<44}{'is':<10}{'replay':<11}{'creates':<44}why"]
    active = [one for one in plan.instances if one.deed != "redeliver" or one.creates]
    for one in [*active, *(one for one in plan.instances if one not in active)][:SHOWN]:
        name = f"{one.process}/{one.key}"
        lines.append(f"{name:<44}{one.status:<10}{one.deed:<11}{', '.join(one.creates) or '-':<44}{one.why}".rstrip())
    if plan.matched > SHOWN:
        lines.append(f"… and {plan.matched - SHOWN:,} more")
    lines.append(
        f"{plan.matched:,} instances: {plan.redelivered:,} {word} delivered again, {plan.resumed:,} taken up, {plan.left:,} left alone; "
        f"effects: {plan.creates:,} {word} created, {plan.updates:,} told, {plan.skips:,} skipped because they are there"
    )
    return "\n".join(lines)
