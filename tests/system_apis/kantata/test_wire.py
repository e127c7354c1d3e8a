"""The wire format: errors, envelopes, pages and filters, and our attributes against Kantata's own lists where they are at hand."""

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.project import OpenProject
from runtime.http.client import Response
from system_apis.kantata.envelope import Envelope
from system_apis.kantata.failures import FAILURES, MEANINGS
from system_apis.kantata.projects import Archiving, WorkspaceOut, check, workspace
from system_apis.kantata.simulator_records import STORY_ATTRIBUTES, WORKSPACE_ATTRIBUTES
from system_apis.kantata.tasks import StoryOut
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench
from tests.system_apis.kantata.conftest import Projects

SHARED = Path(os.environ.get("Q2C_SHARED", Path(__file__).parents[4] / "shared"))
SPECIFICATION = SHARED / "vendors/specs/kantata/specification.yml"


def failure(status: int, body: object, *, writes: bool = True) -> Failure:
    """The failure behind an answer."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return FAILURES.failure(status, {}, raw, writes=writes, retry_after_s=None)


def errors(*triples: tuple[str, str, str]) -> dict[str, Any]:
    """An error body of Kantata."""
    return {"errors": [{"type": t, "message": m, "field": f} for t, m, f in triples]}


@pytest.mark.parametrize("key", sorted(k for k in MEANINGS if not k.startswith("HTTP")))
def test_every_type_and_field_of_the_table_means_what_it_says(key: str) -> None:
    """Each listed error gives its word and our stable code."""
    kind, _, field = key.partition(":")
    found = failure(422, errors((kind, "No.", field)))
    assert (type(found), found.code) == tuple(MEANINGS[key])


def test_all_messages_are_kept_and_the_first_decides() -> None:
    """Several validation errors are one refusal with one pointer and all sentences; an unlisted field is a plain refusal."""
    found = failure(422, errors(("validation", "Give a title.", "title"), ("validation", "Select a role.", "creator_role")))
    assert (found.code, found.pointer, found.detail) == ("validation_failed", "/project/title", "Give a title. Select a role.")


@pytest.mark.parametrize(
    ("status", "writes", "word"),
    [
        (503, True, Unavailable),
        (504, True, OutcomeUnknown),
        (504, False, Unavailable),
        (429, True, Throttled),
        (403, True, Misconfigured),
        (404, True, Rejected),
    ],
)
def test_errors_of_the_platform_are_judged_by_their_status(status: int, writes: bool, word: type[Failure]) -> None:
    """A `system` error has no meaning of its own."""
    assert type(failure(status, errors(("system", "Sorry.", "")), writes=writes)) is word


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"errors":[]}', b'{"errors":"no"}', b"[]"])
def test_an_error_page_is_kept_raw(body: bytes) -> None:
    """What is not Kantata's error body is judged by its status."""
    found = failure(502, body)
    assert (type(found), found.raw) == (OutcomeUnknown, body.decode())


def read(text: str) -> Envelope:
    """An envelope as the client reads it."""
    envelope: Envelope = Response(200, {}, text.encode()).decode(Envelope)
    return envelope


def test_results_say_what_was_found_and_novelties_are_fine(project: Projects) -> None:
    """Side-loaded neighbours are not results; a new field, a number as id and a missing title do not disturb."""
    things = {i: {"id": i, "price_in_cents": 435000, "currency": "EUR", "novelty": [1]} for i in ("7", "8")}
    envelope = read(msgspec.json.encode({"count": 1, "results": [{"key": "workspaces", "id": 7}], "workspaces": things}).decode())
    (found,) = envelope.found_workspaces()
    assert found.id == "7"
    check(project(), found, "")


@pytest.mark.parametrize("text", ["{}", '{"count":0}', '{"results":[]}', '{"count":1,"results":[{"key":"workspaces"}]}', "[]"])
def test_an_envelope_without_its_list_is_broken(text: str) -> None:
    """An answer without count and results is never taken for an empty list."""
    with pytest.raises(Broken):
        read(text)


async def page(bench: Bench, query: str) -> dict[str, Any]:
    """A page of tasks."""
    answer = await bench.client._http.send("GET", f"/stories.json?order=created_at:asc&{query}")
    decoded: dict[str, Any] = msgspec.json.decode(answer.body)
    return decoded


async def test_lists_come_in_pages(bench: Bench, project: Projects) -> None:
    """20 a page unless asked otherwise, never more than 200; limit and offset win over page and per_page."""
    await bench.ask(OpenProject(project=project(25)))
    first = await page(bench, "")
    assert first["meta"] == {"count": 25, "page_count": 2, "page_number": 1, "page_size": 20}
    assert first["count"] == 25
    assert [r["id"] for r in first["results"]] == list(first["stories"])
    assert len((await page(bench, "page=2"))["results"]) == 5
    assert (await page(bench, "per_page=500"))["meta"]["page_size"] == 200
    assert [r["id"] for r in (await page(bench, "limit=2&offset=3&page=9"))["results"]] == [r["id"] for r in first["results"][3:5]]


async def test_references_are_shown_only_when_asked_for(bench: Bench, project: Projects) -> None:
    """Side-loading adds the ids to the object and the references to the envelope."""
    await bench.ask(OpenProject(project=project(1)))
    assert "external_reference_ids" not in next(iter((await page(bench, ""))["stories"].values()))
    loaded = await page(bench, "include=external_references")
    (reference,) = loaded["external_references"].values()
    assert (reference["service_model"], reference["service_model_ref"], reference["subject_type"]) == ("OrderLine", "ORD-1001:1", "Story")


