"""Project: how sold services are delivered."""

import datetime as dt

import msgspec

from canonical.customer import Customer
from canonical.messages import Command, Event
from canonical.money import CurrencyCode, Money
from canonical.order import OrderLine
from canonical.provenance import ExternalId, Id, Name, Text


class Project(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service lines of one order, as a project with its budget."""

    order_id: Id
    entity: Id
    title: Name
    customer: Customer
    currency: CurrencyCode
    budget: Money
    starts_on: dt.date | None = None
    ends_on: dt.date | None = None
    lines: tuple[OrderLine, ...]


class ProjectOpened(Event, frozen=True, kw_only=True):
    """The PSA has the project."""

    order_id: Id
    project_ref: ExternalId


class OpenProject(Command[ProjectOpened], frozen=True, kw_only=True):
    """Create the project with one task per service line; our order id is its external reference."""

    port = "psa"
    project: Project


class ProjectCancelled(Event, frozen=True, kw_only=True):
    """Nobody will work on the project."""

    order_id: Id


class CancelProject(Command[ProjectCancelled], frozen=True, kw_only=True):
    """Cancel or archive the project; one that is already cancelled is a success."""

    port = "psa"
    order_id: Id
    project_ref: ExternalId
    reason: Text = ""
