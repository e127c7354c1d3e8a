"""``q2c dead-letters``: what lies there, whose it is, and the way back."""

import asyncio
from pathlib import Path

import msgspec
from typer.testing import CliRunner

from gateway.cli import app
from runtime.bus.wire import encode
from runtime.clock import SystemClock
from runtime.store.engine import open_store
from runtime.store.migrations import migrate
from tests.contracts.stores import letter

QUEUE = "process.order_booking"


def q2c(data: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["dead-letters", *words, "--data", str(data)])
    assert done.exit_code == 0, done.output
    return done.stdout


async def bury(folder: Path) -> None:
    """A message of the order booking that could not be handled."""
    url = f"sqlite:///{folder}/q2c.db"
    await migrate(url)
    store = open_store(url, SystemClock())
    await store.start()
    await store.enqueue(QUEUE, "m-1", encode(letter("m-1")), attempts=5)
    [message] = await store.queued(QUEUE, after_seq=0)
    await store.bury(message.seq, "Broken: step_broken")
    await store.stop()


def test_a_dead_letter_is_listed_with_its_owner_and_sent_back(tmp_path: Path) -> None:
    """Reason, correlation id, attempts and owner are told; redriven once it is gone, and a second time nothing is (ME4, Q12)."""
    asyncio.run(bury(tmp_path))
    [one] = msgspec.json.decode(q2c(tmp_path, "list", "--json"))
    assert (one["queue"], one["id"], one["owner"], one["attempts"]) == (QUEUE, "m-1", "sales-operations", 5)
    assert (one["reason"], one["correlation_id"]) == ("Broken: step_broken", letter("m-1").correlation_id)
    assert "1 dead letters" in q2c(tmp_path, "list")
    assert q2c(tmp_path, "redrive") == f"{QUEUE}: 1 sent back\n"
    assert q2c(tmp_path, "redrive", "--queue", QUEUE) == ""
    assert q2c(tmp_path, "list") == "0 dead letters\n"
