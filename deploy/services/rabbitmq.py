"""A private RabbitMQ node: its own port, folder, cookie and epmd, so that it can be killed without touching anything else.

Debian 12 ships RabbitMQ 3.10. What it shows about quorum queues, confirms and dead-lettering holds for that version; 4.x differs,
for instance in its default delivery limit, and nothing run here proves anything about it.
"""

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

from deploy.services.children import Child, Folder, ServiceFailed
from deploy.services.ports import accepts, free_port
from deploy.services.software import ensure

PACKAGE = "rabbitmq-server"
# The scripts themselves: the wrappers in /usr/sbin switch to the user of the system's own node.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
USER = "q2c"
READY_WITHIN_S = 60
CONTROL_WITHIN_S = 30
REGISTER_SAVED_WITHIN_S = 1.5
GREETING, ANSWER = b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00"  # protocol header; a method frame on channel 0 follows: Connection.Start

CONFIGURATION = """\
loopback_users = none
disk_free_limit.absolute = 50MB
default_user = {user}
default_pass = {password}
vm_memory_high_watermark.absolute = 512MB
log.file.level = info
"""


def _find() -> Path | None:
    return SCRIPTS if (SCRIPTS / "rabbitmq-server").exists() and shutil.which("epmd") else None


def ready_software() -> str:
    """Makes sure that the programs are there, and says where."""
    return str(ensure(_find, PACKAGE))


class RabbitMQ:
    """One node. `url` stays the same over `kill` and `restart`."""

    def __init__(self, folder: Folder) -> None:
        self._scripts = ensure(_find, PACKAGE)
        self._folder = folder
        self.port, self._dist_port, self._epmd_port = free_port(), free_port(), free_port()
        self.password = folder.secret("password")
        self.url = self.url_of("/")
        self._node: Child | None = None
        self._epmd: Child | None = None

    def url_of(self, vhost: str) -> str:
        """The address of one virtual host."""
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}/{'' if vhost == '/' else vhost}"

    @property
    def pid(self) -> int:
        """The broker's process, for tests that hurt it."""
        return self._running().pid

    def _running(self) -> Child:
        if self._node is None or not self._node.alive:
            raise ServiceFailed("RabbitMQ is not running: start() or restart() it first")
        return self._node

    def _env(self) -> dict[str, str]:
        home = self._folder.path
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "RUNNING_UNDER_SYSTEMD": "true",  # the script then becomes the broker, so that its pid is the broker's
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_NODENAME": "q2c@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "broker.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _lay_out(self) -> None:
        home = self._folder.path
        for name in ("data", "log", "generated"):
            (home / name).mkdir(exist_ok=True)
        (home / "rabbitmq-env.conf").write_text("")
        (home / "enabled_plugins").write_text("[].\n")
        (home / "advanced.config").write_text("[].\n")
        (home / "rabbitmq.conf").write_text(CONFIGURATION.format(user=USER, password=self.password))
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self._folder.secret("cookie"))
            cookie.chmod(0o400)

    def start(self) -> Self:
        """Starts the node and returns when it serves. Raises `ServiceFailed`."""
        home, env = self._folder.path, self._env()
        self._lay_out()
        if self._epmd is None or not self._epmd.alive:
            # Started by us and in front: left to itself the broker would start one that outlives it.
            command = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = Child.start("epmd", command, env=env, log=home / "epmd.log")
            self._epmd.wait_until(lambda: accepts(self._epmd_port), within_s=10)
        (home / "broker.pid").unlink(missing_ok=True)  # one that was killed left it behind
        self._node = Child.start("RabbitMQ", [self._scripts / "rabbitmq-server"], env=env, log=home / "broker.log")
        self._node.wait_until(lambda: accepts(self.port, GREETING, ANSWER), within_s=READY_WITHIN_S)
        self._settle()
        return self

    def _settle(self) -> None:
        """The listener opens a little before the node is wholly up: declares can fail in between."""
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                self.control("await_startup")
            except ServiceFailed:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` answers. Raises `ServiceFailed` with what it says when it fails."""
        command = [str(self._scripts / "rabbitmqctl"), "--quiet", *arguments]
        done = subprocess.run(command, env=self._env(), capture_output=True, text=True, timeout=CONTROL_WITHIN_S, check=False)
        if done.returncode != 0:
            raise ServiceFailed(f"rabbitmqctl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-500:]}")
        return done.stdout

    def fresh_vhost(self) -> str:
        """The url of a new virtual host, empty and apart from all others."""
        name = f"t{secrets.token_hex(6)}"
        self.control("add_vhost", name)
        self.control("set_permissions", "--vhost", name, USER, ".*", ".*", ".*")
        return self.url_of(name)

    def keep_queues(self) -> None:
        """Returns when the quorum queues declared so far survive a kill.

        RabbitMQ 3.10 confirms a declaration, and messages in the new queue, up to half a second before the register of its quorum queues
        is on disk. After a SIGKILL in between, the queue is still listed, but it has lost its messages and answers nobody.
        """
        time.sleep(REGISTER_SAVED_WITHIN_S)

    def kill(self) -> None:
        """Ends the broker as a power cut would; its files stay."""
        if self._node is not None:
            self._node.kill()

    def shut_down(self) -> None:
        """Ends the broker in good order; its files stay."""
        if self._node is not None:
            self._node.stop()

    def pause(self) -> None:
        """Freezes the broker: connections stay open and nothing answers."""
        self._running().pause()

    def resume(self) -> None:
        """Lets a frozen broker go on."""
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
        if self._epmd is not None:
            self._epmd.kill()
        self._folder.remove()


def start(folder: Path | None = None) -> RabbitMQ:
    """A running node; in a private folder that goes away with it, or in the folder given. Raises `ServiceFailed`."""
    server = RabbitMQ(Folder("rabbitmq", folder))
    try:
        return server.start()
    except BaseException:
        server.stop()
        raise
