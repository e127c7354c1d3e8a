"""The oracle: believes the driver's log and the vendors' books, and nothing that the gateway says of itself.

It counts by business identity (an order, and what kind of effect), never by the keys that the gateway sends: a key that was made anew for
each try would hide the very thing that it is to find. An effect that had to be there and is not is LOST; one too many is DUPLICATED; one
without a cause, or with another amount, or that should have been taken back, is a GHOST; an accepted order that has not come to its end is
STUCK. What was done for a request that never got its answer is recovered: its client learns it by asking again.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOOKED, REJECTED = "OrderBooked", "OrderRejected"
BEFORE_REFUSAL = ("tax_document", "sales_order")  # what stands when billing refuses, and has to be taken back
Line = Mapping[str, Any]


def lines_in(path: Path) -> list[Line]:
    """The whole lines of a file; a last one that was cut off by a kill was never answered for."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


@dataclass
class Kind:
    """The effects of one kind for one reference: those that were made, how many were taken back, how many of these too early."""

    made: list[Line] = field(default_factory=list)
    undone: int = 0
    early: int = 0


@dataclass
class Verdict:
    """The counts, and a sentence for each thing that is wrong, with the order that it is about."""

    orders: int = 0
    accepted: int = 0
    effects: int = 0
    lost: int = 0
    duplicated: int = 0
    ghost: int = 0
    stuck: int = 0
    recovered: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)

    @property
    def green(self) -> bool:
        return not (self.lost or self.duplicated or self.ghost or self.stuck)

    def found(self, what: str, order: str, sentence: str, times: int = 1) -> None:
        """Count something that is wrong."""
        setattr(self, what, getattr(self, what) + times)
        self.wrong.append((order, f"{what.upper()}: {sentence}"))


