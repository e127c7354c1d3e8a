"""What the CRM is told of orders, invoices and payments, and that telling it twice changes nothing."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from canonical.failures import Broken, OutcomeUnknown, Rejected
from canonical.money import Money
from canonical.payment import Allocation, RecordPayment
from canonical.provenance import ExternalId
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench
from tests.system_apis.salesforce.conftest import Do, Plan, booked, invoice, payment

WRITES = [
    pytest.param(booked(), "PATCH .*/Opportunity/", "opportunity_won", id="order"),
    pytest.param(invoice(), "PATCH .*/Q2C_Invoice__c/", "crm_invoice", id="invoice"),
    pytest.param(payment(), "PATCH .*/Q2C_Payment__c/", "crm_payment", id="payment"),
]


def effects(simulation: Simulation, kind: str) -> list[tuple[str, str, str]]:
    """The org's own books: what was done to which business key, and for how much."""
    return [(e.business_key, e.amount, e.currency) for e in simulation.ledger if e.kind == kind]


# ------------------------------------------------------------------------------------------------------------ opportunities


async def test_a_booked_order_wins_its_opportunity(bench: Bench, simulation: Simulation) -> None:
    """The opportunity is won and names the order, the ERP's reference, the total and the correlation id."""
    reply = await bench.ask(booked())
    record = simulation.find("Opportunity", Q2C_Id__c="OPP-1001")
    assert record is not None
    assert reply.reference == ExternalId(connection="crm-main", kind="opportunity", id=record["Id"], number="OPP-1001")
    assert (record["StageName"], record["IsWon"], record["Q2C_Order_Number__c"]) == ("Closed Won", True, "ORD-1001")
    assert (record["Q2C_ERP_Reference__c"], record["Q2C_Correlation_Id__c"]) == ("netsuite-us:sales_order/SO-771", "q2c-test")
    assert effects(simulation, "opportunity_won") == [("ORD-1001", "12567.00", "USD")]


async def test_an_opportunity_is_also_known_by_its_record_id(bench: Bench, simulation: Simulation) -> None:
    """A quote made before our ids came to the CRM names its opportunity by record id."""
    record = simulation.find("Opportunity", Q2C_Id__c="OPP-1002")
    assert record is not None
    assert (await bench.ask(booked(opportunity=record["Id"]))).reference.id == record["Id"]


@pytest.mark.parametrize("opportunity", ["OPP-9999", "opp-1001", "", "006000000099999AAA", "x' OR Name != '"])
async def test_an_unknown_opportunity_is_refused(bench: Bench, simulation: Simulation, opportunity: str) -> None:
    """Nothing is written where the CRM has no such opportunity, nor where the order names none."""
    with pytest.raises(Rejected) as refused:
        await bench.ask(booked(opportunity=opportunity))
    assert (refused.value.code, refused.value.pointer) == ("unknown_opportunity", "/opportunity_id")
    assert simulation.ledger == []


async def test_a_second_order_does_not_take_the_opportunity_over(bench: Bench, simulation: Simulation) -> None:
    """An opportunity that names one order is not silently given to another, unless settings say that it may have many."""
    await bench.ask(booked("ORD-1"))
    with pytest.raises(Rejected, match=r"opportunity_already_booked.*ORD-1"):
        await bench.ask(booked("ORD-2"))
    many = Bench(bench.card, msgspec.structs.replace(bench.settings, orders_per_opportunity="many"))
    await many.ask(booked("ORD-2"))
    await many.aclose()
    assert [key for key, _, _ in effects(simulation, "opportunity_won")] == ["ORD-1", "ORD-2"]


async def test_what_people_do_meanwhile_shows(bench: Bench, do: Do) -> None:
    """Where a person sets the opportunity back to another stage, `find` no longer says that all is done, and asking again mends it."""
    await bench.ask(booked())
    await do("stage", opportunity="OPP-1001", stage="Qualification")
    assert await bench.find(booked()) is None
    await do("close_opportunity", opportunity="OPP-1001")
    assert await bench.find(booked()) is None
    await bench.ask(booked())
    assert (await bench.find(booked())).reference.number == "OPP-1001"