async def test_archived_projects_hide_unless_asked_for(bench: Bench, project: Projects) -> None:
    """Lists and single reads leave them out by default; the numeric reference filter takes numbers only."""
    opened = await bench.ask(OpenProject(project=project(1)))
    http, path = bench.client._http, f"/workspaces/{opened.project_ref.id}"
    assert (await http.send("GET", path)).status == 200
    await http.send("PUT", path, json={"workspace": {"archived": True}})
    with pytest.raises(Rejected) as caught:
        await http.send("GET", path)
    assert caught.value.code == "project_not_found"
    shown = {
        "/workspaces": 0,
        "/workspaces?archived=only": 1,
        "/workspaces.json?include_archived=true": 1,
        f"{path}.json?archived=include": 1,
    }
    for query, count in shown.items():
        assert msgspec.json.decode((await http.send("GET", query)).body)["count"] == count
    with pytest.raises(Rejected, match="must be an integer"):
        await http.send("GET", "/workspaces?archived=include&external_reference_service_model_ref=ORD-1001")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/workspaces", {"workspace": {}}, ["title", "creator_role", "price"]),
        ("/workspaces", {"workspace": {"title": "T", "creator_role": "king", "price": "a lot"}}, ["creator_role", "price"]),
        ("/workspaces", {"workspace": {"title": "T", "creator_role": "maven", "price": 1, "currency": "XXX"}}, ["currency"]),
        (
            "/workspaces",
            {"workspace": {"title": "T", "creator_role": "maven", "price": 1, "start_date": "2026-02-02", "due_date": "2026-02-01"}},
            ["due_date"],
        ),
        (
            "/workspaces",
            {"workspace": {"title": "T", "creator_role": "maven", "price": 1, "external_reference": {"service_name": "x"}}},
            ["external_reference"],
        ),
        ("/stories", {"story": {"title": "T" * 201, "story_type": "wish", "workspace_id": 1}}, ["workspace_id", "title", "story_type"]),
    ],
)
async def test_what_kantata_would_refuse_is_refused(
    bench: Bench, simulation: Simulation, path: str, body: dict[str, Any], fields: list[str]
) -> None:
    """Validation names every field with a sentence, and nothing is made."""
    with pytest.raises(Failure) as caught:
        await bench.client.write("POST", path, body)
    told = msgspec.json.decode(caught.value.raw)["errors"]
    assert [e["field"] for e in told] == fields
    assert {e["type"] for e in told} == {"validation"}
    assert simulation.ledger == []


@pytest.mark.parametrize(("path", "body"), [("/workspaces", []), ("/workspaces", {}), ("/stories", {"story": 1}), ("/nonsense", {})])
async def test_what_cannot_be_understood_is_refused(bench: Bench, path: str, body: Any) -> None:
    """A body of another shape and a path that does not exist have Kantata's error body, too."""
    with pytest.raises(Rejected) as caught:
        await bench.client.write("POST", path, body)
    assert msgspec.json.decode(caught.value.raw)["errors"][0]["type"] == "system"


async def test_several_at_once(bench: Bench, simulation: Simulation) -> None:
    """The plural makes several projects in one request."""
    wishes = [{"title": t, "creator_role": "maven", "price": 100} for t in ("One", "Two")]
    envelope, _ = await bench.client.write("POST", "/workspaces", {"workspaces": wishes})
    assert [w.title for w in envelope.found_workspaces()] == ["One", "Two"]


# ------------------------------------------------------------------------------------- against Kantata's own lists


def allowed(resource: str, which: str) -> set[str]:
    """The attributes that Kantata's own client library lists (read line by line: the file is not strict YAML)."""
    if not SPECIFICATION.exists():
        pytest.skip(f"Kantata's own lists are not at hand ({SPECIFICATION}): attribute names were not checked against them")
    section = re.split(r"^(\w+):", SPECIFICATION.read_text(), flags=re.MULTILINE)
    body = section[section.index(resource) + 1]
    block = re.search(rf"^  {which}:[^\n]*\n((?:    - [^\n]*\n?)+)", body, flags=re.MULTILINE)
    assert block is not None
    return set(re.findall(r"^    - (\w+)", block.group(1), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("shape", "resource", "which"),
    [
        (WorkspaceOut, "workspaces", "create_attributes"),
        (Archiving, "workspaces", "update_attributes"),
        (StoryOut, "stories", "create_attributes"),
    ],
)
def test_what_we_send_kantata_takes(shape: type[msgspec.Struct], resource: str, which: str) -> None:
    """Each attribute that we send stands on Kantata's list; what does not, Kantata would silently drop."""
    assert set(shape.__struct_fields__) - allowed(resource, which) == set()


def test_the_simulator_takes_no_more_than_kantata() -> None:
    """The allow-lists of the simulator are part of Kantata's."""
    assert WORKSPACE_ATTRIBUTES["create"] - allowed("workspaces", "create_attributes") == set()
    assert WORKSPACE_ATTRIBUTES["update"] - allowed("workspaces", "update_attributes") == set()
    assert STORY_ATTRIBUTES - allowed("stories", "create_attributes") == set()


def test_what_we_read_kantata_shows(bench: Bench, project: Projects) -> None:
    """Each field of a project that we read stands on Kantata's list."""
    body: dict[str, Any] = msgspec.to_builtins(workspace(bench.call("k"), project()))
    assert body["creator_role"] in {"maven", "buyer"}
    assert {"price_in_cents", "currency", "archived", "start_date", "due_date", "external_reference_ids"} <= allowed(
        "workspaces", "attributes"
    )
