"""An installation of the demo's own: nothing of the caller's settings gets into it, and nobody's port is taken."""

import socket
from pathlib import Path

import pytest

from gateway.demo.stack import HOST, Stack, environment, free_ports


def test_the_callers_settings_stay_outside() -> None:
    """A store that the caller has set for an installation of his own must not become the demo's."""
    outer = {"PATH": "/bin", "Q2C_STORE__URL": "postgresql://production/q2c", "Q2C_DATA": "/srv/q2c", "PYTHONPATH": "/opt/lib"}
    inner = environment(outer)
    assert {name for name in inner if name.startswith("Q2C_")} == set()
    assert inner["PATH"] == "/bin"
    assert inner["PYTHONPATH"].endswith(":/opt/lib")
    assert (Path(inner["PYTHONPATH"].split(":")[0]) / "gateway" / "demo").is_dir()


def test_neighbouring_ports_are_free() -> None:
    """Each of the ports can be listened on."""
    first = free_ports(9)
    held = []
    for port in range(first, first + 9):
        listener = socket.socket()
        held.append(listener)
        listener.bind((HOST, port))
    for listener in held:
        listener.close()


@pytest.mark.parametrize(("scaled", "gateways"), [(False, 1), (True, 3)])
def test_layers_are_served_together_or_apart(tmp_path: Path, scaled: bool, gateways: int) -> None:
    """Embedded, one address serves all layers; scaled, each has its own, beside the six vendors."""
    stack = Stack(tmp_path, scaled=scaled)
    at = stack.addresses
    ports = {int(base.rpartition(":")[2]) for base in (at.process, at.experience, at.system)}
    first = int(stack.simulators.rpartition(":")[2])
    assert len(ports) == gateways
    assert min(ports) == first + 6


def test_tokens_are_those_of_the_data_folder(tmp_path: Path) -> None:
    """A person's token stays the same while the demo runs, and is signed by the issuer of this installation."""
    stack = Stack(tmp_path)
    assert stack.token("Dana") == stack.token("Dana") != stack.token("Priya")
    assert (tmp_path / "data" / "development-issuer.pem").exists()


def test_what_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    """Stopping is safe however far the start has come, and twice."""
    stack = Stack(tmp_path)
    stack.stop()
    stack.stop()
    assert stack.log("gateway") == ""
