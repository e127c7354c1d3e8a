"""What the demo says: lines while it runs, then one deal's story, the table of all, and what the books say."""

from collections.abc import Mapping, Sequence

import msgspec

from canonical.money import Money
from gateway.demo.checking import Audit
from gateway.demo.deals import REJECTED, Deal
from gateway.demo.driver import Seen
from gateway.demo.ending import differences, outcome


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A deal in the table; ``wrong`` is empty where it has ended as its file says."""

    deal: str
    customer: str
    total: str
    ended: str
    wrong: tuple[str, ...] = ()


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of ``--json``: numbers of deals, and of effects that happened more than once."""

    deals: int
    booked: int
    rejected: int
    invoiced: int
    cash_applied: int
    parked: int
    duplicates: int
    seconds: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known at the end. ``wrong`` is what belongs to no single deal."""

    lines: tuple[Line, ...]
    summary: Summary
    wrong: tuple[str, ...]
    story: str

    @property
    def well(self) -> bool:
        """Whether every deal has ended as its file says, every effect happened once, and nothing else is wrong."""
        return not self.wrong and not any(line.wrong for line in self.lines)


def report(deals: Sequence[Seen], open_amounts: Mapping[str, Money], books: Audit, wrong: Sequence[str], *, seconds: float) -> Report:
    """Everything that was seen, as the report."""
    lines = tuple(_line(seen, open_amounts) for seen in deals)
    ended = [line.ended for line in lines]
    summary = Summary(
        deals=len(deals),
        booked=sum(seen.booked for seen in deals),
        rejected=sum(word in REJECTED for word in ended),
        invoiced=sum(bool(seen.numbers) for seen in deals),
        cash_applied=sum(word in {"paid", "partially_paid"} for word in ended),
        parked=ended.count("parked"),
        duplicates=len(books.duplicates),
        seconds=round(seconds, 1),
    )
    return Report(lines=lines, summary=summary, wrong=(*books.faults, *wrong), story=_story(deals, lines))


def _line(seen: Seen, open_amounts: Mapping[str, Money]) -> Line:
    deal = seen.deal
    return Line(
        deal=deal.name,
        customer=deal.subject.customer.legal_name,
        total=str(deal.subject.total),
        ended=outcome(seen, open_amounts) or "not ended",
        wrong=differences(seen, open_amounts),
    )


def _story(deals: Sequence[Seen], lines: Sequence[Line]) -> str:
    """The deal with the most to tell among those that ended in cash."""
    paid = [seen.view.story for seen, line in zip(deals, lines, strict=True) if line.ended == "paid" and seen.view]
    return max(paid, key=len, default="")


def progress(deal: Deal, said: str, elapsed_s: float) -> str:
    """One line while it runs."""
    return f"{elapsed_s:6.1f} s  {deal.name:<36} {said}"


def as_text(found: Report) -> str:
    """The end of the demo for people."""
    rows = [f"{'':3}{'deal':<36}{'customer':<28}{'total':>16}  ended as"]
    for line in found.lines:
        rows.append(
            f"{'ok' if not line.wrong else '!!':<3}{line.deal:<36}{line.customer:<28}{line.total:>16}  {line.ended.replace('_', ' ')}"
        )
        rows += [f"{'':5}- {wrong}" for wrong in line.wrong]
    s = found.summary
    counted = (
        f"{s.deals} deals: {s.booked} booked, {s.rejected} rejected, {s.invoiced} invoiced, {s.cash_applied} with cash applied, "
        f"{s.parked} parked; {s.duplicates} duplicates; {s.seconds:g} s"
    )
    good, bad = "Every deal has ended as its file says, and every effect happened exactly once.", "Not all is as it must be:"
    told = ["One of them in full:", "", found.story] if found.story else []
    return "\n".join([*told, *rows, "", counted, good if found.well else bad, *(f"- {wrong}" for wrong in found.wrong)])


def summary_line(found: Report) -> str:
    """The last line of ``--json``."""
    return msgspec.json.encode(found.summary).decode()
