"""The main path in a real Tryton server and in the simulator: each sentence holds in both, so the simulator may stand for the server."""

import asyncio
import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from canonical.customer import CheckCredit, EnsureCustomer, TaxRegistration
from canonical.failures import Failure, OutcomeUnknown, Rejected, Unavailable
from canonical.invoice import FindOpenInvoices, FindPostedInvoices
from canonical.item import FindItems
from canonical.money import Money, Percent
from canonical.order import CancelSalesOrder
from canonical.tax import FindTaxRates
from deploy.services.tryton import TrytonServer
from system_apis.tryton.client import Books
from tests.system_apis.tryton.worlds import CLOSED_DAY, World, line, payment, real_settings

# The first test pays for building the database of the real server, where the machine has none yet.
pytestmark = pytest.mark.timeout(900)


def interrupted(monkeypatch: pytest.MonkeyPatch, method: str, wanted: str) -> None:
    """The next call of this button or wizard is not sent; all others are."""
    original, pending = getattr(Books, method), [wanted]

    async def call(books: Books, *args: Any, **options: Any) -> Any:
        if args[1] in pending:
            pending.clear()
            raise Unavailable("unreachable", "interrupted by the test")
        return await original(books, *args, **options)

    monkeypatch.setattr(Books, method, call)


async def test_customer_is_never_made_twice(world: World) -> None:
    """A customer is made once; asked again, by us or after a lost answer, the same party is found."""
    customer = world.customer()
    made = await world.ask(EnsureCustomer(customer=customer))
    again = await world.ask(EnsureCustomer(customer=customer))
    found = await world.find(EnsureCustomer(customer=customer))
    assert (made.created, again.created) == (True, False)
    assert made.customer == again.customer == found.customer
    assert made.customer.number == customer.id


async def test_customer_is_recognised_under_another_code(world: World) -> None:
    """A party that people made is recognised by exact name and e-mail, and keeps its own code."""
    known = world.customer()
    party = (await world.ask(EnsureCustomer(customer=known))).customer
    same = msgspec.structs.replace(world.customer(), legal_name=known.legal_name, email=known.email)
    reply = await world.ask(EnsureCustomer(customer=same))
    assert (reply.created, reply.customer) == (False, party)


async def test_customer_is_recognised_by_tax_number(world: World) -> None:
    """A party with the same tax number is the same customer, whatever it is called; the number may be written in many ways."""
    known = world.customer(tax_registrations=(TaxRegistration(country="AT", number="ATU13585627"),))
    party = (await world.ask(EnsureCustomer(customer=known))).customer
    same = world.customer(tax_registrations=(TaxRegistration(country="AT", number="u 1358.5627"),))
    reply = await world.ask(EnsureCustomer(customer=same))
    assert (reply.created, reply.customer) == (False, party)


async def test_customers_at_once_are_one(world: World) -> None:
    """Four workers that ensure one customer at the same time end with one party; whoever is refused may ask again."""
    command = EnsureCustomer(customer=world.customer())

    async def ensure() -> Any:
        for _ in range(8):
            try:
                return await world.ask(command)
            except (Unavailable, OutcomeUnknown):
                await asyncio.sleep(0)
        raise AssertionError("eight attempts were not enough")

    replies = await asyncio.gather(*(ensure() for _ in range(4)))
    assert len({reply.customer.id for reply in replies}) == 1


async def test_order_is_booked_once(world: World) -> None:
    """A booked order is one sale in processing under our order id, with the net and tax that were sold, however often it is booked."""
    command = await world.order(
        line(1, "SUB-TEAM", "10", "42.00", "378.00", discount=Percent("10")), line(2, "SVC-ONB", "2", "1450.00", "2900.00")
    )
    first = await world.ask(command)
    second = await world.ask(command)
    found = await world.find(command)
    assert first == second == found
    (sale,) = await world.sales(command.order.id)
    assert (sale.state, sale.untaxed_amount, sale.tax_amount) == ("processing", Decimal("3278.00"), Decimal("79.80"))
    assert first.order_id == command.order.id
    assert first.total == Money("3278.00", "EUR")
    assert first.erp_ref.number == sale.number


async def test_prices_finer_than_the_erp_allows(world: World) -> None:
    """Usage whose unit price needs more digits than Tryton has still comes to exactly the net total sold."""
    command, created = await world.booked(line(1, "USE-API", "10000", "0.0350", "306.25", discount=Percent("12.5")), tax="0.00")
    (sale,) = await world.sales(command.order.id)
    assert (sale.untaxed_amount, sale.state) == (Decimal("306.25"), "processing")
    assert (await world.post_invoice(created)).total_amount == Decimal("306.25")


