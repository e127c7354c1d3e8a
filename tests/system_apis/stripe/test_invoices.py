import datetime as dt
from typing import Any

import msgspec
import pytest

from canonical.failures import Broken
from canonical.invoice import InvoicePosted
from canonical.money import Money, Quantity
from canonical.provenance import ExternalId
from system_apis.connector import Translated
from system_apis.stripe.connector import STRIPE
from system_apis.stripe.simulator import simulated
from system_apis.stripe.webhooks import translate
from tests.system_apis.harness import Bench

METADATA = {"q2c_order_id": "ORD-1001", "q2c_correlation_id": "q2c-7f3a", "q2c_entity": "DE01", "q2c_customer": "C-MUSTER"}
FINALISED = dt.datetime(2027, 1, 15, 1, 0, tzinfo=dt.UTC)
INVOICE = {
    "id": "in_1",
    "object": "invoice",
    "number": "7FE1103-0001",
    "amount_paid": 0,
    "amount_remaining": 499_80,
    "currency": "eur",
    "customer": "cus_1",
    "customer_name": "Muster Maschinenbau GmbH",
    "due_date": int((FINALISED + dt.timedelta(days=14)).timestamp()),
    "lines": {
        "object": "list",
        "data": [{"id": "il_1", "amount": 420_00, "description": "10 × Team plan", "quantity": 10, "taxes": [{"amount": 79_80}]}],
    },
    "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1", "metadata": METADATA}},
    "status": "open",
    "status_transitions": {"finalized_at": int(FINALISED.timestamp())},
    "total": 499_80,
    "total_excluding_tax": 420_00,
}


async def translated(invoice: dict[str, Any], kind: str = "invoice.finalized") -> tuple[Translated, ...]:
    bench = Bench(STRIPE, simulated("http://stripe.example"), connection="stripe-main")
    event = {"id": "evt_1", "type": kind, "created": int(FINALISED.timestamp()) + 5, "data": {"object": invoice}}
    return await translate(bench.call("webhook/evt_1"), msgspec.json.encode(event))


async def posted(invoice: dict[str, Any]) -> InvoicePosted:
    (fact,) = await translated(invoice)
    assert isinstance(fact.event, InvoicePosted)
    return fact.event


async def test_a_finalised_renewal_is_a_posted_invoice_of_its_order() -> None:
    """Amounts, dates and the deal behind it are read off the event."""
    (fact,) = await translated(INVOICE)
    assert (fact.id, fact.order_id) == ("stripe:in_1", "ORD-1001")
    assert isinstance(fact.event, InvoicePosted)
    invoice = fact.event.invoice
    assert (fact.event.entity, invoice.id, invoice.order_id, invoice.customer_id) == ("DE01", "7FE1103-0001", "ORD-1001", "C-MUSTER")
    assert (invoice.issued_on, invoice.due_on, invoice.status) == (dt.date(2027, 1, 15), dt.date(2027, 1, 29), "posted")
    assert (invoice.total, invoice.tax_total, invoice.open_amount) == (
        Money("499.80", "EUR"),
        Money("79.80", "EUR"),
        Money("499.80", "EUR"),
    )
    assert invoice.external_id == ExternalId(connection="stripe-main", kind="invoice", id="in_1", number="7FE1103-0001")
    assert invoice.provenance is not None
    assert invoice.provenance.correlation_id == "q2c-7f3a"
    (line,) = invoice.lines
    assert (line.quantity, line.net_total, line.tax) == (Quantity("10"), Money("420.00", "EUR"), Money("79.80", "EUR"))


async def test_the_older_shape_means_the_same() -> None:
    """Accounts on an older API version name the subscription beside the invoice, and the taxes differently."""
    line = {"id": "il_1", "amount": 420_00, "description": "10 × Team plan", "quantity": 10, "tax_amounts": [{"amount": 79_80}]}
    older = {**INVOICE, "subscription": "sub_1", "subscription_details": {"metadata": METADATA}, "lines": {"data": [line]}}
    del older["parent"]
    older["subscription_details"] = {"metadata": METADATA, "subscription": "sub_1"}
    assert await translated(older) == await translated(INVOICE)


async def test_an_invoice_that_is_not_for_a_subscription_is_none_of_ours() -> None:
    """Invoices that people write in Stripe are not posted by us."""
    assert await translated({**INVOICE, "parent": None}) == ()
    assert await translated({**INVOICE, "parent": {"type": "quote_details"}}) == ()


async def test_the_invoice_over_nothing_that_begins_a_trial_is_none() -> None:
    """Stripe finalises a zero invoice when a trial starts; nobody owes anything."""
    assert await translated({**INVOICE, "total": 0, "amount_remaining": 0}) == ()


async def test_other_invoice_events_mean_nothing() -> None:
    """A draft is not an invoice yet."""
    assert await translated(INVOICE, "invoice.created") == ()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"status": "paid", "amount_paid": 499_80, "amount_remaining": 0}, "paid"),
        ({"amount_paid": 100_00, "amount_remaining": 399_80}, "partially_paid"),
        ({"status": "a_new_status"}, "posted"),
        ({"status": None}, "posted"),
        ({"status": "uncollectible"}, "posted"),
    ],
)
async def test_the_status_is_ours(change: dict[str, Any], status: str) -> None:
    """Stripe's words become the canonical ones; a new word of theirs is still a posted invoice."""
    assert (await posted({**INVOICE, **change})).invoice.status == status


async def test_an_invoice_without_metadata_belongs_to_the_accounts_own_entity() -> None:
    """A subscription made by hand has no order, but its invoice is still posted."""
    bare = {**INVOICE, "number": None, "parent": {"subscription_details": {"subscription": "sub_9", "metadata": {}}}}
    fact = await posted(bare)
    assert (fact.entity, fact.invoice.id, fact.invoice.order_id) == ("US01", "in_1", "")


@pytest.mark.parametrize("change", [{"total": 1.5}, {"currency": "xxx"}, {"number": "no spaces allowed"}, {"lines": {"data": [{}]}}])
async def test_an_unreadable_invoice_is_parked(change: dict[str, Any]) -> None:
    """What cannot be an invoice is Broken, and kept."""
    with pytest.raises(Broken):
        await translated({**INVOICE, **change})
