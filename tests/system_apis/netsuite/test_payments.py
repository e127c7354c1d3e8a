"""Payments: entered once, applied as said, proven."""

import datetime as dt

import msgspec
import pytest

from canonical.failures import Broken, OutcomeUnknown, Rejected
from canonical.invoice import FindOpenInvoices
from canonical.money import Money
from system_apis.simulation import FaultKind
from tests.system_apis.netsuite.conftest import Account, invoiced, order, payment, usd

WRITE = "PUT /services/rest/record/v1/customerPayment"


async def test_a_payment_pays_several_invoices_and_keeps_the_rest_on_account(account: Account) -> None:
    """Two allocations and an unapplied rest, entered under our payment id with the deal's name in the memo."""
    first, second = await invoiced(account, "ORD-1"), await invoiced(account, "ORD-2")
    command = payment("PAY-1", "1500.00", (first, "1086.25"), (second, "400.00"))
    applied = await account.ask(command, correlation_id="q2c-7f3a")
    kept = account.simulation.get("customerPayment", applied.erp_ref.id)
    assert kept is not None
    assert (applied.payment_id, applied.unapplied, applied.allocations) == ("PAY-1", usd("13.75"), command.allocations)
    assert kept["memo"] == "PAY-1 q2c-7f3a refs: RE 77 from: DE89370400440532013000 fee: 1.20 USD text: invoice as agreed"
    assert kept["unapplied"] == "13.75"
    (rest,) = (await account.ask(FindOpenInvoices())).invoices
    assert (rest.id, rest.open_amount) == (second["number"], usd("686.25"))


async def test_the_same_payment_twice_pays_once(account: Account) -> None:
    """The second asking finds the first."""
    bill = await invoiced(account)
    command = payment("PAY-1", "500.00", (bill, "500.00"))
    assert await account.ask(command) == await account.ask(command)
    assert account.booked("payment") == ["PAY-1"]
    (rest,) = (await account.ask(FindOpenInvoices())).invoices
    assert rest.open_amount == usd("586.25")


async def test_parts_of_one_invoice_are_added_up(account: Account) -> None:
    """NetSuite has one line per invoice."""
    bill = await invoiced(account)
    applied = await account.ask(payment("PAY-1", "500.00", (bill, "300.00"), (bill, "200.00")))
    assert (applied.unapplied, len(applied.allocations)) == (usd("0"), 2)


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
async def test_an_unknown_outcome_is_found_by_the_payment_id(account: Account, kind: FaultKind) -> None:
    """The money is entered once, and the reply is as if it had come."""
    bill = await invoiced(account)
    command = payment("PAY-1", "500.00", (bill, "500.00"))
    assert await account.find(command) is None
    account.fault(kind, WRITE)
    with pytest.raises(OutcomeUnknown):
        await account.ask(command)
    found = await account.find(command)
    assert (found.unapplied, found.erp_ref.connection) == (usd("0"), "vendor")
    assert await account.ask(command) == found
    assert account.booked("payment") == ["PAY-1"]


async def test_money_without_an_invoice_goes_to_the_account_of_its_payer(account: Account) -> None:
    """The payer's exact name must be one customer's; otherwise a person decides."""
    applied = await account.ask(payment("PAY-1", "100.00", payer="acme robotics inc."))
    assert (applied.unapplied, applied.allocations) == (usd("100.00"), ())
    with pytest.raises(Rejected) as refused:
        await account.ask(payment("PAY-2", "100.00", payer="Somebody"))
    assert refused.value.code == "payer_unknown"


async def test_what_cannot_be_applied_is_refused(account: Account) -> None:
    """More than is due, more than was paid, an unknown invoice, another currency, another customer, a closed period."""
    bill = await invoiced(account)
    globex = msgspec.structs.replace(order().customer, id="1002")
    other = await invoiced(account, "ORD-2", customer=globex)
    await account.do("close_period", until="2026-01-10")
    euros = payment("PAY-1", "10.00", (bill, "10.00"))
    euro_part = msgspec.structs.replace(euros.allocations[0], amount=Money("10.00", "EUR"))
    cases = {
        "refused_by_user_error": payment("PAY-1", "2000.00", (bill, "2000.00")),
        "invoice_unknown": payment("PAY-1", "10.00", ({**bill, "invoice_id": "4711"}, "10.00")),
        "currency_differs": msgspec.structs.replace(euros, allocations=(euro_part,)),
        "payment_spans_customers": payment("PAY-1", "20.00", (bill, "10.00"), (other, "10.00")),
        "closed_period": payment("PAY-1", "10.00", (bill, "10.00"), received_on=dt.date(2026, 1, 9)),
    }
    for code, command in cases.items():
        with pytest.raises(Rejected) as refused:
            await account.ask(command)
        assert refused.value.code == code
    with pytest.raises(Rejected):
        await account.ask(payment("PAY-1", "15.00", (bill, "20.00")))
    assert account.booked("payment") == []


@pytest.mark.parametrize("field", ["apply", "payment", "currency"])
async def test_a_dropped_field_is_noticed(account: Account, field: str) -> None:
    """SV4: money that NetSuite keeps differently than it was meant is not called applied."""
    bill = await invoiced(account)
    account.fault("drop_field", "PUT /customerPayment", field=field)
    with pytest.raises(Broken) as told:
        await account.ask(payment("PAY-1", "500.00", (bill, "500.00")))
    assert told.value.code == "read_back_differs"


async def test_a_bank_account_in_the_settings_takes_the_money(account: Account) -> None:
    """Without one it waits among the undeposited funds."""
    bill = await invoiced(account)
    banked = Account(account.simulation, account.base_url, deposit_account="77")
    done = await banked.ask(payment("PAY-1", "10.00", (bill, "10.00")))
    await banked.aclose()
    kept = account.simulation.get("customerPayment", done.erp_ref.id)
    assert kept is not None
    assert (kept["account"], kept["undepFunds"]) == ({"id": "77"}, {"id": "F"})
