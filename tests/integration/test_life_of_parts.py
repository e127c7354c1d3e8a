"""Parts of a scaled installation come and go as processes of their own: in any order, asked to end, frozen, beside another release.

To hold an instance in the middle of a step the simulated vendors are frozen: whoever asks them waits.
"""

import asyncio
import signal

import pytest

from deploy.services.ports import accepts
from deploy.services.postgres import Postgres
from deploy.services.rabbitmq import RabbitMQ
from tests.integration.doors import Door, until
from tests.integration.installation import READY_WITHIN_S
from tests.integration.site import Site, deal

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres]

NEWER = "tests.integration.newer_release"
PATIENT = {"Q2C_STOP__WITHIN_S": "600"}
HASTY = {"Q2C_STOP__WITHIN_S": "6"}


async def test_parts_start_before_store_and_broker(site: Site, rabbitmq: RabbitMQ, postgres: Postgres) -> None:
    """Started while store and broker are down, a layer is alive and not ready, a worker waits, neither ends; then both work (P14, O3)."""
    try:
        postgres.shut_down()
        rabbitmq.shut_down()
        layer, worker = site.layer(), site.worker("worker")
        layer.wait_until(lambda: accepts(site.port), within_s=READY_WITHIN_S)
        async with Door(site.url, site.installation.token) as door:
            await site.says("worker", "store_not_there_yet")
            assert ((await door.get("/health/live")).status, (await door.get("/health/ready")).status) == (200, 503)
            postgres.restart()
            await site.says("worker", "bus_connection_failed")
            await site.says("layer", "bus_connection_failed")
            ready = await door.get("/health/ready")
            assert (ready.status, ready.body["parts"]["store"], ready.body["parts"]["bus"]) == (503, True, False)
            rabbitmq.restart()
            await until(door.takes_work, "the layer takes work")
            sold = deal(0)
            await site.booked(door, (await site.hand_in(door, sold), sold))
        assert layer.alive
        assert worker.alive
    finally:
        postgres.restart()
        rabbitmq.restart()


async def test_a_wrong_schema_is_refused(site: Site, postgres: Postgres) -> None:
    """A layer and a worker that meet a store of another schema do not wait: they end with code 2 and say what to do (P14)."""
    other = {"Q2C_STORE__URL": postgres.fresh_database()}
    worker = site.worker("worker", environment=other)
    layer = site.installation.start("layer", "serve", *site.installation.where, "--port", str(site.port), environment=other)
    assert [part.ended(within_s=READY_WITHIN_S) for part in (worker, layer)] == [2, 2]
    assert [part.last_words().count("run q2c migrate") for part in (worker, layer)] == [1, 1]


async def test_ended_under_load(site: Site) -> None:
    """A worker and a layer that are asked to end amid orders, with a caller's connection kept alive, end in good order with code 0; others
    take their place, and every order that was accepted is booked once (P10, I1, I2).
    """
    layer, worker = site.layer(), site.worker("worker-1")
    site.worker("worker-2")
    await site.installation.ready("layer", site.url)
    deals = [deal(number) for number in range(8)]

    async def in_the_middle() -> bool:
        return (await site.installation.effects()).total() >= 8

    async with Door(site.url, site.installation.token) as door:
        async with asyncio.TaskGroup() as group:
            handing_in = [group.create_task(site.hand_in(door, one)) for one in deals]
            await until(in_the_middle, "eight effects", every_s=0.005)
            worker.tell(signal.SIGTERM)
            layer.tell(signal.SIGTERM)
            codes = await asyncio.gather(*(asyncio.to_thread(part.ended, within_s=READY_WITHIN_S) for part in (worker, layer)))
            assert codes == [0, 0]
            site.layer("layer-again")
        await site.booked(door, *zip([task.result() for task in handing_in], deals, strict=True))


async def test_asked_again_and_out_of_time(site: Site) -> None:
    """A worker whose vendors hang waits for them when it is asked to end, ends at once when it is asked again, and hands its work back when
    its time is over; what it was at is booked once by the next (P10, I2).
    """
    site.layer()
    await site.installation.ready("layer", site.url)
    async with Door(site.url, site.installation.token) as door:
        site.vendors.pause()
        worker = site.worker("patient", environment=PATIENT)
        first = deal(0)
        deals = [(await site.hand_in(door, first), first)]
        await site.in_work(deals[0][0])
        worker.tell(signal.SIGTERM)
        await site.says("patient", "asked_to_end")
        assert worker.alive
        worker.tell(signal.SIGTERM)
        assert await asyncio.to_thread(worker.ended, within_s=READY_WITHIN_S) == -signal.SIGTERM

        worker = site.worker("hasty", environment=HASTY)
        second = deal(1)
        deals.append((await site.hand_in(door, second), second))
        await site.in_work(deals[1][0])
        worker.tell(signal.SIGTERM)
        assert await asyncio.to_thread(worker.ended, within_s=READY_WITHIN_S) == 0
        assert site.installation.said("hasty", "bus_handed_back")

        site.vendors.resume()
        site.worker("next")
        await site.booked(door, *deals)


async def test_a_frozen_worker_comes_back_too_late(site: Site) -> None:
    """A worker that is frozen amid a step until the broker has given its message to another finds itself taken over when it goes on: its
    writes are refused, and the order is booked once (P11, I2).
    """
    site.layer()
    await site.installation.ready("layer", site.url)
    async with Door(site.url, site.installation.token) as door:
        site.vendors.pause()
        frozen = site.worker("frozen")
        sold = deal(0)
        correlation_id = await site.hand_in(door, sold)
        await site.in_work(correlation_id)
        frozen.pause()
        site.vendors.resume()
        site.worker("other")
        await site.booked(door, (correlation_id, sold))
        frozen.resume()
        await site.says("frozen", "taken_over")
        await site.booked(door, (correlation_id, sold))


async def test_two_releases_beside_each_other(site: Site) -> None:
    """An order that the older release has begun ends on the older table, also in the hands of the newer one; one that the newer release has
    begun is left alone by the older one, and ends on the newer table when that is back (P15, I1).
    """
    site.layer()
    await site.installation.ready("layer", site.url)
    async with Door(site.url, site.installation.token) as door:
        site.vendors.pause()
        older = site.worker("older", environment=HASTY)
        deals = [(await site.hand_in(door, one := deal(0)), one)]
        await site.in_work(deals[0][0])
        site.worker("newer", module=NEWER)
        older.tell(signal.SIGTERM)
        assert await asyncio.to_thread(older.ended, within_s=READY_WITHIN_S) == 0
        site.vendors.resume()
        await site.booked(door, *deals)

        site.vendors.pause()
        deals.append((await site.hand_in(door, two := deal(1)), two))
        await site.in_work(deals[1][0])
        site.installation.kill("newer")
        site.worker("older-again")
        site.vendors.resume()
        await site.says("older-again", "bus_message_failed")
        assert await site.versions() == [(1, "done"), (2, "running")]
        site.worker("newer-again", module=NEWER)
        await site.booked(door, *deals)
    assert [version for version, _ in await site.versions()] == [1, 2]
