"""``q2c audit``: what it prints of a store, and of one that somebody has been at."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from canonical.failures import Rejected
from gateway.audit_heads import HEADS_FILE, AuditKey, HeadKeeper, kept_heads, opened
from gateway.cli import app
from runtime.clock import SystemClock
from runtime.store.contract import AddLine, AuditHead, PutCase, StartInstance
from runtime.store.engine import open_store
from runtime.store.migrations import migrate
from tests.contracts.stores import ACME, case, instance, line

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose store has three rows in its trail."""

    async def fill() -> None:
        url = f"sqlite:///{tmp_path}/q2c.db"
        await migrate(url)
        store = open_store(url, SystemClock())
        await store.start()
        for number in (1, 2):
            await store.commit([StartInstance(instance(f"ORD-{number}")), AddLine(line(f"ORD-{number}"))])
        await store.commit([PutCase(case())])
        HeadKeeper(tmp_path, AuditKey(tmp_path)).keep(await store.audit_heads())
        await store.stop()

    asyncio.run(fill())
    return tmp_path


@pytest.fixture
def q2c(data: Path) -> Run:
    """Runs ``q2c audit …`` on the data folder: exit code and output."""

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", *words, "--data", str(data)])
        return done.exit_code, done.stdout

    return run


def tamper(data: Path, *statements: str) -> None:
    """Somebody who owns the database file."""
    with sqlite3.connect(data / "q2c.db") as connection:
        for statement in ("DROP TRIGGER IF EXISTS audit_no_update", "DROP TRIGGER IF EXISTS audit_no_delete", *statements):
            connection.execute(statement)
    connection.close()


def test_a_trail_as_it_was_written(q2c: Run) -> None:
    """A trail that nobody has touched is said to be whole, with its rows and lines counted."""
    code, said = q2c("verify")
    assert (code, said.partition("; head")[0]) == (0, f"{ACME}: 3 rows, 2 journal lines: every row is as it was written")


def test_an_edited_row_is_named(q2c: Run, data: Path) -> None:
    """An edited row is named, in words and as JSON, and the command fails."""
    tamper(data, "UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    code, said = q2c("verify")
    assert code == 1
    assert "row 2 (order_booking/ORD-2) does not fit its hash" in said
    code, said = q2c("verify", "--json")
    [verdict] = msgspec.json.decode(said)
    assert (code, [(f["seq"], f["what"]) for f in verdict["findings"]]) == (1, [(2, "edited")])


def test_a_trail_without_its_tables_content_is_missed(q2c: Run, data: Path) -> None:
    """A trail that was emptied, head and all, is missed, because a signed head lies in the data folder."""
    tamper(data, "DELETE FROM audit", "DELETE FROM audit_heads")
    code, said = q2c("verify")
    assert code == 1
    assert "rows 1 to 3 are cut off" in said


def test_the_export_verifies_by_itself(q2c: Run, data: Path) -> None:
    """The export has a row a line and ends with its signed head, which the public key opens."""
    code, _ = q2c("export", "--tenant", ACME, "--out", str(data / "trail.jsonl"))
    assert code == 0
    *rows, last = [msgspec.json.decode(row) for row in (data / "trail.jsonl").read_bytes().splitlines()]
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert opened(last["head"], q2c("key")[1]) == AuditHead(tenant=ACME, seq=3, hash=rows[-1]["hash"])


def test_an_export_of_nobody(q2c: Run, data: Path) -> None:
    """A tenant that is not known has no trail: the export fails, and leaves no file that looks like one."""
    code, _ = q2c("export", "--tenant", "nobody", "--out", str(data / "trail.jsonl"))
    assert code != 0
    assert not (data / "trail.jsonl").exists()


def test_heads_are_signed_once_for_each_growth(data: Path) -> None:
    """A head is kept when its trail has grown, and once."""
    keeper, head = HeadKeeper(data, AuditKey(data)), AuditHead(tenant="other", seq=1, hash="a" * 64)
    assert [keeper.keep([head]), keeper.keep([head]), keeper.keep([msgspec.structs.replace(head, seq=2)])] == [1, 0, 1]
    kept = kept_heads(data / HEADS_FILE, AuditKey(data).public_pem())
    assert [(one.tenant, one.seq) for one in kept] == [(ACME, 3), ("other", 1), ("other", 2)]


def test_a_head_of_another_key_is_not_believed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A head that another key has signed is refused, with the line in which it stands."""
    stranger = AuditKey(tmp_path_factory.mktemp("stranger"))
    HeadKeeper(data, stranger).keep([AuditHead(tenant=ACME, seq=9, hash="b" * 64)])
    with pytest.raises(Rejected, match="line 2"):
        kept_heads(data / HEADS_FILE, AuditKey(data).public_pem())
