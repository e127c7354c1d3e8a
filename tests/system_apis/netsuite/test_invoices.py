"""Invoices: what is open, what is new."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken, Failure, Misconfigured, Rejected, Throttled, Unavailable
from canonical.invoice import FindOpenInvoices, FindPostedInvoices, InvoicePosted, InvoicesFound
from runtime.clock import SetClock
from system_apis.connector import Call
from system_apis.netsuite.connector import NETSUITE
from system_apis.netsuite.invoices import InvoiceRow, to_invoice
from system_apis.simulation import FaultKind
from tests.system_apis.netsuite.conftest import Account, invoiced, order, payment, usd

QUERY = "POST /services/rest/query/v1/suiteql"


async def test_a_billed_order_is_an_open_invoice_of_its_order(account: Account) -> None:
    """The invoice names our order and customer and the deal, includes the tax, and is open."""
    bill = await invoiced(account)
    (found,) = (await account.ask(FindOpenInvoices())).invoices
    assert bill["number"] == found.id == "INV-NS-1001"
    assert (found.order_id, found.customer_id, found.customer_name, found.reference) == (
        "ORD-1001",
        "C-ACME",
        "Acme Robotics Inc.",
        "PO-77",
    )
    assert (found.total, found.tax_total, found.open_amount, found.status) == (usd("1086.25"), usd("86.25"), usd("1086.25"), "posted")
    assert (found.issued_on, found.due_on) == (dt.date(2026, 1, 15), dt.date(2026, 2, 14))
    assert found.provenance is not None
    assert found.provenance.correlation_id == "q2c-test"


async def test_filters_are_cumulative(account: Account) -> None:
    """Currency, part of the customer's name in any case, and references (invoice number, purchase order, our order id) narrow the list."""
    for number in ("ORD-1", "ORD-2", "ORD-3"):
        await invoiced(account, number)
    cases = {
        FindOpenInvoices(currency="EUR"): (),
        FindOpenInvoices(currency="USD", customer_name="acme ROB"): ("INV-NS-1001", "INV-NS-1002", "INV-NS-1003"),
        FindOpenInvoices(customer_name="' OR 1 = 1 --"): (),
        FindOpenInvoices(references=("INV-NS-1002", "ORD-3")): ("INV-NS-1002", "INV-NS-1003"),
        FindOpenInvoices(references=("PO-77",), limit=2): ("INV-NS-1001", "INV-NS-1002"),
        FindOpenInvoices(customer_name="Globex", references=("ORD-1",)): (),
    }
    for command, numbers in cases.items():
        assert tuple(invoice.id for invoice in (await account.ask(command)).invoices) == numbers


async def test_an_entity_sees_its_own_invoices(account: Account) -> None:
    """Another legal entity in the same account does not see them; an unmapped one is told so."""
    await invoiced(account)
    assert (await account.ask(FindOpenInvoices(), entity="DE01")).invoices == ()
    assert len((await account.ask(FindOpenInvoices(), entity="")).invoices) == 1
    with pytest.raises(Misconfigured):
        await account.ask(FindOpenInvoices(), entity="XX99")


async def test_partial_billing_adds_up_to_the_order(account: Account) -> None:
    """Thirds of an amount that thirds do not divide: the last invoice takes the rounding with it (M3)."""
    await account.ask(order())
    for percent in ("33.33", "33.33", "40"):
        await account.do("post_invoice", order_id="ORD-1001", amount_percent=percent)
    found = (await account.ask(FindOpenInvoices())).invoices
    assert [invoice.total.amount for invoice in found] == ["362.05", "362.05", "362.15"]
    assert "error" in await account.do("post_invoice", order_id="ORD-1001")
    assert account.booked("invoice") == ["ORD-1001", "ORD-1001/2", "ORD-1001/3"]


async def test_a_paid_invoice_is_not_open_any_more(account: Account) -> None:
    """Partly paid stays open with the rest; paid in full is gone."""
    bill = await invoiced(account)
    await account.ask(payment("PAY-1", "86.25", (bill, "86.25")))
    (rest,) = (await account.ask(FindOpenInvoices())).invoices
    assert (rest.status, rest.open_amount) == ("partially_paid", usd("1000.00"))
    await account.ask(payment("PAY-2", "1000.00", (bill, "1000.00")))
    assert (await account.ask(FindOpenInvoices())).invoices == ()
    (paid,) = (await account.ask(FindPostedInvoices())).invoices
    assert (paid.status, paid.open_amount) == ("paid", usd("0"))


async def test_the_cursor_goes_on_from_where_it_was(account: Account) -> None:
    """Nothing new leaves the cursor as it is; a new invoice moves it; what is old enough is not read again."""
    clock = account.simulation.clock
    assert isinstance(clock, SetClock)
    assert await account.ask(FindPostedInvoices()) == InvoicesFound(invoices=(), cursor="")
    await invoiced(account, "ORD-1")
    first = await account.ask(FindPostedInvoices())
    clock.move(600)
    assert (await account.ask(FindPostedInvoices(cursor=first.cursor))).cursor == first.cursor
    await invoiced(account, "ORD-2")
    second = await account.ask(FindPostedInvoices(cursor=first.cursor))
    third = await account.ask(FindPostedInvoices(cursor=second.cursor))
    assert (first.cursor, second.cursor, third.cursor) == ("2026-01-15 09:00:00", "2026-01-15 09:10:00", "2026-01-15 09:10:00")
    assert [invoice.id for invoice in third.invoices] == ["INV-NS-1002"]


