"""What the demo says at the end, and whether it calls that a success."""

import msgspec

from canonical.money import Money
from gateway.demo.checking import Audit
from gateway.demo.report import as_text, report, summary_line
from tests.gateway.demo.made_up import PAID, changed, deal, instance, seen

PART = deal(changed(changed(PAID, "quote/id", "Q-2"), "expect/outcome", "partially_paid"), "02-part")
HALF = seen(PART, instance("quote_approval", "Q-2.v1"), instance("order_booking", "ORD-2"), stage="partially_paid", numbers=["INV-2"])
DUE = {"INV-2": Money("60.00", "USD")}


def test_the_last_line_is_exactly_the_agreed_json() -> None:
    """The keys and their order are a promise to scripts; numbers count deals, not lines."""
    found = report([seen(), HALF], DUE, Audit(), (), seconds=12.345)
    assert found.well
    assert summary_line(found) == (
        '{"deals":2,"booked":2,"rejected":0,"invoiced":2,"cash_applied":2,"parked":0,"duplicates":0,"seconds":12.3}'
    )


def test_a_deal_that_ended_otherwise_is_no_success() -> None:
    """The table marks it and says why; the verdict does not call it well."""
    found = report([seen(), HALF], {}, Audit(), (), seconds=1)
    text = as_text(found)
    assert not found.well
    assert "!! 02-part" in text
    assert "it ended as paid, not as partially_paid" in text
    assert "ok 01-acme" in text
    assert "Not all is as it must be:" in text


def test_a_duplicate_is_no_success_though_every_deal_ended_well() -> None:
    """What the books show wrong counts as much as a deal: it is named, and duplicates are in the summary."""
    books = Audit(duplicates=("netsuite has 2 × sales_order of ORD-1",), ghosts=("stripe has customer of C-9, which belongs to no deal",))
    found = report([seen()], {}, books, ("01-acme: nobody met 'commit_tax throttled'",), seconds=1)
    assert not found.well
    assert msgspec.json.decode(summary_line(found))["duplicates"] == 1
    assert [line for line in as_text(found).splitlines() if line.startswith("- ")] == [
        "- netsuite has 2 × sales_order of ORD-1",
        "- stripe has customer of C-9, which belongs to no deal",
        "- 01-acme: nobody met 'commit_tax throttled'",
    ]


def test_one_story_is_told_in_full() -> None:
    """The text for people begins with the story of a deal that was paid, and ends with the verdict."""
    text = as_text(report([seen()], {}, Audit(), (), seconds=1))
    assert text.index("It went well.") < text.index("ok 01-acme")
    assert text.endswith("Every deal has ended as its file says, and every effect happened exactly once.")


def test_a_deal_that_never_ended_is_said_to_be_so() -> None:
    """A deal that was stopped counts neither as booked nor as rejected."""
    stopped = seen(None, instance("order_booking", "ORD-1", "running"), numbers=[], payments={}, stopped="nobody came")
    found = report([stopped], {}, Audit(), (), seconds=1)
    assert (found.lines[0].ended, found.lines[0].wrong) == ("not ended", ("nobody came",))
    assert (found.summary.booked, found.summary.rejected) == (0, 0)
