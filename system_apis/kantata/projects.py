"""A project (Kantata: workspace) per order, known again by its external reference, and its tasks.

Kantata makes whatever it is asked to make, as often as it is asked. So every run looks first: a project that exists is continued with the
tasks that are missing, never made a second time. Archived projects are hidden from lists unless one asks for them.
"""

import datetime as dt

import msgspec

from canonical.failures import Broken, Rejected
from canonical.project import CancelProject, OpenProject, Project, ProjectCancelled, ProjectOpened
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.kantata import tasks
from system_apis.kantata.client import KantataClient
from system_apis.kantata.envelope import Envelope, Workspace
from system_apis.kantata.settings import KantataSettings
from system_apis.kantata.tasks import ReferenceOut

_MODEL = "Order"
_ARCHIVED_TOO = {"include_archived": "true"}

# ---------------------------------------------------------------------------------------------------------------- wire shapes


class WorkspaceOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attributes of a project that we set."""

    title: str
    creator_role: str
    budgeted: bool
    description: str
    currency: str
    price: int | str
    start_date: dt.date | None = None
    due_date: dt.date | None = None
    client_role_name: str
    workspace_group_ids: tuple[int, ...] = ()
    external_reference: ReferenceOut


class Archiving(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes when a project is cancelled."""

    archived: bool
    description: str
    status_key: int | None = None


# ---------------------------------------------------------------------------------------------------------------- mapping


def workspace(call: Call, project: Project) -> WorkspaceOut:
    """The project in Kantata's words; the client team is called after the customer, because Kantata has no customers."""
    settings: KantataSettings = call.settings
    group = settings.workspace_groups.get(project.entity)
    return WorkspaceOut(
        title=project.title,
        creator_role=settings.creator_role,
        budgeted=True,
        description=f"Order {project.order_id}, {project.customer.id} {project.customer.legal_name}. {call.correlation_id} {call.key}",
        currency=project.currency,
        price=_price(settings, project),
        start_date=project.starts_on,
        due_date=project.ends_on,
        client_role_name=project.customer.legal_name,
        workspace_group_ids=() if group is None else (group,),
        external_reference=ReferenceOut(
            service_name=settings.service_name,
            service_model=_MODEL,
            service_model_ref=project.order_id,
            external_message=call.correlation_id,
        ),
    )


def _price(settings: KantataSettings, project: Project) -> int | str:
    if settings.price_in == "cents":
        return project.budget.minor
    whole = int(project.budget.number)
    return whole if whole == project.budget.number else project.budget.amount


def opened(call: Call, project: Project, kept: Workspace) -> ProjectOpened:
    """The reply for a project that stands with all its tasks."""
    reference = ExternalId(connection=call.connection, kind="workspace", id=str(kept.id), number=str(kept.id))
    return ProjectOpened(order_id=project.order_id, project_ref=reference)


def check(project: Project, kept: Workspace, raw: str) -> None:
    """Raise `Broken` where budget or currency are not those of the order (Kantata hides both from tokens without financial access)."""
    sent = (project.budget.currency, project.budget.minor)
    found = (kept.currency, kept.price_in_cents)
    if sent != found:
        raise Broken("read_back_differs", f"workspace {kept.id}: sent {sent[1]} cents of {sent[0]}, kept {found[1]} of {found[0]}", raw=raw)


def _check_dates(project: Project, kept: Workspace, raw: str) -> None:
    """Only on the answer to the creation: later on, dates are the project manager's."""
    sent = [d.isoformat() if d else None for d in (project.starts_on, project.ends_on)]
    found = [d[:10] if d else None for d in (kept.start_date, kept.due_date)]
    if sent != found:
        raise Broken("read_back_differs", f"workspace {kept.id}: sent the dates {sent}, kept {found}", raw=raw)


def _is_ours(call: Call, envelope: Envelope, kept: Workspace, order_id: str) -> bool:
    """Whether the project stands for the order; a filter that Kantata ignored must not give us somebody else's."""
    wanted = (call.settings.service_name, _MODEL, order_id)
    return any((r.service_name, r.service_model, r.service_model_ref) == wanted for r in envelope.references(kept))


# ---------------------------------------------------------------------------------------------------------------- operations


