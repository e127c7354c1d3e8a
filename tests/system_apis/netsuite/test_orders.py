"""Sales orders: booked once, proven, closed."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.order import CancelSalesOrder, CreateSalesOrder
from system_apis.netsuite.sales_orders import OrderRecord
from system_apis.simulation import FaultKind
from tests.system_apis.netsuite.conftest import ACME, Account, line, order, usd

WRITE = "PUT /services/rest/record/v1/salesOrder"
READ = "GET /services/rest/record/v1/salesOrder"


async def test_an_order_is_booked_with_its_lines_tax_and_the_name_of_its_deal(account: Account) -> None:
    """The sales order carries our id, the agreed amounts, the tax of the tax engine, and the correlation id in its memo."""
    created = await account.ask(order(), correlation_id="q2c-7f3a")
    kept = account.simulation.get("salesOrder", created.erp_ref.id)
    assert kept is not None
    assert (created.order_id, created.total, created.erp_ref.number) == ("ORD-1001", usd("1000.00"), "SO-NS-1001")
    assert (kept["externalId"], kept["memo"], kept["otherRefNum"], kept["custbody_q2c_quote"]) == (
        "ORD-1001",
        "ORD-1001 q2c-7f3a",
        "PO-77",
        "Q-1001.v2",
    )
    first = kept["item"]["items"][0]
    assert (first["amount"], first["rate"], first["custcol_q2c_discount"], first["custcol_q2c_term_end"]) == (
        "810.00",
        "40.5",
        "10",
        "2027-01-31",
    )
    assert kept["total"] == "1086.25"


async def test_the_same_order_asked_twice_is_one_order(account: Account) -> None:
    """A repetition finds what the first one made and writes nothing."""
    first = await account.ask(order())
    assert await account.ask(order()) == first
    assert account.booked("sales_order") == ["ORD-1001"]


async def test_a_different_order_under_the_same_id_is_parked_and_not_written_over(account: Account) -> None:
    """What stands in the ERP is never replaced by a repetition that says something else."""
    await account.ask(order())
    with pytest.raises(Broken) as refused:
        await account.ask(order(lines=(line(1, "SUB-TEAM", "1", "45.00", "45.00"),)))
    assert refused.value.code == "read_back_differs"
    kept = account.simulation.find("salesOrder", externalId="ORD-1001")
    assert kept is not None
    assert len(kept["item"]["items"]) == 2


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
async def test_an_unknown_outcome_is_found_by_our_id(account: Account, kind: FaultKind) -> None:
    """Written, but the answer was lost: `find` gives the reply as if it had come, and the books hold one order."""
    account.fault(kind, WRITE)
    with pytest.raises(OutcomeUnknown):
        await account.ask(order())
    found = await account.find(order())
    assert (found.order_id, found.total, found.erp_ref.id) == ("ORD-1001", usd("1000.00"), "50001")
    assert await account.ask(order()) == found
    assert account.booked("sales_order") == ["ORD-1001"]


@pytest.mark.parametrize("kind", ["throttle", "server_error", "malformed"])
async def test_trouble_while_reading_back_leaves_the_outcome_to_be_looked_up(account: Account, kind: FaultKind) -> None:
    """After the write is done, no trouble may be called "nothing was done"."""
    await account.ask(order())
    account.fault(kind, READ)
    with pytest.raises(OutcomeUnknown):
        await account.client.read_back("salesOrder", "eid:ORD-1001", OrderRecord)


async def test_nothing_found_means_nothing_was_done(account: Account) -> None:
    """`find` answers None before the write, and after a refusal that came before it."""
    assert await account.find(order()) is None
    account.fault("server_error", WRITE)
    with pytest.raises(OutcomeUnknown):
        await account.ask(order())
    assert await account.find(order()) is None


@pytest.mark.parametrize("seconds", [None, 7.0])
async def test_a_throttled_write_says_when_to_come_back(account: Account, seconds: float | None) -> None:
    """429 is Throttled, with the seconds where the vendor names them, and nothing was written."""
    account.fault("throttle", WRITE, retry_after_s=seconds)
    with pytest.raises(Throttled) as told:
        await account.ask(order())
    assert told.value.retry_after_s == seconds
    assert account.booked("sales_order") == []


async def test_a_server_error_while_reading_is_unavailable(account: Account) -> None:
    """A failed read has changed nothing, so it may simply be asked again."""
    account.fault("server_error", READ)
    with pytest.raises(Unavailable):
        await account.ask(order())


async def test_a_slow_write_past_the_deadline_is_an_unknown_outcome(account: Account) -> None:
    """The deadline ends the waiting; whether NetSuite went on is not known."""
    hasty = Account(account.simulation, account.base_url, deadline_s=0.2, currencies={"USD": "1"})
    hasty.fault("slow", WRITE, delay_s=3600)
    with pytest.raises(OutcomeUnknown) as told:
        await hasty.ask(order())
    await hasty.aclose()
    assert told.value.code == "no_answer"


@pytest.mark.parametrize("field", ["custbody_q2c_tax_total", "item", "currency", "entity"])
async def test_a_field_that_netsuite_drops_silently_is_noticed(account: Account, field: str) -> None:
    """SV4: an order that NetSuite keeps differently than it was meant is not called booked."""
    account.fault("drop_field", "PUT /salesOrder", field=field)
    with pytest.raises(Broken) as told:
        await account.ask(order())
    assert told.value.code == "read_back_differs"


async def test_a_closed_period_is_refused_in_one_word(account: Account) -> None:
    """Whether by fault or by the account's own lock, the vendor's sentence becomes `closed_period`, and nothing is booked."""
    account.fault("closed_period", WRITE)
    await account.do("close_period", until="2026-01-31")
    for _ in range(2):
        with pytest.raises(Rejected) as refused:
            await account.ask(order())
        assert refused.value.code == "closed_period"
    assert await account.ask(order(ordered_on=dt.date(2026, 2, 1)))
    await account.do("reopen")
    assert await account.ask(order("ORD-1002"))
    assert account.booked("sales_order") == ["ORD-1001", "ORD-1002"]


async def test_what_netsuite_refuses_is_rejected_with_its_reason(account: Account) -> None:
    """Inactive and unknown items, unknown customers and currencies are business refusals; an unmapped entity is ours to configure."""
    cases: dict[str, tuple[type[Failure], CreateSalesOrder]] = {
        "item_inactive": (Rejected, order(lines=(line(1, "SUB-OLD", "1", "30.00", "30.00"),))),
        "item_unknown": (Rejected, order(lines=(line(1, "NO-SUCH", "1", "30.00", "30.00"),))),
        "reference_unknown": (Rejected, order(customer=msgspec.structs.replace(ACME, id="999999"))),
        "entity_not_mapped": (Misconfigured, order(entity="XX99")),
    }
    for code, (word, command) in cases.items():
        with pytest.raises(word) as refused:
            await account.ask(command)
        assert refused.value.code == code
    franc = order()
    franc = msgspec.structs.replace(franc, order=msgspec.structs.replace(franc.order, currency="CHF"))
    with pytest.raises(Rejected) as unknown:
        await account.ask(franc)
    assert unknown.value.code == "currency_not_in_erp"
    assert account.booked("sales_order") == []


async def test_cancelling_closes_every_line_and_twice_is_fine(account: Account) -> None:
    """The order stays in the books, closed; asked again it is a success, and a late booking cannot open it again."""
    created = await account.ask(order())
    cancel = CancelSalesOrder(order_id="ORD-1001", erp_ref=created.erp_ref, reason="no billing plan in EUR")
    assert await account.find(cancel) is None
    first, second = await account.ask(cancel), await account.ask(cancel)
    assert first == second == await account.find(cancel)
    kept = account.simulation.get("salesOrder", created.erp_ref.id)
    assert kept is not None
    assert (kept["status"]["refName"], kept["memo"]) == ("Closed", "ORD-1001 q2c-test cancelled: no billing plan in EUR")
    assert account.booked("sales_order_closed") == ["ORD-1001"]
    with pytest.raises(Rejected) as refused:
        await account.ask(order())
    assert refused.value.code == "order_already_cancelled"


async def test_a_lost_answer_to_a_cancellation_is_found_in_the_books(account: Account) -> None:
    """The lines are closed although nobody heard of it."""
    created = await account.ask(order())
    cancel = CancelSalesOrder(order_id="ORD-1001", erp_ref=created.erp_ref)
    account.fault("timeout_after_write", "PATCH")
    with pytest.raises(OutcomeUnknown):
        await account.ask(cancel)
    assert (await account.find(cancel)).order_id == "ORD-1001"


async def test_a_billed_or_unknown_order_cannot_be_cancelled(account: Account) -> None:
    """What is invoiced takes a credit memo; what does not exist is for a person to look at."""
    created = await account.ask(order())
    await account.do("post_invoice", order_id="ORD-1001")
    with pytest.raises(Rejected) as billed:
        await account.ask(CancelSalesOrder(order_id="ORD-1001", erp_ref=created.erp_ref))
    with pytest.raises(Rejected) as unknown:
        await account.ask(CancelSalesOrder(order_id="ORD-9", erp_ref=msgspec.structs.replace(created.erp_ref, id="123")))
    assert (billed.value.code, unknown.value.code) == ("order_already_invoiced", "order_unknown")


async def test_our_id_may_hold_a_slash(account: Account) -> None:
    """A slash has no safe place in a path: it becomes a tilde there, and comes back as a slash."""
    created = await account.ask(order("ORD/2026/1"))
    assert created.order_id == "ORD/2026/1"
    assert account.booked("sales_order") == ["ORD/2026/1"]
