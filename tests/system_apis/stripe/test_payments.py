import datetime as dt
from typing import Any

import msgspec
import pytest

from canonical.failures import Broken
from canonical.money import Money
from canonical.payment import Payment, PaymentSettled
from canonical.provenance import ExternalId
from system_apis.connector import Translated
from system_apis.stripe.connector import STRIPE
from system_apis.stripe.simulator import simulated
from system_apis.stripe.webhooks import translate
from tests.system_apis.harness import Bench

AT = dt.datetime(2026, 3, 31, 23, 59, 30, tzinfo=dt.UTC)
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 118_50,
    "amount_received": 118_50,
    "currency": "usd",
    "customer": "cus_1",
    "description": "Invoice INV-2026-0042, thank you",
    "latest_charge": "ch_1",
    "metadata": {"q2c_invoice": "INV-2026-0042", "q2c_entity": "DE01", "q2c_order_id": "ORD-1001", "q2c_payer": "Acme Robotics Inc."},
    "receipt_email": "ap@acme.example",
    "statement_descriptor": None,
    "status": "succeeded",
}
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 118_50,
    "amount_captured": 118_50,
    "balance_transaction": "txn_1",
    "billing_details": {"name": "A. Buyer", "email": "buyer@acme.example", "phone": None},
    "calculated_statement_descriptor": "NORTHWIND",
    "captured": True,
    "currency": "usd",
    "customer": "cus_1",
    "description": "Invoice INV-2026-0042, thank you",
    "metadata": INTENT["metadata"],
    "payment_intent": "pi_1",
    "receipt_email": None,
}


async def translated(kind: str, record: dict[str, Any] | bytes, **envelope: Any) -> tuple[Translated, ...]:
    bench = Bench(STRIPE, simulated("http://stripe.example"), connection="stripe-main")
    event = {"id": "evt_1", "type": kind, "created": int(AT.timestamp()), "data": {"object": record}, "livemode": True, **envelope}
    body = record if isinstance(record, bytes) else msgspec.json.encode(event)
    return await translate(bench.call("webhook/evt_1"), body)


async def payment(kind: str, record: dict[str, Any]) -> Payment:
    (fact,) = await translated(kind, record)
    assert isinstance(fact.event, PaymentSettled)
    return fact.event.payment


async def test_a_succeeded_intent_is_a_settled_payment() -> None:
    """Amount, payer, references, entity and day are read off the event."""
    (fact,) = await translated("payment_intent.succeeded", INTENT)
    assert (fact.id, fact.order_id) == ("stripe:pi_1", "ORD-1001")
    assert fact.event == PaymentSettled(
        payment=Payment(
            id="pi_1",
            entity="DE01",
            source="payment_provider",
            received_on=dt.date(2026, 3, 31),
            amount=Money("118.50", "USD"),
            payer="Acme Robotics Inc.",
            references=("INV-2026-0042",),
            remittance="Invoice INV-2026-0042, thank you",
            external_id=ExternalId(connection="stripe-main", kind="payment_intent", id="pi_1"),
        )
    )


async def test_the_charge_tells_the_same_payment() -> None:
    """Whichever of the two events comes first, it is the same fact, word for word."""
    assert await translated("charge.succeeded", CHARGE) == await translated("payment_intent.succeeded", INTENT)
    assert await translated("charge.captured", CHARGE) == await translated("payment_intent.succeeded", INTENT)


async def test_a_charge_that_is_only_authorised_has_settled_nothing() -> None:
    """Reserved money has not arrived."""
    assert await translated("charge.succeeded", {**CHARGE, "captured": False}) == ()


async def test_a_charge_without_an_intent_is_its_own_payment() -> None:
    """Old integrations charge directly; the charge's id is the payment's then, and its billing name the payer."""
    told = await payment("charge.succeeded", {**CHARGE, "payment_intent": None, "metadata": {}})
    assert (told.id, told.payer, told.entity) == ("ch_1", "A. Buyer", "US01")
    assert told.external_id == ExternalId(connection="stripe-main", kind="charge", id="ch_1")


async def test_only_what_was_captured_has_arrived() -> None:
    """A partial capture settles its part."""
    assert (await payment("charge.captured", {**CHARGE, "amount_captured": 100_00})).amount == Money("100.00", "USD")
    assert (await payment("payment_intent.succeeded", {**INTENT, "amount_received": 100_00})).amount == Money("100.00", "USD")


