"""What validation answers, as JSON."""

import datetime as dt

import msgspec
import pytest

from process_apis.quote_validation.inquiry import QUOTE_VALIDATION
from tests.stories.golden import answered
from tests.stories.harness import World, world
from tests.stories.sales import ACME, HOOLI, line, quote

pytestmark = pytest.mark.asyncio(loop_scope="module")
replace = msgspec.structs.replace


async def test_all_good(there: World) -> None:
    """A quote that is right is valid and complete, and comes back with its tax."""
    answer = await there.validate(quote("1051", ACME, ("SUB-TEAM", "100"), ("SVC-ONB", "3"), ("HW-GW", "2"), ("USE-API", "1000")))
    answered("quote_validation/all_good.json", answer)


async def test_price_and_items(there: World) -> None:
    """A price of one's own, an item that is sold no more and one that nobody knows are each found, with the line's pointer."""
    lines = (line(1, "HW-GW", "1", "USD", price="950.00"), line(2, "SUB-OLD", "10", "USD"), line(3, "XX-404", "1", "USD"))
    answered("quote_validation/price_and_items.json", await there.validate(quote("1052", ACME, lines=lines)))


async def test_customer_unknown(there: World) -> None:
    """A customer whom the CRM does not know is found."""
    stranger = replace(ACME, id="C-NOBODY", legal_name="Nobody Knows Inc.")
    answered("quote_validation/customer_unknown.json", await there.validate(quote("1053", stranger, ("HW-GW", "1"))))


async def test_credit_hold(there: World) -> None:
    """A customer on credit hold is found before anybody submits the quote."""
    answered("quote_validation/credit_hold.json", await there.validate(quote("1054", HOOLI, ("HW-GW", "1"))))


async def test_totals_wrong(there: World) -> None:
    """A line and a total that do not follow from quantity and price are found."""
    right = quote("1055", ACME, ("HW-GW", "2"))
    wrong = replace(right.lines[0], net_total=replace(right.total, amount="1979.00"))
    answered("quote_validation/line_total_wrong.json", await there.validate(replace(right, lines=(wrong,))))
    answered("quote_validation/total_wrong.json", await there.validate(replace(right, total=replace(right.total, amount="1981.00"))))


async def test_expired(there: World) -> None:
    """A quote that has expired is not valid any more (M12)."""
    old = quote("1056", ACME, ("HW-GW", "1"), issued_on=dt.date(2025, 6, 1), expires_on=dt.date(2025, 7, 1))
    answered("quote_validation/expired.json", await there.validate(old))


async def test_crm_is_down_and_tax_is_slow(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the CRM down and the tax engine slow the answer comes within the budget and says what was not checked."""
    async with world(tmp_path_factory.mktemp("down")) as there:
        await there.stop_vendor("salesforce")
        there.trouble("avalara", "slow", "", delay_s=QUOTE_VALIDATION.within_s + 1)
        answer = await there.validate(quote("1057", ACME, ("HW-GW", "1")))
    (tax,) = [finding.message for finding in answer.findings if finding.check == "tax"]
    assert tax == "tax could not be checked: the system behind it did not answer in time"
    assert (answer.complete, answer.valid) == (False, True)
    assert {finding.check for finding in answer.findings if finding.code == "not_checked"} == {"prices", "customer", "tax"}
    answered("quote_validation/crm_is_down_and_tax_is_slow.json", answer)
