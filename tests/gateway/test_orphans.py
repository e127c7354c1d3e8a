"""What runs on a table that this release does not have is named before a start, at the start, and for as long as it is there."""

import asyncio
import datetime as dt
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from gateway.cli import app
from gateway.compose import Gateway
from gateway.settings import Settings, load
from gateway.simulated import settings as simulated
from runtime.clock import SystemClock
from runtime.store.contract import Instance, SaveInstance, StartInstance, Store
from runtime.store.engine import open_store
from runtime.store.migrations import migrate

NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)
ORPHAN = (
    "1 of order_booking run on version 9 of its table, which this release does not have: keep that version in the roster until none is left"
)


def settings(folder: Path) -> Settings:
    """The simulated world, with its store in this folder."""
    return load(None, base={**simulated("http://127.0.0.1:8101"), "data": str(folder)}, environment={})


def row(key: str, version: int) -> Instance:
    """A running order."""
    return Instance(
        tenant="default", process="order_booking", key=key, version=version, correlation_id=f"q2c-{key}", created_at=NOW, updated_at=NOW
    )


async def filled(folder: Path, *rows: Instance) -> None:
    """A migrated store with these instances."""
    url = settings(folder).store_url
    await migrate(url)
    store = open_store(url, SystemClock())
    await store.start()
    await store.commit([StartInstance(one) for one in rows])
    await store.stop()


def check(folder: Path) -> tuple[int, str]:
    """Exit code, and what was said of mistakes."""
    result = CliRunner().invoke(app, ["check", "--data", str(folder), "--simulators", "http://127.0.0.1:8101"])
    return result.exit_code, result.stderr


def test_check_refuses_to_orphan_an_instance(tmp_path: Path) -> None:
    """Exit 1 and a line where something runs on a version that is not in the roster; what runs on ours is no fault (P15)."""
    asyncio.run(filled(tmp_path, row("ours", 1)))
    assert check(tmp_path) == (0, "")
    asyncio.run(filled(tmp_path, row("theirs", 9)))
    assert check(tmp_path) == (1, ORPHAN + "\n")


def test_check_needs_no_store(tmp_path: Path) -> None:
    """Without a store there is nothing that runs, and the check does not make one."""
    assert check(tmp_path) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_store_out_of_reach_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store cannot be asked, the tables are checked all the same, and it is said what was not."""
    monkeypatch.setenv("Q2C_STORE__URL", "postgresql://nobody@127.0.0.1:1/none")
    code, said = check(tmp_path)
    assert code == 0
    assert said.startswith("The store is not at hand, so running instances were not looked at: ")


async def concerns(gateway: Gateway) -> object:
    """What /health/ready says beside the parts."""
    transport = httpx.ASGITransport(app=gateway.app())  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/health/ready")
    return answer.status_code, answer.json().get("concerns")


async def test_readiness_names_orphans_until_they_are_gone(tmp_path: Path) -> None:
    """A process that starts beside orphans takes work and names them at its readiness, until another release has ended them (P15)."""
    await filled(tmp_path, row("theirs", 9))
    gateway = Gateway(settings(tmp_path))
    await gateway.start(works=False)
    try:
        assert await concerns(gateway) == (200, [ORPHAN])
        await ended(gateway.store)
        assert await concerns(gateway) == (200, None)
    finally:
        await gateway.stop()


async def ended(store: Store) -> None:
    """The other release ends its instance."""
    claimed = await store.claim("default", "order_booking", "theirs")
    assert claimed is not None
    await store.commit([SaveInstance(replace(claimed, status="done"))])
