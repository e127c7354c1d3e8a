"""The stories of orders whose vendors lose answers, drop fields, fail or ask for patience: each effect is in their books once."""

import pytest

from tests.stories.golden import told
from tests.stories.harness import World, booking
from tests.stories.sales import ACME, MUSTER, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL_KINDS = (("SUB-TEAM", "5"), ("SVC-ONB", "2"), ("HW-GW", "1"))


def kinds(there: World, vendor: str, order_id: str) -> list[str]:
    """What a vendor's own books have for an order."""
    return [effect.kind for effect in there.booked(vendor, order_id)]


async def test_erp_drops_a_field(there: World) -> None:
    """An ERP that takes the order and silently drops the items is found out when it is read back; a person is called, nothing is lost."""
    there.trouble("netsuite", "drop_field", "PUT /salesOrder", field="item")
    sold = order("1041", ACME, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    there.no_trouble()
    told("vendor_troubles/erp_drops_a_field.txt", await there.story(booking(sold.id)))
    assert kinds(there, "netsuite", sold.id).count("sales_order") == 1


async def test_project_is_refused(there: World) -> None:
    """A PSA that refuses the project takes back subscription, sales order and tax, last first."""
    there.trouble("kantata", "closed_period", "POST .*/workspaces")
    sold = order("1042", ACME, *ALL_KINDS)
    await there.book(sold)
    await there.rest(booking(sold.id))
    there.no_trouble()
    told("vendor_troubles/project_is_refused.txt", await there.story(booking(sold.id)))


async def test_psa_is_silent_after_the_write(there: World) -> None:
    """A PSA that opens the project and never answers has no handle for it: it is looked for, and there is one project."""
    there.trouble("kantata", "timeout_after_write", "POST .*/workspaces", delay_s=0.05)
    sold = order("1043", ACME, ("SVC-ONB", "2"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("vendor_troubles/psa_is_silent_after_the_write.txt", await there.story(booking(sold.id)))
    assert kinds(there, "kantata", sold.id).count("project") == 1


async def test_tryton_is_silent_after_the_write(there: World) -> None:
    """A Tryton that makes the sale and never answers is asked whether it happened, and there is one sale."""
    there.trouble("tryton", "timeout_after_write", "model.sale.sale.create", delay_s=0.05)
    sold = order("1044", MUSTER, ("HW-GW", "1"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("vendor_troubles/tryton_is_silent_after_the_write.txt", await there.story(booking(sold.id)))
    assert kinds(there, "tryton", sold.id).count("sales_order") == 1


async def test_billing_fails_after_the_write(there: World) -> None:
    """A billing system that answers 500 although it opened the subscription is asked under the same key, and has one."""
    there.trouble("stripe", "server_error_after_write", "POST /v1/subscriptions")
    sold = order("1045", ACME, ("SUB-TEAM", "5"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    told("vendor_troubles/billing_fails_after_the_write.txt", await there.story(booking(sold.id)))
    assert kinds(there, "stripe", sold.id).count("subscription") == 1


async def test_everybody_is_throttled_without_a_word(there: World) -> None:
    """Vendors that answer 429 and do not say for how long are asked again with growing patience."""
    for vendor in ("netsuite", "avalara", "stripe"):
        there.trouble(vendor, "throttle", "(POST|PUT|PATCH) ", times=2)
    sold = order("1046", ACME, ("SUB-TEAM", "5"))
    await there.book(sold)
    await there.rest(booking(sold.id))
    there.no_trouble()
    told("vendor_troubles/everybody_is_throttled.txt", await there.story(booking(sold.id)))


async def test_a_vendor_is_away_while_an_order_is_undone(there: World) -> None:
    """An ERP that is away while its order is to be taken back is asked until it has done so; the reason that is told stays the first."""
    there.trouble("kantata", "closed_period", "POST .*/workspaces")
    there.trouble("netsuite", "throttle", "PATCH .*/salesOrder/", times=2)
    sold = order("1047", ACME, *ALL_KINDS)
    await there.book(sold)
    await there.rest(booking(sold.id))
    there.no_trouble()
    told("vendor_troubles/erp_is_away_while_undoing.txt", await there.story(booking(sold.id)))
