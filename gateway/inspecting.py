"""The gateway tells about itself: routes, queues, capabilities, tables, stories. The prints are the truth that the code runs on."""

from collections.abc import Iterable

from canonical.failures import Misconfigured
from canonical.messages import Command
from gateway.compose import LAYERS, Gateway, connections_of
from gateway.roster import INQUIRIES, processes
from gateway.settings import Settings
from policies.enforce import declared
from process_apis.quote_approval.steps import order_id_of
from process_apis.worker import all_queues as process_queues
from runtime.clock import SystemClock
from runtime.process.declare import Process
from runtime.process.story import mermaid as as_mermaid
from runtime.process.story import stories, table
from runtime.process.versions import orphans
from runtime.store.contract import Store
from runtime.store.engine import open_store
from runtime.store.migrations import schema_version
from system_apis.capabilities import as_text
from system_apis.capabilities import capabilities as capabilities_of
from system_apis.worker import all_queues as system_queues


def check(settings: Settings) -> list[str]:
    """What does not fit, a line each; nothing where all is well."""
    connections = {connection.name: connection for connection in connections_of(settings)}
    faults = [] if settings.entities else ["no legal entity is set: [entities.NAME] binds ports to connections"]
    for name, entity in settings.entities.items():
        for port, bound in entity.bindings.items():
            if bound not in connections:
                faults.append(f"entity {name} binds {port} to {bound}, which is not a connection")
        for process, command in _asked(processes(settings.approval)):
            bound = entity.bindings.get(command.port, "")
            if not bound:
                faults.append(f"entity {name}: {process} asks {command.wire_name()}, but no connection is bound to {command.port}")
            elif bound in connections and command not in connections[bound].card.does:
                faults.append(f"entity {name}: {process} asks {command.wire_name()}, which is not on the card of {bound}")
    return list(dict.fromkeys(faults))


async def check_store(settings: Settings) -> list[str]:
    """What runs in the store on a table that this release does not have, a line each: starting it would leave that behind.

    Raises `Unavailable` where the store cannot be reached. A store that does not exist yet has nothing running.
    """
    if not await schema_version(settings.store_url):
        return []
    store = open_store(settings.store_url, SystemClock())
    try:
        return orphans(await store.versions_in_use(), processes(settings.approval))
    finally:
        await store.stop()


def _asked(tables: Iterable[Process]) -> Iterable[tuple[str, type[Command]]]:  # type: ignore[type-arg]
    for process in tables:
        for command in process.asks:
            yield process.name, command
    for inquiry in INQUIRIES:
        for line in inquiry.checks:
            shape = getattr(line.command, "__annotations__", {}).get("return")
            if shape is not None:
                yield inquiry.name, shape


def routes_text(settings: Settings) -> str:
    """Method, path, profile, who signs, scope, idempotency, version; a line each."""
    app = Gateway(settings).app(LAYERS)
    rows = [f"{'method':<8}{'path':<52}{'profile':<10}{'signed by':<11}{'scope':<20}{'idempotency':<13}version"]
    for path, method, _, promised in declared(app):
        if promised is None:
            rows.append(f"{method:<8}{path:<52}UNDECLARED")
            continue
        scope = promised.scope or "-"
        row = f"{method:<8}{path:<52}{promised.profile:<10}{promised.signed_by:<11}{scope:<20}{promised.idempotency:<13}{promised.version}"
        rows.append(row)
    return "\n".join(rows) + "\n"


def topology_text(settings: Settings) -> str:
    """Queues and what is bound to them."""
    gateway = Gateway(settings)
    queues = (*process_queues(gateway.tables, INQUIRIES), *system_queues(gateway.desk))
    rows = [f"{'queue':<34}{'kind':<10}events"]
    rows += [f"{q.name:<34}{'asks' if q.asks else 'work':<10}{', '.join(q.events) or '-'}" for q in queues]
    return "\n".join(rows) + "\n"


def capabilities_text(settings: Settings) -> str:
    """The capability matrix of all connections."""
    return as_text([line for connection in connections_of(settings) for line in capabilities_of(connection)])


def process_names() -> list[str]:
    """All tables and inquiries."""
    return [*(process.name for process in processes(Settings().approval)), *(inquiry.name for inquiry in INQUIRIES)]


def process_text(name: str, *, mermaid: bool) -> str:
    """The table of a process. Raises `Misconfigured` for a name that is not in the roster."""
    for process in processes(Settings().approval):
        if process.name == name:
            return as_mermaid(process) if mermaid else table(process)
    for inquiry in INQUIRIES:
        if inquiry.name == name:
            head = f"{name}, answers {inquiry.answers.wire_name()} within {inquiry.within_s:g} s, all checks at once"
            shapes = [getattr(c.command, "__annotations__", {}).get("return") for c in inquiry.checks]
            rows = [
                f"  {c.name:<14}{shape.wire_name() if shape else '(by itself)':<28}{c.judge.__name__}"
                for c, shape in zip(inquiry.checks, shapes, strict=True)
            ]
            return "\n".join([head, *rows]) + "\n"
    raise Misconfigured("unknown_process", f"no process is called {name!r}; there are {', '.join(process_names())}")


async def story_text(settings: Settings, tenant: str, reference: str) -> str:
    """The story behind any reference: correlation id, order, quote, payment, or process/key; empty where there is none."""
    store = open_store(settings.store_url, SystemClock())
    await store.start()
    try:
        correlation_id = await _correlation(store, tenant, reference)
        rows = await store.instances(tenant, correlation_id=correlation_id) if correlation_id else ()
        return stories([(row, await store.journal(tenant, row.process, row.key)) for row in rows])
    finally:
        await store.stop()


async def _correlation(store: Store, tenant: str, reference: str) -> str:
    if await store.instances(tenant, correlation_id=reference, limit=1):
        return reference
    process, _, key = reference.partition("/")
    if key and (found := await store.correlation_of(tenant, process, key)):
        return found
    tries = [("order_booking", reference), ("cash_application", reference), ("quote_approval", reference)]
    tries += [("quote_approval", f"{reference}.v{version}") for version in range(1, 20)] + [("order_booking", order_id_of(reference))]
    for process, key in tries:
        if found := await store.correlation_of(tenant, process, key):
            return found
    return ""
