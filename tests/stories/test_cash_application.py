"""The stories of payments."""

import datetime as dt

import pytest

from canonical.customer import Customer
from canonical.money import Money
from gateway.demo.statements import Received, statement
from system_apis.bank_files.reader import read_statement
from tests.stories.golden import told
from tests.stories.harness import World, booking, cash
from tests.stories.money import payment
from tests.stories.sales import ACME, MUSTER, TODAY, order

pytestmark = pytest.mark.asyncio(loop_scope="module")
ERPS = {"C-ACME": "netsuite", "C-MUSTER": "tryton"}


async def owed(there: World, number: str, customer: Customer, quantity: str = "1") -> tuple[str, Money]:
    """An order that is booked and invoiced; gives the number and the total of its invoice."""
    sold = order(number, customer, ("HW-GW", quantity))
    await there.book(sold)
    await there.rest(booking(sold.id))
    invoice, total = await there.invoice(ERPS[customer.id], sold.id)
    return invoice, Money(total, customer.currency)


async def allocate(there: World, payment_id: str, note: str, **amounts: Money) -> None:
    """Finance says which invoices a payment pays."""
    parts = [{"invoice_id": number, "amount": amount} for number, amount in amounts.items()]
    body = {"payment_id": payment_id, "invoices": parts, "note": note}
    await there.taken("/experience/v1/finance/allocations", body, key=f"allocate-{payment_id}", by="fiona")
    await there.ended(cash(payment_id))


async def test_exact_by_reference(there: World) -> None:
    """A payment that names its invoice and has its amount is applied without a person."""
    number, total = await owed(there, "1041", ACME)
    paid = payment("PAY-1041", total, ACME, reference=number)
    await there.pay(paid)
    await there.rest(cash(paid.id))
    told("cash_application/exact_by_reference.txt", await there.story(cash(paid.id)))


async def test_partial(there: World) -> None:
    """Less than the named invoice has open is applied as a part of it (M4)."""
    number, _ = await owed(there, "1042", ACME)
    paid = payment("PAY-1042", Money("400.00", "USD"), ACME, text=f"FIRST PART OF {number}")
    await there.pay(paid)
    await there.rest(cash(paid.id))
    told("cash_application/partial.txt", await there.story(cash(paid.id)))


async def test_two_invoices_in_one_payment(there: World) -> None:
    """A payment that names two invoices and has the amount of both is applied to both; the CRM is told of each (M4)."""
    one, first = await owed(there, "1043", MUSTER, "2")
    two, second = await owed(there, "1044", MUSTER, "3")
    paid = payment("PAY-1043", first + second, MUSTER, text=f"{one} and {two}")
    await there.pay(paid)
    await there.rest(cash(paid.id))
    told("cash_application/two_invoices_in_one_payment.txt", await there.story(cash(paid.id)))


async def test_over_payment(there: World) -> None:
    """More than the named invoice has open waits for a person, who allocates what is owed and leaves the rest on account (M4)."""
    number, total = await owed(there, "1045", ACME)
    paid = payment("PAY-1045", total + Money("100.00", "USD"), ACME, reference=number)
    await there.pay(paid)
    await there.rest(cash(paid.id))
    case = await there.case(cash(paid.id), "allocation")
    assert case.document["reason"] == "100.00 USD more than the named invoices have open"
    told("cash_application/over_payment_waits.txt", await there.story(cash(paid.id)))
    await allocate(there, paid.id, "the rest is for next month", **{number: total})
    told("cash_application/over_payment_allocated.txt", await there.story(cash(paid.id)))


async def test_wrong_currency(there: World) -> None:
    """Euros for an invoice in dollars wait for a person, who leaves them on account (M2)."""
    number, total = await owed(there, "1046", ACME)
    paid = payment("PAY-1046", Money(total.amount, "EUR"), ACME, reference=number)
    await there.pay(paid)
    await there.rest(cash(paid.id))
    case = await there.case(cash(paid.id), "allocation")
    assert case.document["reason"] == f"{number} is in USD, the payment in EUR"
    await allocate(there, paid.id, "asked the customer for dollars")
    told("cash_application/wrong_currency.txt", await there.story(cash(paid.id)))


async def test_nobody_allocates_in_time(there: World) -> None:
    """A payment that names nothing waits seven days for a person, and is then told as not applied."""
    paid = payment("PAY-1047", Money("17.23", "USD"), ACME)
    await there.pay(paid)
    await there.rest(cash(paid.id))
    await there.pass_time(days=7)
    await there.ended(cash(paid.id))
    told("cash_application/nobody_allocates_in_time.txt", await there.story(cash(paid.id)))


async def test_period_is_closed(there: World) -> None:
    """Money that the ERP refuses is not given back: the payment stops, and is applied when the period is open again (M1)."""
    number, total = await owed(there, "1048", ACME)
    paid = payment("PAY-1048", total, ACME, reference=number)
    await there.act("netsuite", "close_period", until=str(TODAY + dt.timedelta(days=14)))
    await there.pay(paid)
    await there.rest(cash(paid.id))
    told("cash_application/period_is_closed_parked.txt", await there.story(cash(paid.id)))
    await there.act("netsuite", "reopen")
    await there.operate("resume", cash(paid.id))
    await there.ended(cash(paid.id))
    told("cash_application/period_is_closed_resumed.txt", await there.story(cash(paid.id)))


async def test_the_same_webhook_twice(there: World) -> None:
    """A payment that the provider tells twice, and once more on request, is one payment, applied once (W1)."""
    number, total = await owed(there, "1049", ACME)
    wish = {"amount": total.amount, "currency": "USD", "invoice": number, "payer": ACME.legal_name, "entity": "US01"}
    paid = await there.act("stripe", "pay", **wish)
    await there.rest(cash(paid["id"]))
    for event in paid["events"]:
        await there.act("stripe", "resend_event", id=event)
    await there.webhooks_delivered("stripe")
    told("cash_application/the_same_webhook_twice.txt", await there.story(cash(paid["id"])))
    assert [effect.kind for effect in there.booked("netsuite", paid["id"])] == ["payment"]


async def test_bank_statement_twice(there: World) -> None:
    """A bank statement that is handed in twice brings each payment once (M5)."""
    number, total = await owed(there, "1050", MUSTER)
    content = statement("camt053", Received(entity="DE01", number=1, on=TODAY, amount=total, payer=MUSTER.legal_name, reference=number))
    (credit,) = [one for read in read_statement(content) for one in read.lines if one.direction == "credit"]
    new = []
    for time in ("once", "twice"):
        answer = await there.post("/system/v1/bank/statements", content, key=f"statement-{time}", content_type="application/xml")
        assert answer.status_code == 202, answer.text
        new.append(answer.json()["new"])
        await there.rest(cash(credit.id))
    assert new == [1, 0]
    told("cash_application/bank_statement_twice.txt", await there.story(cash(credit.id)))
    assert len([effect for effect in there.vendors["tryton"].ledger if effect.amount == total.amount and "pay" in effect.kind]) == 1
