"""A private Tryton server: a real ERP to book, invoice and collect in, on an SQLite file of its own.

The first start on a machine installs Tryton into `.venv-tryton` and sets up a database, which takes about a minute; a copy of it is kept
in `.cache/tryton`, so that later starts take seconds. Tryton on SQLite serves one writer at a time: clients that write side by side can
be told that a code is not unique, and may try again.
"""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

from deploy.services.children import Child, Folder, ServiceFailed
from deploy.services.ports import accepts, free_port
from deploy.services.software import CACHE, REPOSITORY, locked

DATABASE = "erp"
USER = "admin"
PASSWORD_FILE, FACTS_FILE, DATABASE_FILE = "password", "facts.json", f"{DATABASE}.sqlite"
MODULES = ("party", "product", "company", "currency", "account", "account_product", "account_invoice", "account_payment", "sale")
ENVIRONMENT = REPOSITORY / ".venv-tryton"
SETUP = Path(__file__).with_name("tryton_setup.py")
READY_WITHIN_S = 60
SETUP_WITHIN_S = 600

CONFIGURATION = """\
[web]
listen = 127.0.0.1:{port}

[database]
uri = sqlite://
path = {folder}

[session]
timeout = 86400
max_attempt = 100000
"""


def _prepare_environment() -> None:
    """Makes `.venv-tryton` unless it is there; the script says what is missing where it cannot."""
    done = subprocess.run(
        [REPOSITORY / "deploy/bin/prepare", "tryton"], capture_output=True, text=True, timeout=SETUP_WITHIN_S, check=False
    )
    if done.returncode != 0:
        raise ServiceFailed(f"the Tryton environment could not be made: {done.stderr.strip()[-800:]}")


def _run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, env={**_env(), **(env or {})}, capture_output=True, text=True, timeout=SETUP_WITHIN_S, check=False)
    if done.returncode != 0:
        raise ServiceFailed(f"setting up Tryton failed in {Path(words[0]).name}: {(done.stderr or done.stdout).strip()[-1500:]}")


def _env() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "TZ": "UTC"}


def _configure(folder: Path, port: int) -> Path:
    path = folder / "trytond.conf"
    path.write_text(CONFIGURATION.format(folder=folder, port=port))
    return path


def _build(folder: Path) -> None:
    """A new database with the modules activated and the company set up; leaves its file, password and facts in the folder."""
    configuration, password = _configure(folder, free_port()), folder / PASSWORD_FILE
    password.write_text(secrets.token_hex(16))
    (folder / DATABASE_FILE).touch()  # trytond-admin fills a database; the file has to be there
    activate = ["-u", *MODULES, "--activate-dependencies", "--email", "erp@q2c.example", "-p"]
    _run(ENVIRONMENT / "bin/trytond-admin", "-c", configuration, "-d", DATABASE, *activate, env={"TRYTONPASSFILE": str(password)})
    _run(ENVIRONMENT / "bin/python", SETUP, configuration, DATABASE, folder / FACTS_FILE)


def template() -> Path:
    """The folder with a set-up database to copy, built if there is none for these versions. Raises `ServiceFailed`."""
    digest = hashlib.sha256()
    for source in (REPOSITORY / "requirements-tryton.txt", SETUP, Path(__file__)):
        digest.update(source.read_bytes())
    kept = CACHE / "tryton" / digest.hexdigest()[:16]
    with locked("tryton"):  # test processes side by side build it once
        _prepare_environment()
        if not kept.exists():
            shutil.rmtree(kept.parent, ignore_errors=True)
            building = kept.with_suffix(".building")
            building.mkdir(parents=True)
            _build(building)
            building.rename(kept)
    return kept


def ready_software() -> str:
    """Makes sure that the environment and the set-up database are there, and says where."""
    return str(template())


class TrytonServer:
    """One server with one database. `url` stays the same over `kill` and `restart`; the ids are those of the set-up script."""

    def __init__(self, folder: Folder) -> None:
        source = template()
        self._folder = folder
        if not (folder.path / DATABASE_FILE).exists():
            for name in (DATABASE_FILE, PASSWORD_FILE, FACTS_FILE):
                shutil.copy(source / name, folder.path / name)
        facts: dict[str, Any] = json.loads((folder.path / FACTS_FILE).read_text())
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database, self.user = DATABASE, USER
        self.password = (folder.path / PASSWORD_FILE).read_text()
        self.application_key: str = facts["application_key"]
        self.company_id: int = facts["company_id"]
        self.currency_ids: dict[str, int] = facts["currency_ids"]
        self.payment_term_id: int = facts["payment_term_id"]
        self.payment_method_id: int = facts["payment_method_id"]
        self.account_category_id: int = facts["account_category_id"]
        self.account_category_taxed_id: int = facts["account_category_taxed_id"]
        self.tax_id: int = facts["tax_id"]
        self.unit_id: int = facts["unit_id"]
        self.product_ids: dict[str, int] = facts["product_ids"]
        self.closed_period: str = facts["closed_period"]
        self._server: Child | None = None

    @property
    def pid(self) -> int:
        """The server's process, for tests that hurt it."""
        return self._running().pid

    def _running(self) -> Child:
        if self._server is None or not self._server.alive:
            raise ServiceFailed("Tryton is not running: start() or restart() it first")
        return self._server

    def start(self) -> Self:
        """Starts the server and returns when it answers. Raises `ServiceFailed`."""
        folder = self._folder.path
        configuration = _configure(folder, self.port)
        command: list[str | Path] = [ENVIRONMENT / "bin/trytond", "-c", configuration, "-d", DATABASE]
        self._server = Child.start("Tryton", command, env=_env(), log=folder / "server.log")
        # With -d it loads the database before it listens.
        self._server.wait_until(lambda: accepts(self.port), within_s=READY_WITHIN_S)
        return self

    def kill(self) -> None:
        """Ends the server as a power cut would; its files stay."""
        if self._server is not None:
            self._server.kill()

    def shut_down(self) -> None:
        """Ends the server in good order; its files stay."""
        if self._server is not None:
            self._server.stop()

    def pause(self) -> None:
        """Freezes the server: connections stay open and nothing answers."""
        self._running().pause()

    def resume(self) -> None:
        """Lets a frozen server go on."""
        self._running().resume()

    def restart(self) -> Self:
        """Starts it again on the same port and files, after a kill or a shut-down; one that still runs is killed first."""
        self.kill()
        return self.start()

    def stop(self) -> None:
        """Ends it for good and removes its folder if that was private."""
        if not self._folder.temporary:
            self.shut_down()
        self.kill()
        self._folder.remove()


def start(folder: Path | None = None) -> TrytonServer:
    """A running server; in a private folder that goes away with it, or in the folder given. Raises `ServiceFailed`."""
    server = TrytonServer(Folder("tryton", folder))
    try:
        return server.start()
    except BaseException:
        server.stop()
        raise
