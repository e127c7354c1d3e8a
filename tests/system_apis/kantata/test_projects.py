"""Opening and cancelling projects in Kantata, which has no idempotency: the good way and each bad way."""

from typing import Any

import msgspec
import pytest

from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.project import CancelProject, OpenProject, ProjectOpened
from canonical.provenance import ExternalId
from runtime.clock import SetClock
from system_apis.kantata import client
from system_apis.kantata.simulator import build
from system_apis.simulation import Fault, FaultKind, Simulation
from tests.system_apis.harness import Bench, served
from tests.system_apis.kantata.conftest import Projects

KEY = "order_booking/ORD-1001/open_project"


def fault(simulation: Simulation, kind: FaultKind, **options: Any) -> None:
    """Plan a misbehaviour."""
    simulation.faults.append(Fault(kind=kind, **options))


def effects(simulation: Simulation) -> list[tuple[str, str]]:
    """The effects in the books, in order."""
    return [(effect.kind, effect.business_key) for effect in simulation.ledger]


ALL = [("project", "ORD-1001"), ("project_task", "ORD-1001:1"), ("project_task", "ORD-1001:2")]


def cancelling(opened: ProjectOpened, reason: str = "the order was refused") -> CancelProject:
    """The command that undoes an opening."""
    return CancelProject(order_id=opened.order_id, project_ref=opened.project_ref, reason=reason)


