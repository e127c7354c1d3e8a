"""``q2c demo`` as people and scripts call it: the samples end as their files say, embedded and scaled."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.demo import main
from gateway.demo.checking import Audit
from gateway.demo.deals import Deal
from gateway.demo.report import Report, report
from gateway.demo.stack import NotStarted, Stack
from tests.gateway.demo.made_up import seen

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "deploy" / "samples"
# one of each kind is enough to show that layers and workers apart do the same
SOME = ("02", "04", "06", "07", "14", "13", "15", "19", "25", "32", "33", "34", "36", "42")


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    command = [sys.executable, "-m", "gateway", "demo", "--json", *options]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.timeout(300)
def test_every_sample_ends_as_its_file_says() -> None:
    """Embedded, all samples: exit code 0, and the last line is the agreed JSON with no duplicates."""
    run = demo()
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-4000:]
    told = msgspec.json.decode(run.stdout.splitlines()[-1])
    assert list(told) == ["deals", "booked", "rejected", "invoiced", "cash_applied", "parked", "duplicates", "seconds"]
    assert told["deals"] == told["booked"] + told["rejected"] == len(list(SAMPLES.glob("*.json")))
    assert (told["parked"], told["duplicates"]) == (1, 0)
    assert told["seconds"] > 0
    assert "Every deal has ended as its file says, and every effect happened exactly once." in run.stdout


@pytest.mark.rabbitmq
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_the_same_with_rabbitmq_and_postgresql(tmp_path: Path) -> None:
    """Scaled, one sample of each kind: layers and two workers as processes of their own come to the same."""
    for number in SOME:
        for file in SAMPLES.glob(f"{number}-*.json"):
            shutil.copy(file, tmp_path)
    run = demo("--scaled", "--deals", str(tmp_path))
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-4000:]
    told = msgspec.json.decode(run.stdout.splitlines()[-1])
    assert (told["deals"], told["booked"], told["rejected"], told["duplicates"]) == (len(SOME), 10, 4, 0)


def test_a_broken_file_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with a file that is no deal starts nothing: exit code 2, and the place of the mistake on standard error."""
    (tmp_path / "01-broken.json").write_text('{"title": "x", "quote": {"id": 7}, "expect": {"outcome": "paid"}}')
    assert main(scaled=False, as_json=True, folder=tmp_path, keep=False) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("q2c demo: 01-broken.json at /quote/id: ")
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize(("books", "code"), [(Audit(), 0), (Audit(duplicates=("netsuite has 2 × sales_order of ORD-1",)), 1)])
def test_the_exit_code_says_whether_all_is_well(
    books: Audit, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One thing that is not as it must be fails the demo, and the JSON is the last line either way."""

    async def driven(_stack: Stack, _deals: Sequence[Deal]) -> Report:
        return report([seen()], {}, books, (), seconds=1)

    monkeypatch.setattr("gateway.demo._driven", driven)
    assert main(scaled=False, as_json=True, folder=SAMPLES, keep=False) == code
    assert msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])["duplicates"] == code


async def test_what_does_not_come_up_is_said_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that ends before it is ready is named, with the end of what it wrote; and nothing of the installation is left running."""
    stack = Stack(tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NotStarted, match="has ended"):
        await stack.start()
    stack.stop()
