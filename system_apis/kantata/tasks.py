"""One task (Kantata: story) per service line, known again by its external reference ``<order id>:<line number>``."""

import datetime as dt
from decimal import ROUND_HALF_UP

import msgspec

from canonical.failures import Broken
from canonical.order import OrderLine
from canonical.project import Project
from system_apis.connector import Call
from system_apis.kantata.envelope import Envelope, Reference, Story
from system_apis.kantata.settings import KantataSettings

TITLE_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 999
_MODEL = "OrderLine"

# ---------------------------------------------------------------------------------------------------------------- wire shapes


class ReferenceOut(msgspec.Struct, frozen=True, kw_only=True):
    """An external reference as it is sent; ``external_message`` carries the correlation id."""

    service_name: str
    service_model: str
    service_model_ref: str
    external_message: str


class StoryOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attributes of a task that we set."""

    workspace_id: int | str
    title: str
    story_type: str
    description: str
    start_date: dt.date | None = None
    due_date: dt.date | None = None
    budget_estimate_in_cents: int
    time_estimate_in_minutes: int | None = None
    billable: bool
    external_reference: ReferenceOut


# ---------------------------------------------------------------------------------------------------------------- mapping


def story(call: Call, project: Project, line: OrderLine, workspace_id: str) -> StoryOut:
    """A service line as a task with its budget and, where the unit is one of time, its effort."""
    settings: KantataSettings = call.settings
    quantity = f"{line.quantity.amount} {line.quantity.unit}"
    text = f"{line.item_code}, {quantity}. Order {project.order_id}, line {line.number}. {call.correlation_id}. {line.description}"
    return StoryOut(
        workspace_id=int(workspace_id) if workspace_id.isdecimal() else workspace_id,
        title=(line.description or line.item_code)[:TITLE_LENGTH_MAX],
        story_type="task",
        description=text[:DESCRIPTION_LENGTH_MAX],
        start_date=line.term.start if line.term else project.starts_on,
        due_date=line.term.end if line.term else project.ends_on,
        budget_estimate_in_cents=line.net_total.minor,
        time_estimate_in_minutes=_minutes(settings, line),
        billable=True,
        external_reference=ReferenceOut(
            service_name=settings.service_name,
            service_model=_MODEL,
            service_model_ref=reference_of(project.order_id, line),
            external_message=call.correlation_id,
        ),
    )


def reference_of(order_id: str, line: OrderLine) -> str:
    """Under which reference the task of a line is known."""
    return f"{order_id}:{line.number}"


def _minutes(settings: KantataSettings, line: OrderLine) -> int | None:
    per_unit = settings.minutes_per.get(line.quantity.unit)
    return None if per_unit is None else int((line.quantity.number * per_unit).quantize(1, rounding=ROUND_HALF_UP))


def check(project: Project, line: OrderLine, kept: Story, references: list[Reference], workspace_id: str, raw: str) -> None:
    """Raise `Broken` where Kantata has not kept the task as it was sent."""
    known = {r.service_model_ref for r in references}
    sent = {"workspace_id": workspace_id, "budget_estimate_in_cents": line.net_total.minor}
    found = {"workspace_id": str(kept.workspace_id), "budget_estimate_in_cents": kept.budget_estimate_in_cents}
    if sent != found or reference_of(project.order_id, line) not in known:
        raise Broken("read_back_differs", f"task {kept.id}: sent {sent}, kept {found} with references {sorted(map(str, known))}", raw=raw)


# ---------------------------------------------------------------------------------------------------------------- operations


async def missing(call: Call, project: Project, workspace_id: str) -> list[OrderLine]:
    """The lines that have no task yet. Tasks that are there are checked against their lines."""
    envelope: Envelope = await call.client.collect("stories", {"workspace_id": workspace_id, "archived": "include"})
    by_reference: dict[str | None, tuple[Story, list[Reference]]] = {}
    try:
        for found in envelope.found_stories():
            references = [r for r in envelope.references(found) if r.service_name == call.settings.service_name]
            by_reference |= {r.service_model_ref: (found, references) for r in references}
    except KeyError as error:
        raise Broken("unreadable_answer", f"the list of tasks lacks {error}") from error
    for line in project.lines:
        if kept := by_reference.get(reference_of(project.order_id, line)):
            check(project, line, *kept, workspace_id, "")
    return [line for line in project.lines if reference_of(project.order_id, line) not in by_reference]


async def create(call: Call, project: Project, line: OrderLine, workspace_id: str) -> None:
    """Make the task of one line."""
    envelope, raw = await call.client.write("POST", "/stories", {"story": story(call, project, line, workspace_id)})
    try:
        (kept,) = envelope.found_stories()
        references = envelope.references(kept)
    except (KeyError, ValueError) as error:
        raise Broken("read_back_differs", f"the answer lacks {error}", raw=raw) from error
    check(project, line, kept, references, workspace_id, raw)
