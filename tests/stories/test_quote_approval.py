"""The stories of quote approvals."""

import pytest

from canonical.quote import Quote
from tests.stories.golden import told
from tests.stories.harness import World, approval, at_rest, booking
from tests.stories.sales import ACME, line, quote, signature

pytestmark = pytest.mark.asyncio(loop_scope="module")


def discounted(number: str) -> Quote:
    """A quote with a discount that a person has to approve."""
    return quote(number, ACME, lines=(line(1, "HW-GW", "10", "USD", discount="20"),))


async def submitted(there: World, offered: Quote) -> str:
    """Submit a quote and follow it until it waits for somebody."""
    correlation_id = await there.submit(offered)
    await there.rest(approval(offered))
    return correlation_id


async def decided(there: World, offered: Quote, decision: str, **how: object) -> None:
    """Somebody decides, and the quote goes on until it has ended, or waits for something else."""
    waited_for = (await there.rest(approval(offered))).waiting_for
    answer = await there.decide(offered, decision, **how)  # type: ignore[arg-type]
    assert answer.status_code == 202, answer.text
    await there.until(approval(offered), lambda row: at_rest(row) and row.waiting_for != waited_for)


async def test_by_rule(there: World) -> None:
    """A small quote that the customer has signed already is approved by rule, accepted and booked without a person."""
    offered = quote("1021", ACME, ("HW-GW", "1"))
    correlation_id = await there.submit(offered, signature=signature(offered))
    await there.rest(booking("ORD-1021"))
    told("quote_approval/by_rule.txt", await there.stories(correlation_id))


async def test_approved_by_a_person_then_signed(there: World) -> None:
    """A deep discount waits for a person; approved, it waits for the customer; signed, it is booked."""
    offered = discounted("1022")
    correlation_id = await submitted(there, offered)
    await decided(there, offered, "approve", by="vera")
    await decided(there, offered, "sign", by="pat", signature=signature(offered))
    await there.rest(booking("ORD-1022"))
    told("quote_approval/approved_by_a_person_then_signed.txt", await there.stories(correlation_id))


async def test_rejected(there: World) -> None:
    """A person who rejects a quote says why, and the quote ends there."""
    offered = discounted("1023")
    await submitted(there, offered)
    await decided(there, offered, "reject", by="vera", reason="not for gateways")
    told("quote_approval/rejected.txt", await there.story(approval(offered)))


async def test_escalated_then_approved(there: World) -> None:
    """Where nobody decides in two days, the next level is asked; approved there, it waits for the customer."""
    offered = discounted("1024")
    await submitted(there, offered)
    await there.pass_time(days=2)
    await there.until(approval(offered), lambda row: row.status == "waiting" and row.position == 3)
    await decided(there, offered, "approve", by="walter")
    told("quote_approval/escalated_then_approved.txt", await there.story(approval(offered)))


async def test_nobody_decides(there: World) -> None:
    """Where nobody decides, not even after escalation, the quote is rejected for that reason."""
    offered = discounted("1025")
    await submitted(there, offered)
    await there.pass_time(days=2)
    await there.until(approval(offered), lambda row: row.status == "waiting" and row.position == 3)
    await there.pass_time(days=3)
    await there.ended(approval(offered))
    told("quote_approval/nobody_decides.txt", await there.story(approval(offered)))


async def test_declined_by_the_customer(there: World) -> None:
    """A customer who declines ends the quote; nothing is booked."""
    offered = quote("1026", ACME, ("HW-GW", "2"))
    correlation_id = await submitted(there, offered)
    await decided(there, offered, "decline", by="pat", reason="too late for this year")
    told("quote_approval/declined_by_the_customer.txt", await there.stories(correlation_id))
    assert there.booked("netsuite", "ORD-1026") == []


async def test_signature_for_another_version(there: World) -> None:
    """A signature under another version is refused, and the quote goes on waiting for the right one."""
    offered, other = quote("1027", ACME, ("HW-GW", "3")), quote("1027", ACME, ("HW-GW", "4"))
    await submitted(there, offered)
    answer = await there.decide(offered, "sign", by="pat", signature=signature(other))
    assert (answer.status_code, answer.json()["detail"]) == (422, "the signature is for another version of the quote")
    told("quote_approval/signature_for_another_version.txt", await there.story(approval(offered)))