# ----------------------------------------------------------------------------------------------------------------- invoices


async def test_an_invoice_is_shown_at_its_opportunity(bench: Bench, simulation: Simulation) -> None:
    """The record carries head and amounts, hangs at the opportunity and at its account."""
    reply = await bench.ask(invoice(opportunity_id="OPP-1002"))
    record = simulation.find("Q2C_Invoice__c", Q2C_Invoice_Id__c="INV-7001")
    opportunity = simulation.find("Opportunity", Q2C_Id__c="OPP-1002")
    assert record is not None
    assert opportunity is not None
    assert (reply.reference.kind, reply.reference.id, reply.reference.number) == ("invoice", record["Id"], "INV-7001")
    assert (record["Q2C_Opportunity__c"], record["Q2C_Account__c"]) == (opportunity["Id"], opportunity["AccountId"])
    assert (record["Q2C_Total__c"], record["Q2C_Open_Amount__c"], record["Q2C_Tax_Total__c"]) == ("1086.25", "1086.25", "86.25")
    assert (record["Q2C_Status__c"], record["Q2C_Issued_On__c"], record["CurrencyIsoCode"]) == ("posted", "2026-01-15", "USD")
    assert effects(simulation, "crm_invoice") == [("INV-7001", "1086.25", "USD")]


async def test_an_invoice_finds_the_opportunity_of_its_order(bench: Bench, simulation: Simulation) -> None:
    """Without an opportunity in the command, the one that names the order is taken."""
    await bench.ask(booked("ORD-5", "OPP-1003"))
    await bench.ask(invoice(order_id="ORD-5", customer_id="C-ACME"))
    record, opportunity = simulation.all("Q2C_Invoice__c")[0], simulation.find("Opportunity", Q2C_Id__c="OPP-1003")
    assert opportunity is not None
    assert record["Q2C_Opportunity__c"] == opportunity["Id"]


async def test_an_invoice_without_a_deal_hangs_at_its_customer_or_at_nothing(bench: Bench, simulation: Simulation) -> None:
    """A known customer's account is taken; where there is none either, the invoice is shown all the same."""
    await bench.ask(invoice("INV-1", customer_id="C-GLOBEX", order_id="ORD-UNHEARD-OF"))
    await bench.ask(invoice("INV-2", customer_id="C-NOBODY"))
    account = simulation.find("Account", Q2C_Id__c="C-GLOBEX")
    first, second = simulation.all("Q2C_Invoice__c")
    assert account is not None
    assert (first["Q2C_Account__c"], first.get("Q2C_Opportunity__c")) == (account["Id"], None)
    assert (second.get("Q2C_Account__c"), second.get("Q2C_Opportunity__c")) == (None, None)


async def test_an_invoice_for_an_unknown_opportunity_is_refused(bench: Bench, simulation: Simulation) -> None:
    """Where the command names an opportunity it must exist."""
    with pytest.raises(Rejected, match="unknown_opportunity"):
        await bench.ask(invoice(opportunity_id="OPP-9999"))
    assert simulation.all("Q2C_Invoice__c") == []


async def test_a_paid_invoice_updates_its_record(bench: Bench, simulation: Simulation) -> None:
    """The same invoice with a new status is the same record; what the poorer message does not know stays."""
    await bench.ask(invoice(opportunity_id="OPP-1002", order_id="ORD-9"))
    await bench.ask(invoice(status="paid", open_amount=Money("0", "USD")), correlation_id="")
    (record,) = simulation.all("Q2C_Invoice__c")
    assert (record["Q2C_Status__c"], record["Q2C_Open_Amount__c"], record["Q2C_Order_Number__c"]) == ("paid", "0", "ORD-9")
    assert (record["Q2C_Correlation_Id__c"], bool(record["Q2C_Opportunity__c"])) == ("q2c-test", True)
    assert len(effects(simulation, "crm_invoice")) == 1
    assert await bench.find(invoice()) is None  # the older state is not there any more


