"""Kantata's envelope: an ordered list of results, and the objects that they name, by id, beside what was side-loaded.

Only ``results`` says what was found: a collection may hold side-loaded neighbours of the same kind. ``count`` and ``results`` must be
there, because an answer without them, taken for "nothing found", would make a second project.
"""

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found: in which collection, and under which id."""

    key: str
    id: str | int


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """An external reference: whose object, of which kind, under which id the Kantata object stands for."""

    service_name: str | None = None
    service_model: str | None = None
    service_model_ref: str | None = None


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """A project. Money is there only where the token may see finances."""

    id: str | int
    title: str | None = None
    description: str | None = None
    archived: bool | None = None
    currency: str | None = None
    price_in_cents: int | None = None
    start_date: str | None = None
    due_date: str | None = None
    external_reference_ids: tuple[str | int, ...] | None = None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A task."""

    id: str | int
    workspace_id: str | int | None = None
    budget_estimate_in_cents: int | None = None
    external_reference_ids: tuple[str | int, ...] | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, or all pages of one."""

    count: int
    results: tuple[Result, ...]
    workspaces: dict[str, Workspace] = {}
    stories: dict[str, Story] = {}
    external_references: dict[str, Reference] = {}

    def and_then(self, page: "Envelope") -> "Envelope":
        """This answer and its next page as one."""
        return Envelope(
            count=page.count,
            results=self.results + page.results,
            workspaces={**self.workspaces, **page.workspaces},
            stories={**self.stories, **page.stories},
            external_references={**self.external_references, **page.external_references},
        )

    def found_workspaces(self) -> list[Workspace]:
        """The projects among the results. Raises `KeyError` where one is named but not sent."""
        return [self.workspaces[str(r.id)] for r in self.results if r.key == "workspaces"]

    def found_stories(self) -> list[Story]:
        """The tasks among the results. Raises `KeyError` where one is named but not sent."""
        return [self.stories[str(r.id)] for r in self.results if r.key == "stories"]

    def references(self, thing: Workspace | Story) -> list[Reference]:
        """The external references of an object. Raises `KeyError` where they were not side-loaded."""
        if thing.external_reference_ids is None:
            raise KeyError("external_reference_ids")
        return [self.external_references[str(i)] for i in thing.external_reference_ids]