async def test_a_fee_is_told_where_the_balance_transaction_came_along() -> None:
    """The fee is in the currency of the settlement, which may be another one."""
    transaction = {"id": "txn_1", "object": "balance_transaction", "amount": 10900, "fee": 374, "currency": "eur", "net": 10526}
    expanded = {**CHARGE, "balance_transaction": transaction, "customer": {"id": "cus_1", "name": "Acme"}}
    assert (await payment("charge.succeeded", expanded)).fee == Money("3.74", "EUR")
    assert (await payment("payment_intent.succeeded", {**INTENT, "latest_charge": expanded})).fee == Money("3.74", "EUR")


@pytest.mark.parametrize(
    ("metadata", "description", "references"),
    [
        ({"q2c_invoice": "INV-1, INV-2;INV-3"}, None, ("INV-1", "INV-2", "INV-3")),
        ({}, "Payment for invoice 2026/0042.", ("2026/0042",)),
        ({}, "INV-7 and RE-2026-0008 (3 seats)", ("INV-7", "RE-2026-0008")),
        ({"q2c_invoice": "INV-7"}, "INV-7", ("INV-7",)),
        ({}, "Thank you", ()),
        (None, None, ()),
    ],
)
async def test_references_come_from_metadata_first_and_then_from_the_texts(
    metadata: dict[str, str] | None, description: str | None, references: tuple[str, ...]
) -> None:
    """Named invoices lead; what looks like a document's number follows; small numbers and words are none."""
    assert (
        await payment("payment_intent.succeeded", {**INTENT, "metadata": metadata, "description": description})
    ).references == references


async def test_a_zero_decimal_currency_is_whole() -> None:
    """500 JPY are five hundred yen, not five."""
    assert (await payment("payment_intent.succeeded", {**INTENT, "currency": "jpy", "amount_received": 500})).amount == Money("500", "JPY")


async def test_an_entity_that_cannot_be_one_falls_back_to_the_accounts_own() -> None:
    """Metadata are free text that people may edit."""
    assert (await payment("payment_intent.succeeded", {**INTENT, "metadata": {"q2c_entity": "our German company"}})).entity == "US01"


async def test_the_reader_is_tolerant_of_what_it_does_not_know() -> None:
    """New fields and words, and optional fields that are missing, do not disturb."""
    bare = {"id": "pi_1", "amount": 100, "currency": "usd", "status": "a_new_status", "brand_new": {"deep": [1]}}
    told = await payment("payment_intent.succeeded", bare)
    assert (told.amount, told.payer, told.references, told.fee) == (Money("1.00", "USD"), "", (), None)


@pytest.mark.parametrize("kind", ["charge.failed", "customer.created", "payment_intent.processing", "something.new"])
async def test_other_events_mean_nothing_to_us(kind: str) -> None:
    """Most of what Stripe sends is none of our business."""
    assert await translated(kind, {"id": 7}) == ()


@pytest.mark.parametrize(
    "record",
    [
        b"\xff\xfe",
        b"[]",
        b"{}",
        {**INTENT, "amount_received": 1.5},
        {**INTENT, "amount_received": "118.50"},
        {**INTENT, "currency": "xxx"},
        {**INTENT, "currency": None},
        {**INTENT, "id": "pi 1"},
        {**INTENT, "latest_charge": {"balance_transaction": {"fee": "1", "currency": "usd"}}},
        {**INTENT, "metadata": "none"},
    ],
)
async def test_an_unreadable_payment_is_parked_and_never_guessed(record: dict[str, Any] | bytes) -> None:
    """What cannot be money is Broken, with what Stripe sent; no other exception escapes."""
    with pytest.raises(Broken):
        await translated("payment_intent.succeeded", record)


async def test_texts_that_are_too_long_or_carry_nulls_are_cut() -> None:
    """Free text of people never breaks a payment."""
    told = await payment("payment_intent.succeeded", {**INTENT, "metadata": {}, "description": "x\x00" * 2000, "receipt_email": "y" * 900})
    assert (len(told.remittance), len(told.payer)) == (500, 500)
    assert "\x00" not in told.remittance
