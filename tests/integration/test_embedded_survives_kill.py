"""The gateway as one process with embedded store and bus, killed again and again while orders are in work: nothing lost, nothing twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from canonical.quote import Quote
from deploy.services.ports import free_port
from tests.integration.deals import ACME, DAYS, DAYS_USD, DEVICES, DEVICES_USD, NORDIC, PLAN, PLAN_USD, effects_of, order, quote, signed
from tests.integration.doors import Door, until
from tests.integration.installation import VENDORS_AT_REST, Installation

WAVES, PER_WAVE = 3, 4
SEED = 20260115
CUSTOMERS = {("stripe", "customer", "C-ACME"), ("stripe", "customer", "C-NORDIC"), ("tryton", "customer", "C-NORDIC")}


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation without anything running yet."""
    async with Installation(tmp_path, settings=VENDORS_AT_REST) as found:
        yield found


def deal(number: int) -> Quote:
    """Every second one is sold in Germany, from another ERP."""
    opportunity = f"OPP-{1001 + number}"
    if number % 2:
        return quote("DE01", NORDIC, PLAN, DAYS, DEVICES, opportunity=opportunity)
    return quote("US01", ACME, PLAN_USD, DAYS_USD, DEVICES_USD, opportunity=opportunity)


async def submitted(door: Door, quoted: Quote, *, as_order: bool) -> str:
    """Hand a deal in, as often as it takes until it is accepted; gives its correlation id."""
    path, body = ("/process/v1/orders", order(quoted)) if as_order else ("/process/v1/quotes", signed(quoted))
    answer = await door.persist(path, body, key=f"submit-{quoted.id}")
    assert answer.status == 202, answer.body
    return str(answer.body["correlation_id"])


async def test_killed_gateway_books_every_accepted_order_once(installation: Installation) -> None:
    """Orders that were accepted are booked although the gateway is killed amid each wave of them, and each vendor has each effect once."""
    port, draw = free_port(), random.Random(SEED)
    url = f"http://127.0.0.1:{port}"
    installation.start_vendors(f"{url}/webhooks")

    async def gateway() -> None:
        installation.start("gateway", "serve", *installation.where, "--port", str(port))
        await installation.ready("gateway", url)

    await gateway()
    deals = [deal(number) for number in range(WAVES * PER_WAVE)]
    handing_in = []
    async with Door(url, installation.token) as door, asyncio.TaskGroup() as group:
        for wave in range(WAVES):
            moment = (await installation.effects()).total() + draw.randint(1, PER_WAVE * 4)
            now = deals[wave * PER_WAVE :][:PER_WAVE]
            handing_in += [group.create_task(submitted(door, one, as_order=n % 2 == 0)) for n, one in enumerate(now)]

            async def reached(moment: int = moment) -> bool:
                return (await installation.effects()).total() >= moment

            await until(reached, f"{moment} effects", every_s=0.005)
            installation.kill("gateway")
            await gateway()
    async with Door(url, installation.token) as door:
        for task in handing_in:
            await door.until(task.result(), {"booked", "rejected"})
    expected = CUSTOMERS.union(*(effects_of(one) for one in deals))
    assert await installation.effects() == dict.fromkeys(expected, 1)
