"""The stories of order bookings."""

import pytest

from process_apis.transactions import CaseView
from tests.stories.golden import told
from tests.stories.harness import TENANT, World, booking, put_off
from tests.stories.sales import ACME, HOOLI, MUSTER, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_all_kinds_of_lines(there: World) -> None:
    """An order with a plan, usage, services and hardware is booked in the ERP, in billing, as a project and in the CRM."""
    sold = order("1001", ACME, ("SUB-TEAM", "100"), ("SVC-ONB", "3"), ("HW-GW", "2"), ("USE-API", "1000"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/all_kinds_of_lines.txt", await there.story(booking(sold.id)))


async def test_only_one_off_lines(there: World) -> None:
    """An order of hardware alone opens neither a subscription nor a project."""
    sold = order("1002", ACME, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/only_one_off_lines.txt", await there.story(booking(sold.id)))


async def test_refused_by_billing(there: World) -> None:
    """A plan that billing does not sell in euros takes the ERP's order and the tax back, last first, and the order is rejected."""
    sold = order("1003", MUSTER, ("SUB-ENT3", "40"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/refused_by_billing.txt", await there.story(booking(sold.id)))


async def test_credit_hold(there: World) -> None:
    """A customer on credit hold is refused before anything is written (M7)."""
    sold = order("1004", HOOLI, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/credit_hold.txt", await there.story(booking(sold.id)))


async def test_erp_is_silent_after_the_write(there: World) -> None:
    """An ERP that books the order and never answers is asked for it; its books have one order (V7)."""
    there.trouble("netsuite", "timeout_after_write", "PUT .*/salesOrder/", delay_s=0.05)
    sold = order("1005", ACME, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/erp_is_silent_after_the_write.txt", await there.story(booking(sold.id)))
    assert [effect.kind for effect in there.booked("netsuite", sold.id)].count("sales_order") == 1


async def test_tax_is_throttled(there: World) -> None:
    """A tax engine that asks for two seconds gets them, and the order is booked (V19)."""
    there.trouble("avalara", "throttle", "createoradjust", retry_after_s=2)
    sold = order("1006", ACME, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/tax_is_throttled.txt", await there.story(booking(sold.id)))


async def test_crm_fails_after_the_point_of_no_return(there: World) -> None:
    """Where the CRM fails after the point of no return, nothing is undone: it is told again until it knows."""
    there.trouble("salesforce", "server_error", "PATCH .*/sobjects/Opportunity/", times=2)
    sold = order("1007", ACME, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/crm_fails_after_the_point_of_no_return.txt", await there.story(booking(sold.id)))


async def test_erp_answers_rubbish(there: World) -> None:
    """A web page instead of the ERP's answer is no answer: it is asked again, and no person is called for that (V10, EX1)."""
    there.trouble("netsuite", "malformed", "GET .*/customer/")
    sold = order("1008", ACME, ("HW-GW", "1"))
    await there.book(sold)
    await there.ended(booking(sold.id))
    cases = await there.get("/process/v1/cases?limit=1000", list[CaseView])
    assert [case.id for case in cases if sold.id in case.id] == []
    told("order_booking/erp_answers_rubbish.txt", await there.story(booking(sold.id)))


async def test_period_is_closed_in_netsuite(there: World) -> None:
    """NetSuite refuses the order of a closed period in its own words, and the committed tax is voided (M1)."""
    sold = order("1009", ACME, ("HW-GW", "1"))
    await there.act("netsuite", "close_period", until=f"{sold.ordered_on:%Y-%m}-31")
    await there.book(sold)
    await there.rest(booking(sold.id))
    await there.act("netsuite", "reopen")
    told("order_booking/period_is_closed_in_netsuite.txt", await there.story(booking(sold.id)))


async def test_period_is_closed_in_tryton(there: World) -> None:
    """Tryton refuses to confirm the sale of a closed period in its own words, and the committed tax is voided (M1)."""
    there.trouble("tryton", "closed_period", "model.sale.sale.confirm")
    sold = order("1010", MUSTER, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/period_is_closed_in_tryton.txt", await there.story(booking(sold.id)))


async def test_cancelled_by_an_operator(there: World) -> None:
    """An operator cancels an order that waits for billing: the ERP's order and the tax are taken back (M9)."""
    there.trouble("stripe", "throttle", "POST /v1/", retry_after_s=3600)
    sold = order("1011", ACME, ("SUB-TEAM", "5"))
    await there.book(sold)
    await there.until(booking(sold.id), put_off)
    there.no_trouble()
    await there.operate("cancel", booking(sold.id), "the customer has called")
    await there.ended(booking(sold.id))
    told("order_booking/cancelled_by_an_operator.txt", await there.story(booking(sold.id)))


async def test_without_an_opportunity(there: World) -> None:
    """An order that comes from no opportunity is booked without a word to the CRM."""
    sold = order("1012", ACME, ("HW-GW", "1"), opportunity_id="")
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("order_booking/without_an_opportunity.txt", await there.story(booking(sold.id)))


async def test_rejection_is_shown(there: World) -> None:
    """An order that was rejected is shown as rejected, with the reason before a person."""
    sold = order("1013", HOOLI, ("HW-GW", "2"))
    correlation_id = await there.book(sold)
    await there.rest(booking(sold.id))
    case = await there.case(booking(sold.id), "rejected")
    row = await there.gateway.store.instance(TENANT, *booking(sold.id))
    assert case.title == "Order ORD-1013 of Hooli Holdings LLC: Hooli Holdings LLC is on credit hold"
    assert row is not None
    assert (row.status, case.correlation_id) == ("undone", correlation_id)
