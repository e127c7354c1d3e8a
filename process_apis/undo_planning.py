"""How a document in a ledger is taken back: void, credit note, reversing entry, or a hold; never a delete.

A ledger is corrected by more entries, not by fewer. Which one is right follows from what the document has become, whether its accounting
period is still open, what the legal entity wants done about closed ones, and what its ERP can do: few rules, which an auditor can read.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Literal

import msgspec

State = Literal["draft", "posted", "partially_paid", "paid", "void"]
ClosedPeriod = Literal["next_open_period", "hold"]
Act = Literal["nothing", "cancel", "void", "credit_note", "reversing_entry", "hold"]

STATES: tuple[State, ...] = ("draft", "posted", "partially_paid", "paid", "void")


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an ERP can do about a posted document: ``voids``: void it within its open period; ``credits``: issue a credit note for it."""

    voids: bool = False
    credits: bool = True


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taken back. ``next_open_on``: the first day of the next open period, None where none is known."""

    state: State
    period_open: bool
    dated: dt.date
    next_open_on: dt.date | None = None


class UndoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, as of which day, and why. ``cash``: what becomes of money that was paid on it."""

    act: Act
    on: dt.date | None
    why: str
    cash: str = ""


UNAPPLIED = "payments stay as unapplied cash of the customer"
WORDS: Mapping[Act, str] = {
    "nothing": "it is void already",
    "cancel": "a draft is in no ledger yet: it is cancelled, and its number stays used",
    "void": "it is posted, unpaid, its period is open, and the ERP voids",
    "credit_note": "what was posted is taken back by a document of its own",
    "reversing_entry": "its period is closed or the ERP issues no credit note: an entry with the sides exchanged takes it back",
    "hold": "its period is closed, and a person has to say what shall be done",
}


def plan(document: Document, abilities: Abilities, closed_period: ClosedPeriod) -> UndoPlan:
    """What takes the document back without removing anything."""
    if document.state == "void":
        return _planned("nothing", None)
    if document.state == "draft":
        return _planned("cancel", None)
    on = document.dated if document.period_open else document.next_open_on
    if not document.period_open and (closed_period == "hold" or on is None):
        return _planned("hold", None)
    return _planned(_act(document, abilities), on, UNAPPLIED if document.state in {"partially_paid", "paid"} else "")


def _act(document: Document, abilities: Abilities) -> Act:
    if document.period_open and document.state == "posted" and abilities.voids:
        return "void"
    if document.state == "paid" and not document.period_open:
        return "reversing_entry"  # the sale and its cash are history of a closed period: the correction belongs to the next one, by itself
    return "credit_note" if abilities.credits else "reversing_entry"


def _planned(act: Act, on: dt.date | None, cash: str = "") -> UndoPlan:
    return UndoPlan(act=act, on=on, why=WORDS[act], cash=cash)
