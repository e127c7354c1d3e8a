"""`q2c`: each command prints its answer or one clear line, and its exit code says which."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner, Result

from canonical.failures import Misconfigured
from gateway import cli, running
from gateway.cli import app
from runtime.clock import SetClock
from runtime.store.contract import AddLine, Chain, Instance, JournalLine, StartInstance
from runtime.store.engine import open_store
from runtime.store.migrations import schema_version, wanted_version

SIMULATED = ("--simulators", "http://127.0.0.1:8101")
COMMANDS = [
    *("run", "demo", "serve", "worker", "migrate", "check", "routes", "topology"),
    *("capabilities", "process", "story", "token", "simulate", "statement"),
]
NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)


def q2c(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a store."""
    assert q2c("migrate", "--data", str(tmp_path)).exit_code == 0
    return tmp_path


def test_help_names_every_command() -> None:
    """Without a command the list of commands is printed."""
    text = q2c("--help").output
    assert [name for name in COMMANDS if name not in text] == []


def test_check_says_that_all_fits() -> None:
    """Exit 0 and a sentence."""
    result = q2c("check", *SIMULATED)
    assert (result.exit_code, result.stdout) == (0, "Tables, cards and bindings fit.\n")


def test_check_fails_with_a_line_for_each_fault(tmp_path: Path) -> None:
    """Exit 1 and the faults on standard error."""
    settings = tmp_path / "settings.toml"
    settings.write_text('[entities.US01]\nname = "x"\ncountry = "US"\ncurrency = "USD"\nbindings = { erp = "nothing" }\n', "utf-8")
    result = q2c("check", "--settings", str(settings))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "entity US01 binds erp to nothing, which is not a connection" in result.stderr.splitlines()


def test_migrate_can_be_run_again(data: Path) -> None:
    """The schema is brought to this release once, and a second run changes nothing."""
    again = q2c("migrate", "--data", str(data))
    assert (again.exit_code, again.stdout) == (0, "The store's schema is that of this release.\n")
    assert asyncio.run(schema_version(f"sqlite:///{data / 'q2c.db'}")) == wanted_version()


@pytest.mark.parametrize("command", ["topology", "capabilities", "routes"])
def test_what_it_tells_about_itself_needs_no_store(command: str, tmp_path: Path) -> None:
    """The prints work on a bare machine and leave no database behind."""
    result = q2c(command, *SIMULATED, "--data", str(tmp_path / "none"))
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) > 10
    assert not (tmp_path / "none" / "q2c.db").exists()


def test_process_list_and_show() -> None:
    """The names of the processes, and the table of each as text or as a flowchart."""
    names = q2c("process", "list").stdout.split()
    assert "order_booking" in names
    for name in names:
        assert q2c("process", "show", name).stdout.startswith(name)
    assert q2c("process", "show", "order_booking", "--mermaid").stdout.startswith("flowchart TD\n")


def test_a_token_speaks_for_its_subject(tmp_path: Path) -> None:
    """The token of the development issuer bears subject, scope and life time."""
    text = q2c(
        "token", "--data", str(tmp_path), "--subject", "dana", "--scope", "quotes:write quotes:decide", "--hours", "2"
    ).stdout.strip()
    claims = jwt.decode(text, options={"verify_signature": False})
    assert (claims["sub"], claims["scope"], claims["exp"] - claims["iat"]) == ("dana", "quotes:write quotes:decide", 7200)


async def _deal(path: Path) -> None:
    """A booked order in a store."""
    store = open_store(f"sqlite:///{path}", SetClock(NOW))
    await store.start()
    keys: dict[str, Any] = {"tenant": "default", "correlation_id": "q2c-7f3a"}
    for process, key in (("quote_approval", "Q-1001.v3"), ("order_booking", "ORD-1001"), ("cash_application", "pi_1")):
        row = Instance(process=process, key=key, status="done", started_by="Begin", created_at=NOW, updated_at=NOW, **keys)
        line = JournalLine(process=process, key=key, seq=0, step="", kind="started", at=NOW, **keys)
        await store.commit([StartInstance(row), AddLine(line), Chain("default", "q2c-7f3a", process, key)])
    await store.stop()


