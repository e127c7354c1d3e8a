"""`q2c check`: a gateway that cannot do what its tables ask is found before it is started."""

from pathlib import Path
from typing import Any

import pytest

from gateway import inspecting
from gateway.settings import Settings, load
from gateway.simulated import settings as simulated


def check(change: Any = None) -> list[str]:
    """The faults of the simulated world after a change."""
    tree = simulated("http://127.0.0.1:8101")
    tree["entities"] = {name: {**entity, "bindings": dict(entity["bindings"])} for name, entity in tree["entities"].items()}
    if change is not None:
        change(tree)
    return inspecting.check(load(None, base=tree, environment={}))


def test_the_simulated_world_fits() -> None:
    """Both sample entities can do everything that the tables ask."""
    assert check() == []


def test_a_port_that_is_not_bound_is_found() -> None:
    """Every command that a process or an inquiry would ask of the port is named."""
    faults = check(lambda tree: tree["entities"]["US01"]["bindings"].pop("tax"))
    assert faults == [
        "entity US01: order_booking asks tax.CommitTax, but no connection is bound to tax",
        "entity US01: order_booking asks tax.VoidTax, but no connection is bound to tax",
        "entity US01: quote_validation asks tax.EstimateTax, but no connection is bound to tax",
    ]


def test_a_binding_to_nothing_is_found() -> None:
    """A binding to a connection that is not there is named with its entity and port."""
    faults = check(lambda tree: tree["connections"].pop("tryton"))
    assert faults == ["entity DE01 binds erp to tryton, which is not a connection"]


def test_a_card_without_the_command_is_found() -> None:
    """A connection of the wrong kind does not have the commands, the undoing ones included, on its card."""
    faults = check(lambda tree: tree["entities"]["DE01"]["bindings"].update(erp="stripe"))
    assert "entity DE01: order_booking asks erp.CreateSalesOrder, which is not on the card of stripe" in faults
    assert "entity DE01: order_booking asks erp.CancelSalesOrder, which is not on the card of stripe" in faults
    assert "entity DE01: cash_application asks erp.ApplyPayment, which is not on the card of stripe" in faults
    assert not any("US01" in fault for fault in faults)


def test_each_fault_is_said_once() -> None:
    """A command that several tables ask is a line for each table, and no line twice."""
    faults = check(lambda tree: tree["entities"]["DE01"]["bindings"].update(erp="stripe"))
    assert len(set(faults)) == len(faults)


def test_no_entity_is_a_fault(tmp_path: Path) -> None:
    """A gateway that sells for nobody is not ready."""
    assert inspecting.check(Settings()) == ["no legal entity is set: [entities.NAME] binds ports to connections"]


@pytest.mark.parametrize("process", ["order_booking", "invoicing", "cash_application"])
def test_no_port_is_needed_for_nothing(process: str) -> None:
    """Without any binding every table that asks something is named."""
    faults = check(lambda tree: tree["entities"]["US01"]["bindings"].clear())
    assert any(f"{process} asks" in fault for fault in faults)
