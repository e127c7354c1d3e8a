"""Backup and restore as a drill: the database goes back to what it was, the broker is empty, the vendors remember everything."""

import datetime as dt
import sys
import time
from pathlib import Path

import pytest

from deploy.services.postgres import Postgres
from deploy.services.rabbitmq import RabbitMQ
from tests.integration.doors import Door
from tests.integration.site import Site, deal

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres]


async def test_restored_from_a_backup(site: Site, rabbitmq: RabbitMQ, postgres: Postgres, tmp_path: Path) -> None:
    """After a restore to an older state, with an empty broker, what was under way is put on the bus again and callers repeat what they had
    handed in since: every order is booked, and each vendor has each effect once. How long it took is printed (D13, O9, I2).
    """
    since, dump = dt.datetime.now(dt.UTC).isoformat(), tmp_path / "backup"
    site.layer()
    worker = site.worker("worker")
    await site.installation.ready("layer", site.url)
    early, under_way, late = deal(0), deal(1), (deal(2), deal(3))
    async with Door(site.url, site.installation.token) as door:
        deals = [(await site.hand_in(door, early), early)]
        await site.booked(door, *deals)
        site.vendors.pause()
        deals.append((await site.hand_in(door, under_way), under_way))
        await site.in_work(deals[-1][0])
        postgres.run("pg_dump", "--format=custom", f"--file={dump}", site.database)
        site.vendors.resume()
        deals += [(await site.hand_in(door, one), one) for one in late]
        await site.booked(door, *deals)
    site.installation.kill("layer")
    worker.kill()

    began_s = time.monotonic()
    restored = {"Q2C_STORE__URL": postgres.fresh_database(), "Q2C_BUS__URL": rabbitmq.fresh_vhost()}
    postgres.run("pg_restore", "--exit-on-error", f"--dbname={restored['Q2C_STORE__URL']}", str(dump))
    site.layer("layer", environment=restored)
    site.worker("worker-again", environment=restored)
    await site.installation.ready("layer", site.url)
    sys.stdout.write(f"RTO {time.monotonic() - began_s:.1f} s; RPO: what was handed in since the backup, until its callers repeat it\n")
    await site.installation.finished("republish", "republish", "--since", since, *site.installation.folder, environment=restored)
    async with Door(site.url, site.installation.token) as door:
        again = [(await site.hand_in(door, one), one) for one in late]
        await site.booked(door, *deals[:2], *again)