async def test_large_amounts_and_odd_numbers_survive(bench: Bench, simulation: Simulation) -> None:
    """An amount that Salesforce writes with an exponent, and an invoice number with a slash, are read back as they were sent."""
    total = Money("123456789.01", "USD")
    command = invoice("RE/2026:01-7", total=total, open_amount=total)
    await bench.ask(command)
    assert simulation.all("Q2C_Invoice__c")[0]["Q2C_Invoice_Id__c"] == "RE/2026:01-7"
    assert (await bench.find(command)).reference.number == "RE/2026:01-7"


async def test_an_amount_finer_than_the_org_keeps_is_noticed(bench: Bench) -> None:
    """Salesforce rounds what has more decimals than the field; the difference is said with the field's name."""
    amount = Money("10.125", "KWD")
    with pytest.raises(Broken, match=r"Q2C_Total__c: sent 10\.125, kept 10\.13") as broken:
        await bench.ask(invoice(currency="KWD", total=amount, open_amount=amount, tax_total=None))
    assert broken.value.code == "read_back_differs"


async def test_a_currency_that_the_org_has_not_is_refused(bench: Bench, simulation: Simulation) -> None:
    """A multi-currency org knows the currencies that were activated there, and no others."""
    amount = Money("10", "BHD")
    with pytest.raises(Rejected, match="value_not_in_picklist"):
        await bench.ask(invoice(currency="BHD", total=amount, open_amount=amount, tax_total=None))
    assert simulation.all("Q2C_Invoice__c") == []


async def test_a_closed_period_is_refused_in_the_orgs_words(bench: Bench, do: Do, plan: Plan, simulation: Simulation) -> None:
    """A validation rule of the org refuses a date before its closing day, and once on demand."""
    await do("close_period", until="2026-01-31")
    with pytest.raises(Rejected, match=r"validation_rule.*accounting period of 2026-01-15 is closed"):
        await bench.ask(invoice())
    await bench.ask(invoice(issued_on=dt.date(2026, 2, 1)))
    plan("closed_period", "PATCH .*/Q2C_Invoice__c/")
    with pytest.raises(Rejected, match="validation_rule"):
        await bench.ask(invoice(issued_on=dt.date(2026, 2, 1)))
    assert len(simulation.all("Q2C_Invoice__c")) == 1


# ----------------------------------------------------------------------------------------------------------------- payments


async def test_a_payment_is_shown_at_its_invoice(bench: Bench, simulation: Simulation) -> None:
    """Payments hang at the invoice, and the org sums them up there."""
    await bench.ask(invoice())
    reply = await bench.ask(payment("pi_1", amount="500.00"))
    await bench.ask(payment("pi_2", amount="86.25"))
    (shown,) = simulation.all("Q2C_Invoice__c")
    first = simulation.all("Q2C_Payment__c")[0]
    assert (reply.reference.kind, reply.reference.id, reply.reference.number) == ("payment", first["Id"], "pi_1")
    assert (first["Q2C_Invoice__c"], first["Q2C_Amount__c"], first["Q2C_Paid_On__c"]) == (shown["Id"], "500", "2026-01-20")
    assert shown["Q2C_Paid_Amount__c"] == "586.25"


async def test_one_payment_may_pay_several_invoices(bench: Bench, simulation: Simulation) -> None:
    """Each invoice that a payment pays has a record of its own; ids that join to the same text are kept apart."""
    external = ExternalId(connection="erp", kind="invoice", id="1")
    for payment_id, number in (("P", "1"), ("P", "2"), ("P:1", "2"), ("P", "1:2")):
        allocation = Allocation(invoice_id=number, invoice=external, amount=Money("10", "USD"))
        await bench.ask(RecordPayment(payment_id=payment_id, allocation=allocation, paid_on=dt.date(2026, 1, 20)))
    assert len(effects(simulation, "crm_payment")) == 4


