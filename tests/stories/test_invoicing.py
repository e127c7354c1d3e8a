"""The stories of invoices."""

import pytest

from canonical.money import Money
from tests.stories.golden import told
from tests.stories.harness import World, booking, cash
from tests.stories.money import payment
from tests.stories.sales import ACME, MUSTER, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_posted_in_netsuite(there: World) -> None:
    """An invoice that NetSuite has posted is found by the poll and shown in the CRM, in the transaction of its order."""
    sold = order("1031", ACME, ("HW-GW", "1"))
    correlation_id = await there.book(sold)
    await there.rest(booking(sold.id))
    number, total = await there.invoice("netsuite", sold.id)
    await there.ended(("invoicing", f"netsuite:{number}:posted:{total}"))
    told("invoicing/posted_in_netsuite.txt", await there.stories(correlation_id))


async def test_paid_later_in_tryton(there: World) -> None:
    """An invoice of Tryton that is paid later: the payment joins the transaction of its order, and the CRM is told that it is paid."""
    sold = order("1032", MUSTER, ("HW-GW", "1"))
    correlation_id = await there.book(sold)
    await there.rest(booking(sold.id))
    number, total = await there.invoice("tryton", sold.id)
    await there.ended(("invoicing", f"tryton:{number}:posted:{total}"))
    await there.pass_time(days=20)
    paid = payment("PAY-1032", Money(total, "EUR"), MUSTER, reference=number)
    await there.pay(paid)
    await there.ended(cash(paid.id))
    await there.ended(("invoicing", f"tryton:{number}:paid:0.00"))
    told("invoicing/paid_later_in_tryton.txt", await there.stories(correlation_id))
