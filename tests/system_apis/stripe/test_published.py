"""Simulator and requests against what Stripe has published, where the published files lie beside the repository."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench
from tests.system_apis.stripe.samples import api_calls, line, opening, team

SHARED = Path(os.environ.get("Q2C_SHARED") or Path(__file__).parents[4] / "shared")
FIXTURES = SHARED / "vendors" / "specs" / "stripe" / "fixtures3-2026-08.json"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """One example of each record, as Stripe publishes it."""
    if not FIXTURES.exists():
        pytest.skip(f"not checked against Stripe's published examples: {FIXTURES} is not there")
    resources: dict[str, Any] = json.loads(FIXTURES.read_text())["resources"]
    return resources


async def test_the_simulators_records_have_only_fields_that_stripe_documents(
    published: dict[str, Any], stripe: Bench, simulation: Simulation, url: str
) -> None:
    """Nothing that the simulator shows is made up, and each shown field has the type of the published example, where that has a value."""
    await stripe.ask(opening(team(discount="5"), api_calls("0.03")))
    await stripe.ask(opening(line(1, "SUB-ENT3", "recurring", "69.00", end=dt.date(2029, 1, 14)), order_id="ORD-2"), "k/2/s")
    async with httpx.AsyncClient(base_url=url) as client:
        await client.post("/_sim/do/pay", json={"amount": "10.00", "currency": "USD"})
        await client.post("/_sim/do/finalize_invoice", json={"order_id": "ORD-1001", "part": "usage"})
    kinds = (
        "customers",
        "products",
        "prices",
        "subscriptions",
        "subscription_schedules",
        "payment_intents",
        "charges",
        "invoices",
        "events",
    )
    for collection in (*kinds, "balance_transactions"):
        records = simulation.all(collection)
        assert records, collection
        example = published[records[0]["object"]]
        for record in records:
            unknown = set(record) - set(example)
            assert not unknown, f"{collection}: {unknown}"
            differing = {name for name, value in record.items() if not _alike(value, example[name])}
            assert not differing, f"{collection}: {differing}"


def _alike(shown: Any, example: Any) -> bool:
    return shown is None or example is None or type(shown) is type(example)
