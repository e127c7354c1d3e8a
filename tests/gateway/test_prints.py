"""The gateway tells about itself: its tables, queues and capabilities are golden files, so that whatever changes shows in the diff."""

from pathlib import Path

import pytest

from canonical.failures import Misconfigured
from gateway import inspecting
from gateway.settings import Settings, load
from gateway.simulated import settings as simulated
from tests.gateway.prints import printed

NAMES = ("quote_approval", "order_booking", "invoicing", "cash_application", "quote_validation")


@pytest.fixture
def world(tmp_path: Path) -> Settings:
    """Two entities, bound to six vendors."""
    return load(None, base={**simulated("http://127.0.0.1:8101"), "data": str(tmp_path)}, environment={})


def test_the_roster_is_known() -> None:
    """There are these processes and this inquiry, and each of them is printed below."""
    assert inspecting.process_names() == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_process_shows_its_table(name: str) -> None:
    """`q2c process show` prints what each step asks and learns, how it is undone, and where nothing is undone any more."""
    printed(f"{name}.txt", inspecting.process_text(name, mermaid=False))


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_process_draws_itself(name: str) -> None:
    """The same as a Mermaid flowchart."""
    printed(f"{name}.mmd", inspecting.process_text(name, mermaid=True))


def test_an_unknown_process_is_said_with_those_that_there_are() -> None:
    """A name that is not in the roster is refused with the roster."""
    with pytest.raises(Misconfigured, match="no process is called 'booking'; there are quote_approval, order_booking"):
        inspecting.process_text("booking", mermaid=False)


def test_the_topology_is_known(world: Settings) -> None:
    """Every queue, and which events go there."""
    printed("topology.txt", inspecting.topology_text(world))


def test_the_capabilities_are_known(world: Settings) -> None:
    """What each connection can do, how its writes are made single, how long it settles, and what it loses."""
    printed("capabilities.txt", inspecting.capabilities_text(world))