@pytest.mark.parametrize("button", ["quote", "confirm"])
async def test_booking_goes_on_after_a_crash(world: World, monkeypatch: pytest.MonkeyPatch, button: str) -> None:
    """An attempt that stopped between its calls is carried on by the next one, in the same sale."""
    command = await world.order()
    interrupted(monkeypatch, "press", button)
    with pytest.raises(Unavailable):
        await world.ask(command)
    assert await world.find(command) is None
    await world.ask(command)
    (sale,) = await world.sales(command.order.id)
    assert sale.state == "processing"


async def test_two_drafts_become_one_sale(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two attempts draft at the same time, the older draft is carried on and the younger is gone."""
    command = await world.order()
    interrupted(monkeypatch, "press", "quote")
    with pytest.raises(Unavailable):
        await world.ask(command)
    (draft,) = await world.sales(command.order.id)
    rows, blind = Books.rows, [True]

    async def late(books: Books, model: str, domain: Any, shape: Any, **options: Any) -> Any:
        """The first search for the sale comes too early to see the other attempt's draft."""
        if model == "sale.sale" and blind:
            blind.clear()
            return []
        return await rows(books, model, domain, shape, **options)

    monkeypatch.setattr(Books, "rows", late)
    created = await world.ask(command)
    (sale,) = await world.sales(command.order.id)
    assert (sale.id, created.erp_ref.id, sale.state) == (draft.id, str(draft.id), "processing")


async def test_refused_order_leaves_nothing(world: World) -> None:
    """An order for an item that the ERP does not have is rejected at its line, and no sale is left."""
    command = await world.order(line(1, "SUB-TEAM", "1", "42.00", "42.00"), line(2, "NO-SUCH-ITEM", "1", "1.00", "1.00"))
    with pytest.raises(Rejected) as refused:
        await world.ask(command)
    assert (refused.value.code, refused.value.pointer) == ("item_unknown", "/order/lines/1/item_code")
    assert await world.sales(command.order.id) == []


async def test_invoice_is_found_and_collected(world: World) -> None:
    """The posted invoice carries net + tax and our order id, is found as new and as open, and after the payment it is paid there."""
    before = await world.ask(FindPostedInvoices())
    created, invoice = await world.invoiced()
    amounts = await world.invoice_amounts(created)
    assert (amounts.untaxed_amount, amounts.tax_amount, amounts.total_amount) == (Decimal("420.00"), Decimal("79.80"), Decimal("499.80"))
    posted = await world.ask(FindPostedInvoices(cursor=before.cursor))
    assert [one.order_id for one in posted.invoices] == [created.order_id]
    assert (invoice.total, invoice.tax_total, invoice.open_amount, invoice.status) == (
        Money("499.80", "EUR"),
        Money("79.80", "EUR"),
        Money("499.80", "EUR"),
        "posted",
    )
    assert [(one.item_code, one.net_total) for one in invoice.lines] == [("SUB-TEAM", Money("420.00", "EUR"))]
    assert invoice.due_on == invoice.issued_on + dt.timedelta(days=30)
    applied = await world.ask(payment("499.80", (invoice, "499.80")))
    assert applied.unapplied == Money("0", "EUR")
    assert (await world.invoice_amounts(created)).state == "paid"
    assert (await world.sale(created)).state == "done"
    (paid,) = (await world.ask(FindPostedInvoices(cursor=posted.cursor))).invoices
    assert (paid.id, paid.status) == (invoice.id, "paid")
    assert (await world.ask(FindOpenInvoices(references=(created.order_id,)))).invoices == ()


async def test_cursor_stands_still_without_news(world: World) -> None:
    """Asking with the cursor of the last answer gives nothing and the same cursor, until something changes."""
    _, invoice = await world.invoiced()
    last = await world.ask(FindPostedInvoices())
    while last.invoices and invoice.id not in {one.id for one in last.invoices}:
        last = await world.ask(FindPostedInvoices(cursor=last.cursor))
    again = await world.ask(FindPostedInvoices(cursor=last.cursor))
    assert (again.invoices, again.cursor) == ((), last.cursor)
    await world.ask(payment("10.00", (invoice, "10.00")))
    (changed,) = (await world.ask(FindPostedInvoices(cursor=last.cursor))).invoices
    assert (changed.id, changed.status) == (invoice.id, "partially_paid")


async def test_payment_in_parts_over_two_invoices(world: World) -> None:
    """One payment pays one invoice in full and another in part; entering it again changes nothing."""
    first_sale, first = await world.invoiced()
    second_sale, second = await world.invoiced()
    command = payment("599.80", (first, "499.80"), (second, "100.00"))
    applied = await world.ask(command)
    assert await world.ask(command) == applied == await world.find(command)
    assert (await world.invoice_amounts(first_sale)).state == "paid"
    assert (await world.invoice_amounts(second_sale)).state == "posted"
    (left,) = (await world.ask(FindOpenInvoices(references=(second.id,)))).invoices
    assert (left.open_amount, left.status) == (Money("399.80", "EUR"), "partially_paid")


async def test_payment_goes_on_after_a_crash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment of which only a part was entered is completed by the next attempt, without entering that part again."""
    _, first = await world.invoiced()
    second_sale, second = await world.invoiced()
    command = payment("550.00", (first, "499.80"), (second, "50.20"))
    await world.ask(command)
    other = payment("549.60", (second, "449.60"))
    original, broken = Books.press, [True]

    async def no_posting(books: Books, model: str, button: str, ids: Any) -> None:
        if model == "account.move" and broken:
            broken.clear()
            raise Unavailable("unreachable", "interrupted by the test")
        await original(books, model, button, ids)

    monkeypatch.setattr(Books, "press", no_posting)
    with pytest.raises(Unavailable):
        await world.ask(other)
    assert await world.find(other) is None
    applied = await world.ask(other)
    assert applied.unapplied == Money("100.00", "EUR")
    assert (await world.invoice_amounts(second_sale)).state == "paid"
    assert await world.find(other) == applied


async def test_over_payment_stays_on_the_account(world: World) -> None:
    """What is paid too much is a credit on the customer's account in the ERP, and is reported as unapplied."""
    command, created = await world.booked()
    await world.post_invoice(created)
    (invoice,) = (await world.ask(FindOpenInvoices(references=(command.order.id,)))).invoices
    applied = await world.ask(payment("600.00", (invoice, "499.80")))
    assert applied.unapplied == Money("100.20", "EUR")
    assert await world.receivable(command.customer) == Decimal("-100.20")


async def test_money_of_an_unknown_payer_is_kept(world: World) -> None:
    """A payment that pays no invoice is entered once, on the account for unidentified payers."""
    command = payment("77.00")
    applied = await world.ask(command)
    assert applied.unapplied == Money("77.00", "EUR")
    assert await world.ask(command) == applied == await world.find(command)


async def test_payment_beyond_the_open_amount_is_rejected(world: World) -> None:
    """An allocation that is larger than what is open is rejected at its place, and nothing is entered."""
    created, invoice = await world.invoiced()
    command = payment("500.00", (invoice, "500.00"))
    with pytest.raises(Rejected) as refused:
        await world.ask(command)
    assert (refused.value.code, refused.value.pointer) == ("more_than_open", "/allocations/0/amount")
    assert await world.find(command) is None
    assert (await world.invoice_amounts(created)).state == "posted"


async def test_payment_in_a_closed_period_is_rejected(world: World) -> None:
    """A payment dated in a closed period is refused in Tryton's own words, and nothing is entered."""
    _, invoice = await world.invoiced()
    for command in (payment("10.00", (invoice, "10.00"), received_on=CLOSED_DAY), payment("5.00", received_on=CLOSED_DAY)):
        with pytest.raises(Rejected) as refused:
            await world.ask(command)
        assert refused.value.code == "closed_period"
        assert await world.find(command) is None


async def test_foreign_currency_is_booked_and_collected(world: World) -> None:
    """An order in another currency than the company's is invoiced and collected in that currency; the rest of the payment too."""
    command, created = await world.booked(currency="USD")
    await world.post_invoice(created)
    (invoice,) = (await world.ask(FindOpenInvoices(references=(command.order.id,), currency="USD"))).invoices
    assert invoice.total == Money("499.80", "USD")
    applied = await world.ask(payment("510.80", (invoice, "499.80"), currency="USD"))
    assert applied.unapplied == Money("11.00", "USD")
    assert (await world.invoice_amounts(created)).state == "paid"
    assert await world.receivable(command.customer) == Decimal("-10.00")  # at 1.10 USD per EUR


async def test_payment_in_another_currency_is_rejected(world: World) -> None:
    """A payment in another currency than the invoice's is not applied to it."""
    _, invoice = await world.invoiced()
    with pytest.raises(Rejected) as refused:
        await world.ask(payment("10.00", (invoice, "10.00"), currency="USD"))
    assert refused.value.code == "currency_mismatch"


async def test_order_with_goods_is_called_off(world: World) -> None:
    """A processed order is called off with its invoice and its shipment; doing it twice is fine, booking it again is not."""
    command, created = await world.booked(line(1, "HW-GW", "2", "390.00", "780.00"), line(2, "SUB-TEAM", "1", "42.00", "42.00"))
    cancel = CancelSalesOrder(order_id=command.order.id, erp_ref=created.erp_ref, reason="the customer withdrew")
    assert await world.find(cancel) is None
    first = await world.ask(cancel)
    assert first == await world.ask(cancel) == await world.find(cancel)
    sale = await world.sale(created)
    assert sale.called_off
    assert ({i.state for i in sale.invoices}, {s.state for s in sale.shipments}, sale.state) == ({"cancelled"}, {"cancelled"}, "done")
    assert "the customer withdrew" in (sale.comment or "")
    assert await world.find(command) is None
    with pytest.raises(Rejected) as refused:
        await world.ask(command)
    assert refused.value.code == "order_was_cancelled"


async def test_draft_is_called_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that was only drafted is cancelled as such."""
    command = await world.order()
    interrupted(monkeypatch, "press", "confirm")
    with pytest.raises(Unavailable):
        await world.ask(command)
    (sale,) = await world.sales(command.order.id)
    reference = (await world.ensured())[1]
    cancel = CancelSalesOrder(
        order_id=command.order.id, erp_ref=type(reference)(connection="tryton-de", kind="sales_order", id=str(sale.id))
    )
    await world.ask(cancel)
    (sale,) = await world.sales(command.order.id)
    assert sale.state == "cancelled"


async def test_invoiced_order_is_not_called_off(world: World) -> None:
    """Once the invoice is posted, calling off is refused: it takes a credit note."""
    created, _ = await world.invoiced()
    with pytest.raises(Rejected) as refused:
        await world.ask(CancelSalesOrder(order_id=created.order_id, erp_ref=created.erp_ref))
    assert refused.value.code == "already_invoiced"


async def test_credit_is_the_open_balance(world: World) -> None:
    """Credit tells the open balance and no limit; a deactivated party is on hold; an unknown one is not known."""
    command, created = await world.booked()
    await world.post_invoice(created)
    customer = command.order.customer
    question = CheckCredit(customer_id=customer.id, customer_name=customer.legal_name, currency="EUR")
    credit = await world.ask(question)
    assert (credit.known, credit.on_hold, credit.limit, credit.open_balance) == (True, False, None, Money("499.80", "EUR"))
    await world.books.write("party.party", [int(command.customer.id)], {"active": False})
    assert (await world.ask(question)).on_hold
    stranger = CheckCredit(customer_id="C-NOBODY", customer_name="Nobody at all", currency="EUR")
    assert not (await world.ask(stranger)).known


async def test_items_and_tax_rates_are_read(world: World) -> None:
    """Items come with their stock where it is tracked, unknown codes are left out; tax rates come in per cent."""
    items = {item.code: item for item in (await world.ask(FindItems(item_codes=("SUB-TEAM", "HW-GW", "NO-SUCH-ITEM")))).items}
    assert set(items) == {"SUB-TEAM", "HW-GW"}
    assert (items["SUB-TEAM"].active, items["SUB-TEAM"].available) == (True, None)
    assert items["HW-GW"].available is not None
    rates = {rate.code: rate.percent for rate in (await world.ask(FindTaxRates())).rates}
    assert rates["VAT 19 %"] == "19"
    assert world.settings.external_tax not in rates


async def test_ended_session_is_renewed(world: World) -> None:
    """When Tryton no longer knows the session, the connector logs in again and the call goes through."""
    await world.ask(FindTaxRates())
    world.bench.client._session._token = "YWRtaW46MTpnb25l"
    assert (await world.ask(FindTaxRates())).rates


async def test_wrong_password_is_a_setting_to_mend(world: World) -> None:
    """A password that Tryton does not take is `Misconfigured`, not a thing to retry."""
    stranger = World(msgspec.structs.replace(world.settings, password="wrong"))
    with pytest.raises(Failure) as refused:
        await stranger.ask(FindTaxRates())
    await stranger.bench.aclose()
    assert (refused.value.word, refused.value.code) == ("misconfigured", "login_refused")


@pytest.mark.tryton
async def test_invalid_tax_number_is_rejected(tryton: TrytonServer) -> None:
    """A tax number whose check digit is wrong is refused by Tryton, and the refusal points at it."""
    world = World(real_settings(tryton))
    customer = world.customer(tax_registrations=(TaxRegistration(country="DE", number="DE123456789"),))
    with pytest.raises(Rejected) as refused:
        await world.ask(EnsureCustomer(customer=customer))
    await world.bench.aclose()
    assert (refused.value.code, refused.value.pointer) == ("tax_number_invalid", "/customer/tax_registrations")


@pytest.mark.tryton
async def test_server_that_is_down_is_unavailable(tryton: TrytonServer) -> None:
    """While the server is down a write is `Unavailable`, for certainly nothing was done; after a restart it goes through."""
    world = World(real_settings(tryton))
    command = await world.order()
    tryton.kill()
    try:
        with pytest.raises(Unavailable):
            await world.ask(command)
    finally:
        tryton.restart()
    created = await world.ask(command)
    assert (await world.sale(created)).state == "processing"
    await world.bench.aclose()