async def test_a_payment_may_come_before_its_invoice(bench: Bench, simulation: Simulation) -> None:
    """The payment waits at a record that holds the invoice's number only; the invoice fills it when it comes."""
    await bench.ask(payment())
    await bench.ask(invoice(customer_id="C-ACME"))
    (shown,) = simulation.all("Q2C_Invoice__c")
    assert (shown["Q2C_Total__c"], shown["Q2C_Paid_Amount__c"]) == ("1086.25", "500")
    assert simulation.all("Q2C_Payment__c")[0]["Q2C_Invoice__c"] == shown["Id"]


# ------------------------------------------------------------------------------------------------- every write, whatever happens


@pytest.mark.parametrize(("command", "request_is", "kind"), WRITES)
async def test_the_same_write_twice_is_one_effect(bench: Bench, simulation: Simulation, command: Any, request_is: str, kind: str) -> None:
    """The second time gives the same answer, and the org's books show one effect."""
    assert await bench.ask(command) == await bench.ask(command)
    assert len(effects(simulation, kind)) == 1
    assert (await bench.find(command)) == await bench.ask(command)


@pytest.mark.parametrize(("command", "request_is", "kind"), WRITES)
async def test_nothing_is_found_before_it_is_done(bench: Bench, command: Any, request_is: str, kind: str) -> None:
    """`find` says None for what was never written."""
    assert await bench.find(command) is None


@pytest.mark.parametrize("fault", ["timeout_after_write", "server_error_after_write"])
@pytest.mark.parametrize(("command", "request_is", "kind"), WRITES)
async def test_a_lost_answer_is_an_unknown_outcome_that_find_settles(
    bench: Bench, simulation: Simulation, plan: Plan, command: Any, request_is: str, kind: str, fault: str
) -> None:
    """The write was done and its answer lost: `find` gives the reply as if nothing had happened, and there is one effect."""
    plan(fault, request_is)
    with pytest.raises(OutcomeUnknown):
        await bench.ask(command)
    found = await bench.find(command)
    assert found is not None
    assert found == await bench.ask(command)
    assert len(effects(simulation, kind)) == 1


@pytest.mark.parametrize(("command", "request_is", "kind"), WRITES)
async def test_an_unreadable_answer_to_a_write_is_settled_by_reading_back(
    bench: Bench, simulation: Simulation, plan: Plan, command: Any, request_is: str, kind: str
) -> None:
    """What the answer to a write says is not needed: the record itself tells."""
    plan("malformed", request_is)
    assert (await bench.ask(command)) == await bench.find(command)
    assert len(effects(simulation, kind)) == 1


@pytest.mark.parametrize(("command", "request_is", "kind"), WRITES)
@pytest.mark.parametrize("fault", ["malformed", "server_error", "throttle"])
async def test_a_write_that_cannot_be_read_back_is_unknown(
    bench: Bench, plan: Plan, command: Any, request_is: str, kind: str, fault: str
) -> None:
    """Where the read-back fails, "nothing was done" would be a lie; later `find` tells."""
    read_of = request_is.replace("PATCH", "GET") + ("Q2C_Payment_Key" if kind == "crm_payment" else "")
    plan(fault, read_of)
    with pytest.raises(OutcomeUnknown, match="not_read_back"):
        await bench.ask(command)
    assert await bench.find(command) is not None


@pytest.mark.parametrize(
    ("command", "collection", "field"),
    [
        (booked(), "Opportunity", "StageName"),
        (booked(), "Opportunity", "Q2C_Order_Number__c"),
        (invoice(), "Q2C_Invoice__c", "Q2C_Total__c"),
        (invoice(), "Q2C_Invoice__c", "CurrencyIsoCode"),
        (invoice(), "Q2C_Invoice__c", "Q2C_Due_On__c"),
        (payment(), "Q2C_Payment__c", "Q2C_Amount__c"),
    ],
)
async def test_a_silently_dropped_field_is_noticed(bench: Bench, plan: Plan, command: Any, collection: str, field: str) -> None:
    """The org answers that all is well and keeps not everything: the difference names the field."""
    plan("drop_field", f"PUT /{collection}", field=field)
    with pytest.raises(Broken, match=field) as broken:
        await bench.ask(command)
    assert (broken.value.code, broken.value.pointer) == ("read_back_differs", f"/{field}")