async def test_a_project_with_a_task_per_line(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """The project has budget, currency, dates, customer and legal entity of the order; each line is a task with budget and effort."""
    reply = await bench.ask(OpenProject(project=project()), KEY, entity="DE01")
    (workspace,) = simulation.all("workspaces")
    assert reply.project_ref == ExternalId(connection="psa-main", kind="workspace", id=workspace["id"], number=workspace["id"])
    assert (workspace["price_in_cents"], workspace["price"], workspace["currency"]) == (435000, "€4,350.00", "EUR")
    assert (workspace["start_date"], workspace["due_date"]) == ("2026-02-01", "2026-06-30")
    assert (workspace["client_role_name"], workspace["workspace_group_ids"]) == ("Muster Maschinenbau GmbH", [902])
    assert f"q2c-test {KEY}" in workspace["description"]
    first, second = simulation.all("stories")
    assert (first["budget_estimate_in_cents"], first["time_estimate_in_minutes"], first["due_date"]) == (145000, 480, "2026-02-28")
    assert (second["budget_estimate_in_cents"], second["time_estimate_in_minutes"], second["due_date"]) == (290000, 960, "2026-06-30")
    assert {s["workspace_id"] for s in (first, second)} == {workspace["id"]}
    assert {r["external_message"] for r in simulation.all("external_references")} == {"q2c-test"}
    assert effects(simulation) == ALL


async def test_opening_twice_is_one_project(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """Kantata would make a second one; we look first, and answer the same."""
    command = OpenProject(project=project())
    assert await bench.find(command, KEY) is None
    first = await bench.ask(command, KEY)
    assert await bench.ask(command, KEY) == first
    assert await bench.find(command, KEY) == first
    assert effects(simulation) == ALL


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
@pytest.mark.parametrize("on", ["POST .*/workspaces", "POST .*/stories"])
async def test_an_unknown_outcome_is_gone_on_with(
    bench: Bench, simulation: Simulation, project: Projects, kind: FaultKind, on: str
) -> None:
    """Whichever write was done without a readable answer: `find` sees what is missing, and only that is made (V12)."""
    command = OpenProject(project=project())
    fault(simulation, kind, on=on)
    with pytest.raises(OutcomeUnknown):
        await bench.ask(command, KEY)
    assert await bench.find(command, KEY) is None
    reply = await bench.ask(command, KEY)
    assert await bench.find(command, KEY) == reply
    assert effects(simulation) == ALL


async def test_an_unknown_last_task_is_found(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """Where the lost answer was the last one, `find` alone says that all is done."""
    command = OpenProject(project=project(1))
    fault(simulation, "timeout_after_write", on="POST .*/stories")
    with pytest.raises(OutcomeUnknown):
        await bench.ask(command, KEY)
    found = await bench.find(command, KEY)
    assert found == await bench.ask(command, KEY)
    assert effects(simulation) == ALL[:2]


@pytest.mark.parametrize("on", ["POST .*/workspaces", "POST .*/stories"])
async def test_a_server_error_before_the_write(bench: Bench, simulation: Simulation, project: Projects, on: str) -> None:
    """A 500 says nothing about what was done; the second run finds out and completes the project once."""
    command = OpenProject(project=project())
    fault(simulation, "server_error", on=on)
    with pytest.raises(OutcomeUnknown):
        await bench.ask(command, KEY)
    await bench.ask(command, KEY)
    assert effects(simulation) == ALL


@pytest.mark.parametrize("retry_after_s", [None, 3.0])
async def test_throttled_in_the_middle(bench: Bench, simulation: Simulation, project: Projects, retry_after_s: float | None) -> None:
    """A 429 between project and tasks, usually without Retry-After, is waited out and gone on with."""
    command = OpenProject(project=project())
    fault(simulation, "throttle", on="POST .*/stories", retry_after_s=retry_after_s)
    with pytest.raises(Throttled) as caught:
        await bench.ask(command, KEY)
    assert caught.value.retry_after_s == retry_after_s
    await bench.ask(command, KEY)
    assert effects(simulation) == ALL


async def test_too_slow(bench: Bench, simulation: Simulation, project: Projects, clock: SetClock) -> None:
    """Past the deadline a read is unavailable and a write of unknown outcome; Kantata may work on it for three minutes more."""
    hasty = Bench(bench.card, msgspec.structs.replace(bench.settings, deadline_s=0.2))
    for on, word in (("GET", Unavailable), ("POST", OutcomeUnknown)):
        fault(simulation, "slow", on=on, delay_s=60.0)
        with pytest.raises(word):
            await hasty.ask(OpenProject(project=project()), KEY)
    assert bench.card.does[OpenProject].settles_in.total_seconds() == 180
    clock.move(60)
    await hasty.aclose()


async def test_a_malformed_list_makes_nothing(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """An answer that cannot be read is not taken for "there is none"; it is asked for again (V10)."""
    fault(simulation, "malformed", on="GET")
    with pytest.raises(Unavailable) as caught:
        await bench.ask(OpenProject(project=project()), KEY)
    assert "It works!" in caught.value.raw
    assert simulation.ledger == []


@pytest.mark.parametrize(
    ("collection", "field"),
    [
        ("workspaces", "price_in_cents"),
        ("workspaces", "currency"),
        ("workspaces", "due_date"),
        ("workspaces", "external_reference_ids"),
        ("external_references", "service_model_ref"),
        ("stories", "budget_estimate_in_cents"),
        ("stories", "workspace_id"),
        ("stories", "external_reference_ids"),
    ],
)
async def test_a_dropped_field_is_noticed(bench: Bench, simulation: Simulation, project: Projects, collection: str, field: str) -> None:
    """What Kantata did not keep is seen on its answer, with the payload kept; nothing more is made (V17)."""
    fault(simulation, "drop_field", on=collection, field=field)
    with pytest.raises(Broken) as caught:
        await bench.ask(OpenProject(project=project()), KEY)
    assert caught.value.code == "read_back_differs"
    assert '"results"' in caught.value.raw
    assert len(simulation.ledger) == (2 if collection == "stories" else 1)


async def test_a_wrong_budget_is_also_noticed_when_looking(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """A lost answer does not hide a lost budget: neither `find` nor a second run takes the project for right."""
    command = OpenProject(project=project())
    fault(simulation, "drop_field", on="workspaces", field="price_in_cents")
    fault(simulation, "timeout_after_write", on="POST")
    with pytest.raises(OutcomeUnknown):
        await bench.ask(command, KEY)
    for again in (bench.find, bench.ask):
        with pytest.raises(Broken) as caught:
            await again(command, KEY)
        assert caught.value.code == "read_back_differs"
    assert effects(simulation) == ALL[:1]


async def test_a_refused_task_leaves_no_open_project(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """Kantata refuses a task: the project is archived with the reason, and the refusal is ours to undo the rest by."""
    command = OpenProject(project=msgspec.structs.replace(project(), starts_on=None))
    await bench.client._http.send("POST", f"{bench.settings.base_url.removesuffix('/api/v1')}/_sim/do/lock", json={"until": "2026-02-15"})
    for code in ("date_refused", "project_was_cancelled"):
        with pytest.raises(Rejected) as caught:
            await bench.ask(command, KEY)
        assert caught.value.code == code
        assert "lock date 2026-02-15" in caught.value.detail
    assert await bench.find(command, KEY) is None
    assert effects(simulation) == [("project", "ORD-1001"), ("project_cancelled", "ORD-1001")]


async def test_closed_period(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """A start within a locked period is rejected in Kantata's words, with the field named, and nothing is made."""
    fault(simulation, "closed_period")
    with pytest.raises(Rejected) as caught:
        await bench.ask(OpenProject(project=project()), KEY)
    assert (caught.value.code, caught.value.pointer) == ("date_refused", "/project/starts_on")
    assert simulation.ledger == []


async def test_cancel_twice_is_fine(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """Cancelling archives with reason and status; once more succeeds without a second effect; the project is not opened again."""
    opened = await bench.ask(OpenProject(project=project()), KEY)
    assert await bench.find(cancelling(opened)) is None
    for _ in range(2):
        assert (await bench.ask(cancelling(opened))).order_id == "ORD-1001"
    assert (await bench.find(cancelling(opened))).order_id == "ORD-1001"
    (workspace,) = simulation.all("workspaces")
    assert (workspace["archived"], workspace["status"]["message"]) == (True, "Cancelled")
    assert workspace["description"].endswith("Cancelled (q2c-test): the order was refused")
    assert effects(simulation) == [*ALL, ("project_cancelled", "ORD-1001")]


@pytest.mark.parametrize("act", ["archive", "delete"])
async def test_cancel_of_what_a_person_has_put_away(bench: Bench, simulation: Simulation, project: Projects, act: str) -> None:
    """A project that somebody archived or deleted is cancelled; Kantata's archived projects do not hide from us."""
    opened = await bench.ask(OpenProject(project=project()), KEY)
    control = bench.settings.base_url.removesuffix("/api/v1")
    await bench.client._http.send("POST", f"{control}/_sim/do/{act}", json={"id": opened.project_ref.id})
    before = effects(simulation)
    assert (await bench.find(cancelling(opened))).order_id == "ORD-1001"
    assert (await bench.ask(cancelling(opened))).order_id == "ORD-1001"
    assert effects(simulation) == before


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
async def test_unknown_outcome_of_a_cancellation(bench: Bench, simulation: Simulation, project: Projects, kind: FaultKind) -> None:
    """The project was archived although no readable answer came: `find` says so."""
    opened = await bench.ask(OpenProject(project=project()), KEY)
    fault(simulation, kind, on="PUT")
    with pytest.raises(OutcomeUnknown):
        await bench.ask(cancelling(opened))
    assert (await bench.find(cancelling(opened))).order_id == "ORD-1001"


async def test_a_cancellation_that_did_not_stick_is_noticed(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """Kantata answers as if all was well and the project is not archived: parked, not believed."""
    opened = await bench.ask(OpenProject(project=project()), KEY)
    fault(simulation, "drop_field", on="workspaces", field="archived")
    with pytest.raises(Broken) as caught:
        await bench.ask(cancelling(opened))
    assert caught.value.code == "read_back_differs"


async def test_a_project_of_another_order_is_not_touched(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """A reference that leads to somebody else's project is refused."""
    opened = await bench.ask(OpenProject(project=project()), KEY)
    with pytest.raises(Rejected) as caught:
        await bench.ask(msgspec.structs.replace(cancelling(opened), order_id="ORD-2002"))
    assert caught.value.code == "project_of_another_order"
    assert effects(simulation) == ALL


async def test_two_projects_of_one_order_are_for_a_person(bench: Bench, project: Projects) -> None:
    """Somebody made a second project with our reference: we choose none of them."""
    command = OpenProject(project=project())
    await bench.ask(command, KEY)
    reference = {"service_name": "q2c-gateway", "service_model": "Order", "service_model_ref": "ORD-1001"}
    copy = {"title": "Copy", "creator_role": "maven", "price": 1, "external_reference": reference}
    await bench.client.write("POST", "/workspaces", {"workspace": copy})
    with pytest.raises(Broken) as caught:
        await bench.ask(command, KEY)
    assert caught.value.code == "project_twice"


async def test_many_tasks_are_read_to_the_last_page(
    bench: Bench, simulation: Simulation, project: Projects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project of more tasks than fit on a page is known as complete, and its last line is not made twice (V18)."""
    monkeypatch.setattr(client, "PER_PAGE", 2)
    command = OpenProject(project=project(5))
    reply = await bench.ask(command, KEY)
    assert await bench.ask(command, KEY) == reply
    assert len(simulation.all("stories")) == 5
    monkeypatch.setattr(client, "PAGES_MAX", 2)
    with pytest.raises(Broken) as caught:
        await bench.find(command, KEY)
    assert caught.value.code == "too_many_pages"


async def test_long_texts_fit(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """A description of 500 characters is cut in the title, where Kantata takes 200, and kept in the task's description."""
    await bench.ask(OpenProject(project=project(1, description="x" * 500)), KEY)
    (task,) = simulation.all("stories")
    assert len(task["title"]) == 200
    assert "x" * 500 in task["description"]


async def test_accounts_that_read_budgets_in_units(bench: Bench, simulation: Simulation, project: Projects) -> None:
    """A wrong unit of the price shows on the first project: it is never a hundred times too small without notice."""
    bench.settings = msgspec.structs.replace(bench.settings, price_in="units")
    with pytest.raises(Broken) as caught:
        await bench.ask(OpenProject(project=project()), KEY)
    assert caught.value.code == "read_back_differs"
    assert simulation.all("workspaces")[0]["price_in_cents"] == 4350


@pytest.mark.parametrize(
    ("change", "code"),
    [({"access_token": "wrong"}, "credentials_refused"), ({"workspace_groups": {"DE01": 999}}, "settings_refused")],
)
async def test_settings_that_kantata_does_not_accept(bench: Bench, project: Projects, change: dict[str, Any], code: str) -> None:
    """A wrong token or an unknown project group needs whoever runs the connection."""
    stranger = Bench(bench.card, msgspec.structs.replace(bench.settings, **change))
    with pytest.raises(Misconfigured) as caught:
        await stranger.ask(OpenProject(project=project()), KEY)
    await stranger.aclose()
    assert caught.value.code == code


async def test_the_records_survive_a_restart(bench: Bench, project: Projects, tmp_path: Any) -> None:
    """A simulator that starts again on its file knows the project, its tasks and its references."""
    path = tmp_path / "kantata.jsonl"
    command, replies = OpenProject(project=project()), []
    for _ in range(2):
        async with served(build(Simulation("kantata", path=path))) as base_url:
            again = Bench(bench.card, msgspec.structs.replace(bench.settings, base_url=f"{base_url}/api/v1"))
            replies.append(await again.find(command, KEY) or await again.ask(command, KEY))
            await again.aclose()
    assert replies[0] == replies[1]
    assert effects(Simulation("kantata", path=path)) == ALL