class Oracle:
    """Reads both sides and compares them."""

    def __init__(self, log: Iterable[Line], books: Iterable[Line]) -> None:
        self.sent: dict[str, Line] = {}
        self.answers: dict[str, list[Line]] = defaultdict(list)
        for line in log:
            if "send" in line:
                self.sent[line["send"]["order"]] = line["send"]
            elif "answer" in line:
                self.answers[line["answer"]].append(line)
        self.kinds: dict[tuple[str, str], Kind] = defaultdict(Kind)
        self.effects = 0
        for line in books:
            self.effects += 1
            kind = self.kinds[line["kind"], line["ref"]]
            if line["act"] == "undo":
                kind.early += kind.undone >= len(kind.made)
                kind.undone += 1
            else:
                kind.made.append(line)

    def accepted(self, order: str) -> bool:
        """Whether the gateway has said that it took the order."""
        return any(answer["status"] == 202 for answer in self.answers[order])

    def judge(self) -> Verdict:
        """Compare everything."""
        verdict = Verdict(orders=len(self.sent), effects=self.effects)
        customers = {expected["customer"] for expected in self.sent.values()}
        for (name, ref), kind in self.kinds.items():
            if name == "customer":
                self._customer(verdict, ref, kind, customers)
            elif ref not in self.sent:
                verdict.found("ghost", ref, f"{name} of {ref}, which nobody has sent", len(kind.made) + kind.undone)
        for order, expected in self.sent.items():
            if self.accepted(order):
                verdict.accepted += 1
                self._order(verdict, order, expected)
            else:
                self._unanswered(verdict, order, expected)
        return verdict

    def _customer(self, verdict: Verdict, ref: str, kind: Kind, customers: set[str]) -> None:
        if ref not in customers:
            verdict.found("ghost", ref, f"customer {ref}, whom nobody has sent")
        if len(kind.made) > 1:
            verdict.found("duplicated", ref, f"customer {ref} is there {len(kind.made)} times", len(kind.made) - 1)

    def _unanswered(self, verdict: Verdict, order: str, expected: Line) -> None:
        refused = [answer["status"] for answer in self.answers[order]]
        there = sum(len(kind.made) for (_, ref), kind in self.kinds.items() if ref == order) if refused else self._there(order)
        if not there:
            return
        if refused:
            verdict.found("ghost", order, f"{order} was refused with {refused[0]} and has {there} effects", there)
            return
        verdict.recovered += 1
        self._order(verdict, order, expected)

    def _there(self, order: str) -> int:
        names = ("sales_order", "tax_document", "subscription", "project", "opportunity_won", BOOKED, REJECTED)
        return sum(len(self.kinds[name, order].made) for name in names if (name, order) in self.kinds)

    def _order(self, verdict: Verdict, order: str, expected: Line) -> None:
        booked, rejected = self.kinds[BOOKED, order], self.kinds[REJECTED, order]
        if not booked.made and not rejected.made and self._there(order):
            verdict.found("stuck", order, f"{order} has begun and has not come to its end")
            return
        self._told(verdict, order)
        self._events(verdict, order, len(booked.made), len(rejected.made), refused=expected["refused"])
        self._one(verdict, order, "customer", expected["customer"], None, stands=True)
        for name in ("tax_document", "sales_order", "subscription", "project", "opportunity_won"):
            wanted = expected["effects"].get(name)
            if expected["refused"]:
                self._taken_back(verdict, order, name, wanted)
            else:
                self._one(verdict, order, name, order, wanted, stands=name in expected["effects"])

    def _told(self, verdict: Verdict, order: str) -> None:
        """Whoever asked for the order, under whatever key, was told of one and the same transaction."""
        told = {answer["said"] for answer in self.answers[order] if answer["status"] == 202}
        if len(told) > 1:
            verdict.found("duplicated", order, f"{order} is {len(told)} transactions: {', '.join(sorted(told))}", len(told) - 1)

    def _events(self, verdict: Verdict, order: str, booked: int, rejected: int, *, refused: bool) -> None:
        right, other = (rejected, booked) if refused else (booked, rejected)
        word = REJECTED if refused else BOOKED
        if not right:
            verdict.found("lost", order, f"nobody was told {word} of {order}")
        if right > 1:
            verdict.found("duplicated", order, f"{word} of {order} was told {right} times", right - 1)
        if other:
            verdict.found("ghost", order, f"{order} was told to have ended the other way", other)

    def _one(self, verdict: Verdict, order: str, name: str, ref: str, wanted: Line | None, *, stands: bool) -> None:
        """The effect stands once, with its amount; or not at all."""
        kind = self.kinds[name, ref]
        made = len(kind.made)
        if not stands:
            if made:
                verdict.found("ghost", order, f"{name} of {order}, which it does not have", made)
            return
        if not made or kind.undone >= made:
            verdict.found("lost", order, f"{name} of {order} is not there")
        if made > 1 and name != "customer":
            verdict.found("duplicated", order, f"{name} of {order} is there {made} times", made - 1)
        self._over(verdict, order, name, kind, wanted)

    def _over(self, verdict: Verdict, order: str, name: str, kind: Kind, wanted: Line | None) -> None:
        """Each effect is over what was ordered."""
        for line in kind.made if wanted else ():
            if wanted and (line["amount"], line["currency"]) != (wanted["amount"], wanted["currency"]):
                said = f"{line['amount']} {line['currency']}"
                verdict.found("ghost", order, f"{name} of {order} is over {said}, not {wanted['amount']} {wanted['currency']}")

    def _taken_back(self, verdict: Verdict, order: str, name: str, wanted: Line | None) -> None:
        """Of a refused order nothing stands: what stood when it was refused was made once, and taken back once after that."""
        kind = self.kinds[name, order]
        if name in BEFORE_REFUSAL and not kind.made:
            verdict.found("lost", order, f"{name} of the refused {order} was never made, though it comes before the refusal")
        if kind.early:
            verdict.found("duplicated", order, f"{name} of the refused {order} was taken back with nothing there", kind.early)
        self._over(verdict, order, name, kind, wanted)
        if len(kind.made) > 1:
            verdict.found("duplicated", order, f"{name} of {order} was made {len(kind.made)} times", len(kind.made) - 1)
        if kind.undone < len(kind.made):
            verdict.found("ghost", order, f"{name} of the refused {order} still stands", len(kind.made) - kind.undone)

    def history(self, order: str) -> list[str]:
        """Everything that both sides know of an order, in the order of time."""
        lines: list[tuple[float, str]] = []
        if order in self.sent:
            lines.append((0.0, f"expected {json.dumps(self.sent[order])}"))
        lines += [(answer["at"], f"answered {answer['status']} {answer['said']} to {answer['key']}") for answer in self.answers[order]]
        for (name, ref), kind in self.kinds.items():
            if ref == order:
                lines += [(line["at"], f"{name} {line['id']} key {line['key']} {line['amount']} {line['currency']}") for line in kind.made]
                lines += [(float("inf"), f"{name} taken back {kind.undone} times")] if kind.undone else []
        return [f"{at:.2f} {text}" for at, text in sorted(lines)]