async def open_project(call: Call, command: OpenProject) -> ProjectOpened:
    """Make the project, or go on with the one that is there; then make the tasks that are missing.

    Where Kantata refuses a task, the project is put away again before the refusal is reported: what is refused leaves nothing behind.
    """
    project = command.project
    kept = await _existing(call, project.order_id)
    if kept is not None and kept.archived:
        last_words = (kept.description or "").rsplit("\n", 1)[-1]
        raise Rejected("project_was_cancelled", f"workspace {kept.id} of {project.order_id} is archived: {last_words}")
    if kept is None:
        kept = await _create(call, project)
    else:
        check(project, kept, "")
    try:
        for line in await tasks.missing(call, project, str(kept.id)):
            await tasks.create(call, project, line, str(kept.id))
    except Rejected as refusal:
        await _archive(call, kept, f"a task was refused: {refusal.detail}")
        raise
    return opened(call, project, kept)


async def find_open(call: Call, command: OpenProject) -> ProjectOpened | None:
    """The project, if it stands with all its tasks; one that is incomplete is answered by opening again, which goes on with it."""
    project = command.project
    kept = await _existing(call, project.order_id)
    if kept is None or kept.archived:
        return None
    check(project, kept, "")
    return None if await tasks.missing(call, project, str(kept.id)) else opened(call, project, kept)


async def cancel(call: Call, command: CancelProject) -> ProjectCancelled:
    """Archive the project. One that is archived already, or that somebody has deleted for good, is a success."""
    kept = await _of_reference(call, command)
    if kept is not None and not kept.archived:
        await _archive(call, kept, command.reason or "cancelled")
    return ProjectCancelled(order_id=command.order_id)


async def find_cancelled(call: Call, command: CancelProject) -> ProjectCancelled | None:
    """Whether nobody will work on the project: it is archived or gone."""
    kept = await _of_reference(call, command)
    return ProjectCancelled(order_id=command.order_id) if kept is None or kept.archived else None


async def _create(call: Call, project: Project) -> Workspace:
    client: KantataClient = call.client
    envelope, raw = await client.write("POST", "/workspaces", {"workspace": workspace(call, project)})
    try:
        (kept,) = envelope.found_workspaces()
        ours = _is_ours(call, envelope, kept, project.order_id)
    except (KeyError, ValueError) as error:
        raise Broken("read_back_differs", f"the answer lacks {error}", raw=raw) from error
    if not ours:
        raise Broken("read_back_differs", f"workspace {kept.id} has lost its reference to {project.order_id}", raw=raw)
    check(project, kept, raw)
    _check_dates(project, kept, raw)
    return kept


async def _existing(call: Call, order_id: str) -> Workspace | None:
    """The project of an order, archived or not. The filter that takes text is the plural one; its singular takes numbers only."""
    filters = {
        "external_reference_service_name": call.settings.service_name,
        "external_reference_service_model": _MODEL,
        "external_reference_service_model_refs": order_id,
    }
    envelope: Envelope = await call.client.collect("workspaces", {**filters, **_ARCHIVED_TOO})
    try:
        found = [w for w in envelope.found_workspaces() if _is_ours(call, envelope, w, order_id)]
    except KeyError as error:
        raise Broken("unreadable_answer", f"the list of workspaces lacks {error}") from error
    if len(found) > 1:
        raise Broken("project_twice", f"{order_id} has the workspaces {', '.join(str(w.id) for w in found)}")
    return found[0] if found else None


async def _of_reference(call: Call, command: CancelProject) -> Workspace | None:
    envelope: Envelope = await call.client.collect("workspaces", {"only": command.project_ref.id, **_ARCHIVED_TOO})
    try:
        found = [w for w in envelope.found_workspaces() if str(w.id) == command.project_ref.id]
        if found and not _is_ours(call, envelope, found[0], command.order_id):
            raise Rejected("project_of_another_order", f"workspace {command.project_ref.id} does not stand for {command.order_id}")
    except KeyError as error:
        raise Broken("unreadable_answer", f"the list of workspaces lacks {error}") from error
    return found[0] if found else None


async def _archive(call: Call, kept: Workspace, reason: str) -> None:
    settings: KantataSettings = call.settings
    change = Archiving(
        archived=True,
        description=f"{kept.description or ''}\nCancelled ({call.correlation_id}): {reason}".strip(),
        status_key=settings.cancelled_status_key,
    )
    envelope, raw = await call.client.write("PUT", f"/workspaces/{kept.id}", {"workspace": change})
    if not any(w.archived and str(w.id) == str(kept.id) for w in envelope.workspaces.values()):
        raise Broken("read_back_differs", f"workspace {kept.id} was to be archived and is not", raw=raw)
