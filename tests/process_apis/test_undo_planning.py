"""Taking a document back: every combination has an answer, and none of them removes anything."""

import datetime as dt
import itertools
from typing import get_args

import pytest

from process_apis.undo_planning import STATES, Abilities, Act, ClosedPeriod, Document, State, UndoPlan, plan

DATED, NEXT = dt.date(2026, 10, 31), dt.date(2026, 12, 1)
ALL = Abilities(voids=True, credits=True)


def planned(state: State, *, is_open: bool = True, can: Abilities = ALL, policy: ClosedPeriod = "next_open_period") -> UndoPlan:
    return plan(Document(state=state, period_open=is_open, dated=DATED, next_open_on=NEXT), can, policy)


@pytest.mark.parametrize(
    ("state", "is_open", "act", "on"),
    [
        ("draft", True, "cancel", None),
        ("draft", False, "cancel", None),
        ("posted", True, "void", DATED),
        ("posted", False, "credit_note", NEXT),
        ("partially_paid", True, "credit_note", DATED),
        ("partially_paid", False, "credit_note", NEXT),
        ("paid", True, "credit_note", DATED),
        ("paid", False, "reversing_entry", NEXT),
        ("void", True, "nothing", None),
    ],
)
def test_the_act_follows_from_state_and_period(state: State, is_open: bool, act: Act, on: dt.date | None) -> None:
    """Unpaid and open is voided; paid is credited; paid in a closed period is reversed in the next open one (M11)."""
    found = planned(state, is_open=is_open)
    assert (found.act, found.on) == (act, on)
    assert bool(found.cash) is (state in {"partially_paid", "paid"})


def test_what_the_erp_cannot_do_is_not_asked_of_it() -> None:
    """Without voiding there is a credit note, without credit notes a reversing entry."""
    assert planned("posted", can=Abilities(voids=False)).act == "credit_note"
    assert planned("posted", can=Abilities(voids=False, credits=False)).act == "reversing_entry"
    assert planned("paid", can=Abilities(voids=True, credits=False)).act == "reversing_entry"


@pytest.mark.parametrize("state", ["posted", "partially_paid", "paid"])
def test_a_closed_period_is_held_where_the_entity_wants_that(state: State) -> None:
    """By the policy of the entity, or where no open period is known, a person decides (M1)."""
    assert planned(state, is_open=False, policy="hold").act == "hold"
    nowhere = Document(state=state, period_open=False, dated=DATED)
    assert plan(nowhere, ALL, "next_open_period").act == "hold"


def test_every_combination_has_an_answer_that_removes_nothing() -> None:
    """Whatever state, period, policy and ERP: one of the six acts, a reason, and nothing dated into a closed period (I5)."""
    policies: tuple[ClosedPeriod, ...] = ("next_open_period", "hold")
    for state, is_open, policy, voids, credit in itertools.product(STATES, (True, False), policies, (True, False), (True, False)):
        found = planned(state, is_open=is_open, can=Abilities(voids=voids, credits=credit), policy=policy)
        assert found.act in get_args(Act)
        assert found.why
        assert is_open or found.on in {None, NEXT}
        assert found.act != "void" or voids
        assert found.act != "credit_note" or credit