@pytest.mark.parametrize("reference", ["q2c-7f3a", "ORD-1001", "Q-1001", "Q-1001.v3", "pi_1", "order_booking/ORD-1001"])
def test_a_story_is_found_under_any_of_its_names(data: Path, reference: str) -> None:
    """Correlation id, order, quote, quote version, payment, or process and key: the whole transaction is told."""
    asyncio.run(_deal(data / "q2c.db"))
    result = q2c("story", reference, "--data", str(data))
    assert result.exit_code == 0, result.output
    heads = [line.split()[0] for line in result.stdout.splitlines() if "started by" in line]
    assert sorted(heads) == ["cash_application/pi_1", "order_booking/ORD-1001", "quote_approval/Q-1001.v3"]


def test_an_unknown_story_is_said(data: Path) -> None:
    """Exit 1 and a sentence on standard error; another tenant's deal is as unknown as any."""
    asyncio.run(_deal(data / "q2c.db"))
    for arguments in (("ORD-404",), ("ORD-1001", "--tenant", "globex")):
        result = q2c("story", *arguments, "--data", str(data))
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"Nothing is known under {arguments[0]}.\n"


def test_a_statement_is_printed_or_refused(tmp_path: Path) -> None:
    """A bank statement file is printed; what is none is refused with exit 2 and no traceback."""
    samples = sorted((Path(__file__).parents[2] / "deploy" / "samples").rglob("*.sta")) + sorted(
        (Path(__file__).parents[2] / "deploy" / "samples").rglob("*.xml")
    )
    for sample in samples:
        assert q2c("statement", str(sample), "--json").exit_code == 0
    bad = tmp_path / "bad.sta"
    bad.write_text("no statement", "utf-8")
    result = q2c("statement", str(bad))
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    missing = q2c("statement", str(tmp_path / "missing.sta"))
    assert missing.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["process", "show", "booking"], "q2c: no process is called 'booking'"),
        (["check", "--settings", "/nowhere.toml"], "q2c: /nowhere.toml: "),
        (["story", "ORD-1", "--data", "/nowhere"], "q2c: the store's schema is empty"),
    ],
)
def test_a_failure_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has a word is said in one line on standard error, with exit 2, and never as a traceback."""
    monkeypatch.setattr("sys.argv", ["q2c", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith(said)
    assert len(told.err.splitlines()) == 1


def test_an_unknown_layer_is_refused() -> None:
    """`serve` names the layers that there are."""
    result = q2c("serve", "--layer", "cellar", *SIMULATED)
    assert result.exit_code == 2
    assert "system, process, experience" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "layers", "works"),
    [
        ([], ("system", "process", "experience"), True),
        (["--layer", "process"], ("process",), False),
        (["--layer", "experience", "--layer", "system"], ("experience", "system"), False),
    ],
)
def test_serve_starts_what_is_asked_for(
    arguments: list[str], layers: tuple[str, ...], works: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without --layer everything is in one process, workers included; with it only the HTTP of those layers."""
    started: dict[str, object] = {}

    async def serve(settings: object, **how: object) -> None:
        started.update(how, port=getattr(getattr(settings, "http", None), "port", 0))

    monkeypatch.setattr(running, "serve", serve)
    assert q2c("serve", *SIMULATED, "--data", str(tmp_path), "--port", "8123", *arguments).exit_code == 0
    assert started == {"layers": layers, "works": works, "port": 8123}


def test_settings_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder of a command may be named by a variable."""
    monkeypatch.setenv("Q2C_DATA", str(tmp_path))
    assert q2c("migrate").exit_code == 0
    assert (tmp_path / "q2c.db").exists()


def test_a_misconfiguration_is_raised_with_its_word(tmp_path: Path) -> None:
    """Inside, a wrong setting is a `Misconfigured`; `main` turns it into its line."""
    (tmp_path / "settings.toml").write_text("[http]\nprot = 1", "utf-8")
    result = q2c("routes", "--settings", str(tmp_path / "settings.toml"))
    assert isinstance(result.exception, Misconfigured)
    assert json.dumps(result.exception.detail)