async def test_an_invoice_that_becomes_visible_late_is_not_lost(account: Account) -> None:
    """Its time stamp lies before the cursor, because NetSuite committed it later: the overlap finds it."""
    clock = account.simulation.clock
    assert isinstance(clock, SetClock)
    await invoiced(account, "ORD-1")
    late = account.simulation._records["invoice"].pop("60001")
    clock.move(60)
    await invoiced(account, "ORD-2")
    seen = await account.ask(FindPostedInvoices())
    account.simulation.put("invoice", "60001", late)
    patient = Account(account.simulation, account.base_url, overlap_s=120)
    again = await patient.ask(FindPostedInvoices(cursor=seen.cursor))
    await patient.aclose()
    assert [invoice.order_id for invoice in seen.invoices] == ["ORD-2"]
    assert [invoice.order_id for invoice in again.invoices] == ["ORD-1", "ORD-2"]


async def test_a_small_limit_loses_nothing_within_one_second(account: Account) -> None:
    """Five invoices of the same second, at most two new ones in a call: the cursor stands still, the overlap gives the rest (V18)."""
    for number in range(5):
        await invoiced(account, f"ORD-{number}")
    first = await account.ask(FindPostedInvoices(limit=2))
    rest = await account.ask(FindPostedInvoices(cursor=first.cursor, limit=2))
    assert [invoice.order_id for invoice in first.invoices] == ["ORD-0", "ORD-1"]
    assert {invoice.order_id for invoice in rest.invoices} == {f"ORD-{n}" for n in range(5)}


async def test_a_poll_tells_each_state_of_an_invoice_under_one_name(account: Account) -> None:
    """The same invoice seen again in the same state is the same fact; paid by now it is another."""
    (poll,) = NETSUITE.polls
    bill = await invoiced(account)
    (first,), cursor = poll.translate(await account.ask(poll.command("")))
    (again,), _ = poll.translate(await account.ask(poll.command(cursor)))
    await account.ask(payment("PAY-1", bill["total"], (bill, bill["total"])))
    (second,), _ = poll.translate(await account.ask(poll.command(cursor)))
    assert first.id == again.id == f"vendor/invoice/60001/posted/{bill['total']}"
    assert second.id == "vendor/invoice/60001/paid/0.00"
    assert (first.order_id, cursor) == ("ORD-1001", "2026-01-15 09:00:00")
    assert isinstance(first.event, InvoicePosted)


@pytest.mark.parametrize("cursor", ["yesterday", "2026-01-15 09:00:00' OR '1'='1", "2026-01-15T09:00:00Z", "2026-01-15 09:00:00\n"])
async def test_a_cursor_that_is_not_ours_is_refused(account: Account, cursor: str) -> None:
    """It would otherwise become part of a query."""
    with pytest.raises(Rejected) as refused:
        await account.ask(FindPostedInvoices(cursor=cursor))
    assert refused.value.code == "cursor_invalid"


async def test_a_query_that_fails_has_changed_nothing(account: Account) -> None:
    """SuiteQL is a POST and yet a read: 500, a lost answer and a web page are unavailable (V10)."""
    cases: dict[FaultKind, type[Failure]] = {
        "server_error": Unavailable,
        "timeout_after_write": Unavailable,
        "malformed": Unavailable,
        "throttle": Throttled,
    }
    for kind, word in cases.items():
        account.fault(kind, QUERY)
        with pytest.raises(word):
            await account.ask(FindOpenInvoices())


async def test_an_account_without_our_tax_field_is_told_apart(account: Account) -> None:
    """A custom field that the account lacks is for whoever runs it; switched off in the settings, invoices come without their tax."""
    await invoiced(account)
    wrong = Account(account.simulation, account.base_url, tax_total_field="custbody_elsewhere")
    with pytest.raises(Misconfigured) as told:
        await wrong.ask(FindOpenInvoices())
    await wrong.aclose()
    without = Account(account.simulation, account.base_url, tax_total_field="")
    (invoice,) = (await without.ask(FindOpenInvoices())).invoices
    await without.aclose()
    assert (told.value.code, invoice.tax_total) == ("custom_field_missing", None)


def _row(**changes: object) -> InvoiceRow:
    plain = {"id": "1", "tranid": "INV-1", "trandate": "2026-01-15", "total": "100", "unpaid": "100", "changed": "x", "currency": "USD"}
    return msgspec.convert({**plain, **changes}, InvoiceRow)


def test_rows_are_read_tolerantly(account_call: Call) -> None:
    """New columns, a new status letter, and numbers as Oracle writes them do not stop an import; nonsense does."""
    odd = to_invoice(_row(status="CustInvc:Z", total="1250.0", unpaid=".5", novel="x"), account_call)
    assert (odd.status, odd.total, odd.open_amount) == ("partially_paid", usd("1250.00"), usd("0.50"))
    assert to_invoice(_row(status="V"), account_call).status == "void"
    for nonsense in ("NaN", "1e5", "12,50", "0.001", "1\n", "\u0663"):
        with pytest.raises(Broken):
            to_invoice(_row(total=nonsense), account_call)


@pytest.fixture
async def account_call(account: Account) -> Call:
    """A call, for mappings that only need its names."""
    return account.call("poll/x/y")
