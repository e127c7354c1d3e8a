"""The scaled way: RabbitMQ and PostgreSQL, each layer and two workers as processes of their own; a worker dies in the middle."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from canonical.customer import EnsureCustomer
from canonical.quote import ValidateQuote
from deploy.services.ports import free_port
from deploy.services.postgres import Postgres
from deploy.services.rabbitmq import RabbitMQ
from tests.integration.deals import ACME, DAYS, DAYS_USD, DEVICES, DEVICES_USD, NORDIC, PLAN, PLAN_USD, effects_of, order, quote, signed
from tests.integration.doors import Door, until
from tests.integration.installation import VENDORS_AT_REST, Installation

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]

LAYERS = ("process", "experience", "system")
WORKERS = ("worker-1", "worker-2")


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A scaled installation, and the doors of its layers."""

    installation: Installation
    process: Door
    experience: Door
    system: Door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(rabbitmq: RabbitMQ, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Migrated, served by three processes, worked by two."""
    urls = {layer: f"http://127.0.0.1:{free_port()}" for layer in LAYERS}
    services = {"Q2C_STORE__URL": postgres.fresh_database(), "Q2C_BUS__URL": rabbitmq.fresh_vhost()}
    folder = tmp_path_factory.mktemp("site")
    async with Installation(folder, environment=services, settings=VENDORS_AT_REST) as installation:
        installation.start_vendors(f"{urls['system']}/webhooks")
        await installation.finished("migrate", "migrate", *installation.data)
        for layer, url in urls.items():
            installation.start(layer, "serve", *installation.where, "--layer", layer, "--port", url.rpartition(":")[2])
        for worker in WORKERS:
            installation.start(worker, "worker", *installation.where)
        for layer, url in urls.items():
            await installation.ready(layer, url)
        doors = {layer: Door(url, installation.token) for layer, url in urls.items()}
        async with doors["process"], doors["experience"], doors["system"]:
            yield Site(installation=installation, **doors)


async def test_orders_survive_the_death_of_a_worker(site: Site) -> None:
    """Eight deals handed in at two layers are booked once each, although a worker is killed in the middle; the portal follows them (P5)."""
    deals = [
        quote("DE01", NORDIC, PLAN, DAYS, DEVICES, opportunity=f"OPP-{1001 + n}")
        if n % 2
        else quote("US01", ACME, PLAN_USD, DAYS_USD, DEVICES_USD, opportunity=f"OPP-{1001 + n}")
        for n in range(8)
    ]

    async def submitted(number: int) -> str:
        deal = deals[number]
        if number < 4:
            answer = await site.experience.persist("/experience/v1/sales/quotes", signed(deal), key=f"submit-{deal.id}")
        else:
            answer = await site.process.persist("/process/v1/orders", order(deal), key=f"submit-{deal.id}")
        assert answer.status == 202, answer.body
        return str(answer.body["correlation_id"])

    async def in_the_middle() -> bool:
        return (await site.installation.effects()).total() >= 12

    async with asyncio.TaskGroup() as group:
        handing_in = [group.create_task(submitted(number)) for number in range(len(deals))]
        await until(in_the_middle, "twelve effects", every_s=0.005)
        site.installation.kill(WORKERS[0])
    for task in handing_in:
        await site.process.until(task.result(), {"booked", "rejected"})
    found = await site.installation.effects()
    expected = set[tuple[str, str, str]]().union(*(effects_of(deal) for deal in deals))
    assert {effect: times for effect, times in found.items() if effect[1] != "customer"} == dict.fromkeys(expected, 1)
    assert {times for effect, times in found.items() if effect[1] == "customer"} == {1}

    seen = await site.experience.get(f"/experience/v1/sales/quotes/{handing_in[0].result()}")
    assert (seen.body["quote_id"], seen.body["stage_in_words"]) == (deals[0].id, "booked")


async def test_layer_without_workers_asks_over_the_bus(site: Site) -> None:
    """The process layer does not validate a quote itself: it asks a worker, and the seller has all findings at once."""
    deal = quote("US01", ACME, PLAN_USD)
    wrong = msgspec.structs.replace(deal, total=msgspec.structs.replace(deal.total, amount="1.00"))
    well, badly = await asyncio.gather(
        *(site.process.post("/process/v1/quotes/validate", ValidateQuote(quote=one)) for one in (deal, wrong))
    )
    assert (well.status, well.body["valid"], well.body["complete"]) == (200, True, True)
    assert (badly.status, badly.body["valid"]) == (200, False)
    assert [finding["code"] for finding in badly.body["findings"]] == ["total_wrong"]


async def test_system_layer_makes_a_record_once(site: Site) -> None:
    """The same Idempotency-Key at the system layer is the same record, whether it comes again at once or later."""
    customer = msgspec.structs.replace(NORDIC, id="C-SCALED", legal_name="Scaled Shipping A/S", email="ap@scaled.example")
    path, command = "/system/v1/tryton/customers", EnsureCustomer(customer=customer)
    answers = await asyncio.gather(*(site.system.persist(path, command, key="make-scaled") for _ in range(3)))
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len({answer.body["customer"]["id"] for answer in answers}) == 1
    assert (await site.installation.effects())["tryton", "customer", "C-SCALED"] == 1
