"""A private PostgreSQL server: its own port, folder and password, with the durability settings of a real one."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from deploy.services.children import Child, Folder, ServiceFailed
from deploy.services.ports import free_port
from deploy.services.software import ensure

PACKAGE = "postgresql"
INSTALLED = Path("/usr/lib/postgresql")
USER = "q2c"
READY_WITHIN_S = 60
COMMAND_WITHIN_S = 60
CONNECTIONS_MAX = 200


def _find() -> Path | None:
    """The newest installed version's programs."""
    versions = sorted(INSTALLED.glob("*/bin/postgres"), key=lambda program: int(program.parts[-3].partition(".")[0]))
    if versions:
        return versions[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path and shutil.which("initdb") else None


def ready_software() -> str:
    """Makes sure that the programs are there, and says where."""
    return str(ensure(_find, PACKAGE))


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root; whose account it then runs under."""
    if os.geteuid() != 0:
        return None
    accounts = {account.pw_name for account in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in accounts), None)


class Postgres:
    """One server with one database to start with. `url` stays the same over `kill` and `restart`."""

    def __init__(self, folder: Folder) -> None:
        self._programs = ensure(_find, PACKAGE)
        self._folder = folder
        self._user = _unprivileged_user()
        self._data = folder.path / "data"
        self.port = free_port()
        self.password = folder.secret("password")
        self.url = self.url_of(USER)
        self._server: Child | None = None

    def url_of(self, database: str) -> str:
        """The address of one database."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The server's main process, for tests that hurt it."""
        if self._server is None or not self._server.alive:
            raise ServiceFailed("PostgreSQL is not running: start() or restart() it first")
        return self._server.pid

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"}

    def run(self, program: str, *arguments: str) -> str:
        """What one of PostgreSQL's own programs prints, run against this server. Raises `ServiceFailed` with what it says."""
        where = ["--host=127.0.0.1", f"--port={self.port}", f"--username={USER}"]
        return self._call([str(self._programs / program), *where, *arguments])

    def _call(self, command: list[str], user: str | None = None) -> str:
        done = subprocess.run(
            command, env=self._env(), cwd="/", user=user, capture_output=True, text=True, timeout=COMMAND_WITHIN_S, check=False
        )
        if done.returncode != 0:
            raise ServiceFailed(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def _lay_out(self) -> None:
        """Creates the database files, once, owned by the account that will run the server."""
        if (self._data / "PG_VERSION").exists():
            return
        password_file = self._folder.path / "password.secret"
        if self._user is not None:
            self._folder.path.chmod(0o711)  # others may pass, not look
            for path in (self._folder.path, password_file):
                shutil.chown(path, self._user)
        words = [f"--pgdata={self._data}", f"--username={USER}", f"--pwfile={password_file}", "--auth=scram-sha-256"]
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._call([str(self._programs / "initdb"), *words, *locale], user=self._user)

    def start(self) -> Self:
        """Starts the server and returns when it answers. Raises `ServiceFailed`."""
        self._lay_out()
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                self._start_once(within_s=deadline - time.monotonic())
            except ServiceFailed:
                # After a kill -9 the old server's last children hold its shared memory for a moment: a start in between is refused.
                if time.monotonic() > deadline or self._server is None or self._server.alive:
                    raise
                time.sleep(0.2)
            else:
                break
        self._ensure_database(USER)
        return self

    def _start_once(self, *, within_s: float) -> None:
        words = ["-D", str(self._data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        words += ["-c", f"max_connections={CONNECTIONS_MAX}", "-c", "shared_buffers=64MB"]
        log = self._folder.path / "server.log"
        self._server = Child.start("PostgreSQL", [self._programs / "postgres", *words], env=self._env(), log=log, user=self._user)
        self._server.wait_until(self._answers, within_s=within_s)

    def _answers(self) -> bool:
        try:
            self.run("pg_isready", "--dbname=postgres", "--quiet")
        except ServiceFailed:
            return False
        return True

    def _ensure_database(self, name: str) -> None:
        known = self.run("psql", "--dbname=postgres", "--no-align", "--tuples-only", "--command=SELECT datname FROM pg_database")
        if name not in known.split():
            self.run("createdb", name)

    def fresh_database(self) -> str:
        """The url of a new database, empty and apart from all others."""
        name = f"t{secrets.token_hex(6)}"
        self.run("createdb", name)
        return self.url_of(name)

    def kill(self) -> None:
        """Ends the server as a power cut would; its files stay."""
        if self._server is not None:
            self._server.kill()

    def shut_down(self) -> None:
        """Ends the server in good order, cutting its connections; its files stay."""
        if self._server is not None:
            self._server.stop(signal.SIGINT)

    def restart(self) -> Self:
        """Starts it again on the same port and files, after a kill or a shut-down; one that still runs is killed first."""
        self.kill()
        return self.start()

    def stop(self) -> None:
        """Ends it for good and removes its folder if that was private."""
        # In good order even where the files are thrown away: SIGKILL would leave its shared memory to the machine.
        self.shut_down()
        self._folder.remove()


def start(folder: Path | None = None) -> Postgres:
    """A running server; in a private folder that goes away with it, or in the folder given. Raises `ServiceFailed`."""
    server = Postgres(Folder("postgres", folder))
    try:
        return server.start()
    except BaseException:
        server.stop()
        raise
