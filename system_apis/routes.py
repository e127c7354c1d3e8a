"""The HTTP routes of the system layer: unified resources of each connection, and the one door for webhooks."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from canonical.failures import Rejected
from canonical.messages import Command, Event
from policies import bodies
from policies.declare import INTERNAL, WEBHOOK
from policies.problems import Problem
from runtime.context import current
from runtime.house import House
from runtime.process.asking import Answer
from system_apis.capabilities import Capability, capabilities
from system_apis.desk import Connection, Desk
from system_apis.intake import Intake
from system_apis.webhooks import receive

Raw = Request[Any, Any, Any]
FILE_TYPES = ("text/plain", "application/xml", "text/xml", "application/octet-stream")
FILE_BYTES_MAX = 20 * 1024 * 1024


class Resources(Controller):
    """Customers, sales orders, invoices …: the same for every vendor. GET asks, POST makes."""

    path = "/system/v1"
    tags = ("system",)

    @get("/capabilities", opt=INTERNAL.but(scope="system:read").opt)
    async def matrix(self, desk: NamedDependency[Desk]) -> list[Capability]:
        """What each connection can do, how its writes are made single, what it loses."""
        return [line for connection in desk.connections.values() for line in capabilities(connection)]

    @get("/{connection:str}/{resource:str}", opt=INTERNAL.but(scope="system:read").opt)
    async def read(self, connection: FromPath[str], resource: FromPath[str], request: Raw, desk: NamedDependency[Desk]) -> Response[Event]:
        """Ask a connection for records; the query parameters are the fields of the resource's command."""
        found = _connection(desk, connection)
        shape = _command(found, resource, "get")
        command = _from_query(shape, {key: request.query_params.getall(key) for key in request.query_params})
        answer = await _ask(desk, found, command, "")
        return Response(answer.reply)

    @post("/{connection:str}/{resource:str}", status_code=200, opt=INTERNAL.but(scope="system:write", idempotency="required").opt)
    async def write(
        self, connection: FromPath[str], resource: FromPath[str], request: Raw, desk: NamedDependency[Desk], house: NamedDependency[House]
    ) -> Response[Event]:
        """Make a record at a connection; the body is the resource's command. The same key again is the same record."""
        found = _connection(desk, connection)
        shape = _command(found, resource, "post")
        command = bodies.decoded(await request.body(), shape)
        key = request.headers.get("idempotency-key", "").strip('"')
        answer = await _ask(desk, found, command, f"system/{connection}/{resource}/{current().actor}/{key}")
        await house.write(*answer.writes)
        return Response(answer.reply)


class FilesTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: its lines, those that concern us, and how many of them are new."""

    lines: int
    taken: int
    new: int
    remarks: tuple[str, ...] = ()


class Statements(Controller):
    """Files: bank statements."""

    path = "/system/v1"
    tags = ("system",)

    @post(
        "/{connection:str}/statements",
        status_code=202,
        opt=INTERNAL.but(scope="payments:write", idempotency="required", content_types=FILE_TYPES, body_bytes_max=FILE_BYTES_MAX).opt,
    )
    async def take(
        self, connection: FromPath[str], request: Raw, desk: NamedDependency[Desk], intake: NamedDependency[Intake]
    ) -> FilesTaken:
        """Take in a bank statement file (MT940, CAMT); a line that was in an earlier file is the same payment and counts once."""
        found = _connection(desk, connection)
        if found.card.files is None:
            raise Problem(404, "resource_unknown", f"{connection} takes no files")
        events, report = await asyncio.to_thread(found.card.files.translate, found.settings, await request.body())
        new = await intake.tell(found, events)
        return FilesTaken(lines=report.lines, taken=report.taken, new=new, remarks=report.remarks)


class Webhooks(Controller):
    """The one door for all vendors that push."""

    path = "/webhooks"
    tags = ("webhooks",)

    @post("/{connection:str}", status_code=200, opt=WEBHOOK.opt)
    async def take(
        self, connection: FromPath[str], request: Raw, desk: NamedDependency[Desk], house: NamedDependency[House]
    ) -> dict[str, bool]:
        """Verify a webhook, keep it, answer; what it means is found out later."""
        found = _connection(desk, connection)
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            new = await receive(house, found, headers, await request.body(), house.clock)
        except Rejected as refused:
            raise Problem(401, refused.code, refused.detail) from None
        return {"received": True, "new": new}


ROUTES: tuple[type[Controller], ...] = (Resources, Statements, Webhooks)


def _connection(desk: Desk, name: str) -> Connection:
    found = desk.connections.get(name)
    if found is None or found.tenant not in {current().tenant, "default"}:
        raise Problem(404, "connection_unknown", f"no connection is called {name[:80]}")
    return found


def _command(connection: Connection, resource: FromPath[str], verb: str) -> type[Command[Any]]:
    declared = connection.card.resources.get(resource)
    shape: type[Command[Any]] | None = getattr(declared, verb) if declared else None
    if shape is None:
        known = ", ".join(sorted(name for name, r in connection.card.resources.items() if getattr(r, verb)))
        raise Problem(404, "resource_unknown", f"{connection.name} has no {resource[:80]} to {verb}; it has {known}")
    return shape


def _from_query(shape: type[Command[Any]], query: Mapping[str, list[str]]) -> Command[Any]:
    """The command behind query parameters: repeated ones make a list, text becomes numbers and truth values where these are wanted."""
    lists = {f.name for f in msgspec.structs.fields(shape) if "tuple" in str(f.type)}
    fields: dict[str, Any] = {}
    for name, values in query.items():
        fields[name] = [part for value in values for part in value.split(",")] if name in lists else values[-1]
    return bodies.asked(fields, shape)


async def _ask(desk: Desk, connection: Connection, command: Command[Any], key: str) -> Answer:
    context = msgspec.structs.replace(current(), key=key, entity=current().entity or next(iter(connection.entities), ""))
    return await desk.ask(connection.name, command, context)
