"""The parts of the Tryton connector that need no server."""

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canonical.customer import Address, Customer, TaxRegistration
from canonical.failures import Failure, Misconfigured, Rejected
from canonical.invoice import InvoicesFound
from canonical.money import Money
from canonical.payment import Payment
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.tryton.accounts import lines_of as account_lines
from system_apis.tryton.connector import TRYTON
from system_apis.tryton.cursor import LOOK_BACK, Cursor, cursor_of
from system_apis.tryton.customers import compact, searches, values_of
from system_apis.tryton.failures import FAILURES
from system_apis.tryton.invoices import TrytonInvoice, invoice_of, posted_events, status_of
from system_apis.tryton.payments import Move, description_of, entered_of
from system_apis.tryton.sales_order_lines import FixedTax, split, tax_line
from system_apis.tryton.sales_orders import PaymentTerm, Sale
from system_apis.tryton.settings import TrytonSettings
from system_apis.tryton.wire import asked, bare, lift, pack
from tests.system_apis.harness import NOW

CALL = Call(client=None, settings=None, connection="tryton-de", key="p/k/s", correlation_id="q2c-1", entity="DE01", now=NOW)


def user_error(sentence: str) -> bytes:
    return msgspec.json.encode({"id": 1, "error": ["UserError", [sentence, "", None]]})


@pytest.mark.parametrize(
    ("sentence", "word", "code"),
    [
        ("The code on party must be unique.", "unavailable", "code_taken"),
        ('To continue, you must reopen the period "2025-01" of company "X" for the date "01/10/2025".', "rejected", "closed_period"),
        ('To continue, you must create a fiscal year for the date "01/10/1999" and company "X".', "rejected", "closed_period"),
        ('You can not call "confirm" on "1 [ORD-1]" of "Sale".', "rejected", "not_in_this_state"),
        ('You cannot overpay invoice "2026-00001" because there is no more left to pay.', "rejected", "more_than_open"),
        ('You are trying to read records "5" of "Sale" that don\'t exist.', "rejected", "not_found"),
        ('The value "99" for field "Product" in "Sale Line" is not valid according to its domain.', "rejected", "validation_failed"),
        ('The European VAT Number "DE1" for party "Nordic" is not valid.', "rejected", "tax_number_invalid"),
        ('You are not allowed to access "Sale".', "misconfigured", "not_authorised"),
        ('To invoice sale "1" you must configure a default account revenue.', "misconfigured", "accounts_missing"),
        ("Something that nobody has seen yet.", "rejected", "rejected_by_vendor"),
    ],
)
def test_sentence_has_a_meaning(sentence: str, word: str, code: str) -> None:
    """Tryton refuses in sentences; each that we know has its word and our stable code."""
    failure = FAILURES.failure(200, {}, user_error(sentence), writes=True, retry_after_s=None)
    assert (failure.word, failure.code, failure.detail) == (word, code, sentence)


@pytest.mark.parametrize(
    ("status", "body", "word", "code"),
    [
        (200, b'{"id":1,"error":["UserWarning",["key","Really?",""]]}', "rejected", "warning_needs_a_person"),
        (200, b'{"id":1,"error":["ConcurrencyException","edited by another user"]}', "unavailable", "edited_meanwhile"),
        (200, b'{"id":1,"error":["LoginException",["password","Password","password"]]}', "misconfigured", "login_refused"),
        (200, b'{"id":1,"error":["\'nofield\'",""]}', "broken", "fault_in_tryton"),
        (401, b"", "misconfigured", "login_refused"),
        (403, b"<!doctype html>", "misconfigured", "forbidden"),
        (404, b"<!doctype html>", "misconfigured", "no_such_database"),
        (503, b"<!doctype html>database is locked", "unavailable", "unavailable"),
        (504, b"<!doctype html>", "outcome_unknown", "outcome_unknown"),
    ],
)
def test_error_shape_has_a_meaning(status: int, body: bytes, word: str, code: str) -> None:
    """Every shape in which Tryton refuses is read: error arrays of each class, and pages of the web server."""
    failure = FAILURES.failure(status, {}, body, writes=True, retry_after_s=None)
    assert (failure.word, failure.code) == (word, code)


quantities = st.integers(1, 10**7)
cents = st.integers(0, 10**10)


@given(quantities, cents)
def test_lines_add_up_to_the_net_total(quantity: int, minor: int) -> None:
    """For every whole quantity the line, or the two lines, come to exactly the net total, in prices of four digits."""
    net = Money.of_minor(minor, "EUR")
    pairs = split(net, Decimal(quantity), 4)
    assert pairs is not None
    amounts = [(count * price).quantize(Decimal("0.01"), rounding="ROUND_HALF_EVEN") for count, price in pairs]
    assert sum(amounts) == net.number
    assert sum(count for count, _ in pairs) == quantity
    assert all(price == round(price, 4) and price >= 0 for _, price in pairs)
    assert len(pairs) <= 2


def test_nothing_for_something_cannot_be_told() -> None:
    """No price makes a net total out of a quantity of zero."""
    assert split(Money("0", "EUR"), Decimal(0), 4) == [(Decimal(0), Decimal(0))]
    assert split(Money("1.00", "EUR"), Decimal(0), 4) is None


def test_tax_is_a_number_of_cents() -> None:
    """The tax line has as many units of the fixed tax as there are cents, and costs nothing itself."""
    told = tax_line(Money("79.80", "EUR"), FixedTax(id=7, amount=Decimal("0.01")))
    assert (told["quantity"], told["unit_price"], told["taxes"]) == (bare(Decimal(7980)), Decimal(0), [["add", [7]]])
    with pytest.raises(Misconfigured):
        tax_line(Money("79.80", "EUR"), FixedTax(id=7, amount=Decimal("0.50")))


def test_wire_classes_come_back() -> None:
    """Decimals, dates and moments travel as objects that name their class, and come back as they were."""
    told = {"a": [Decimal("100.00"), dt.date(2026, 1, 15)], "b": dt.datetime(2026, 1, 15, 9, 0, 0, 5)}  # noqa: DTZ001 - Tryton's have no zone
    packed: Any = pack(told)
    assert packed["a"] == [{"__class__": "Decimal", "decimal": "100.00"}, {"__class__": "date", "year": 2026, "month": 1, "day": 15}]
    assert lift(msgspec.json.decode(msgspec.json.encode(packed))) == told
    assert lift({"__class__": "timedelta", "seconds": 5}) == {"__class__": "timedelta", "seconds": 5}


def test_quantity_keeps_its_digits() -> None:
    """A quantity is sent digit by digit, never through a Python float."""
    assert msgspec.json.encode(pack({"quantity": bare(Decimal("0.1") * 3)})) == b'{"quantity":0.3}'


def test_shape_is_the_question() -> None:
    """The fields that are asked for are those of the shape, dotted where a shape lies within a shape."""
    assert asked(PaymentTerm) == (
        "lines.type",
        "lines.relativedeltas.days",
        "lines.relativedeltas.months",
        "lines.relativedeltas.weeks",
        "lines.relativedeltas.day",
    )
    assert "currency.code" in asked(Sale)


def test_cursor_sees_a_late_transaction() -> None:
    """A change that began before the latest one and shows later is still handed out, and nothing is handed out twice."""
    at = dt.datetime(2026, 1, 15, 9, 0)  # noqa: DTZ001 - Tryton's moments carry no zone
    cursor = cursor_of(Cursor().after({1: at, 2: at + dt.timedelta(seconds=30)}).text())
    assert cursor.since == at + dt.timedelta(seconds=30) - LOOK_BACK
    assert not cursor.is_new(1, at)
    assert cursor.is_new(3, at + dt.timedelta(seconds=10))
    assert cursor.is_new(1, at + dt.timedelta(seconds=40))
    later = cursor.after({4: at + LOOK_BACK + dt.timedelta(minutes=5)})
    assert set(later.seen) == {4}
    assert cursor_of(later.text()) == later


@pytest.mark.parametrize("text", ["nonsense", "12x/1:2", "1/2", "9" * 400])
def test_foreign_cursor_is_refused(text: str) -> None:
    """A cursor that is none of ours is rejected, not guessed at."""
    with pytest.raises(Rejected):
        cursor_of(text)


RAW: dict[str, Any] = {
    "id": 7,
    "number": "2026-00001",
    "state": "posted",
    "invoice_date": dt.date(2026, 1, 15),
    "total_amount": Decimal("119.00"),
    "tax_amount": Decimal("19.00"),
    "amount_to_pay": Decimal("119.00"),
    "currency.": {"code": "EUR", "id": 1},
    "party.": {"code": "C-MUSTER", "name": "Muster", "id": 5},
    "sales.": [{"reference": "ORD-1", "id": 3}],
}


def read(**changes: Any) -> TrytonInvoice:
    return msgspec.convert({**RAW, **changes}, TrytonInvoice, strict=False)


def test_invoice_is_read_tolerantly() -> None:
    """A new field, a missing party and a state that nobody knows do not stop the reading."""
    found = invoice_of(read(**{"shiny_new": 1, "party.": None, "state": "disputed", "sales.": []}), CALL)
    assert (found.status, found.customer_id, found.order_id) == ("posted", "", "")


def test_invoice_number_that_is_no_id_of_ours() -> None:
    """A number with characters that our ids do not have is shown as it is and known by Tryton's own id."""
    found = invoice_of(read(number="Rechnung 2026/Ä 1"), CALL)
    assert (found.id, found.external_id.number) == ("tryton-7", "Rechnung 2026/Ä 1")


@pytest.mark.parametrize(
    ("state", "open_amount", "status"),
    [
        ("draft", "0", "draft"),
        ("validated", "0", "draft"),
        ("posted", "119", "posted"),
        ("posted", "19", "partially_paid"),
        ("paid", "0", "paid"),
        ("cancelled", "0", "void"),
    ],
)
def test_state_of_an_invoice(state: str, open_amount: str, status: str) -> None:
    """Tryton's states in our words; a posted invoice of which a part is open is partially paid."""
    assert status_of(state, Decimal(119), Decimal(open_amount)) == status


def test_each_state_of_an_invoice_is_told_once() -> None:
    """The same invoice in the same state has the same event id; a void one tells nothing."""
    first, paid, void = (invoice_of(read(state=state), CALL) for state in ("posted", "paid", "cancelled"))
    events, cursor = posted_events(InvoicesFound(invoices=(first, paid, void), cursor="c"))
    again, _ = posted_events(InvoicesFound(invoices=(first,), cursor="c"))
    assert [event.id for event in events] == ["invoice/tryton-de/7/posted/119.00", "invoice/tryton-de/7/paid/0.00"]
    assert again[0].id == events[0].id
    assert (events[0].order_id, cursor) == ("ORD-1", "c")


def test_entries_of_another_payment_do_not_count() -> None:
    """Only entries whose description begins with exactly our payment id belong to the payment."""
    rows = [
        {
            "id": 1,
            "state": "posted",
            "description": "PAY_1 / q2c-1",
            "origin": "account.invoice,7",
            "lines.": [{"id": 1, "debit": Decimal(5)}],
        },
        {
            "id": 2,
            "state": "posted",
            "description": "PAYX1 / q2c-1",
            "origin": "account.invoice,7",
            "lines.": [{"id": 2, "debit": Decimal(9)}],
        },
        {"id": 3, "state": "draft", "description": "PAY_1 / q2c-1", "origin": None, "lines.": [{"id": 3, "debit": Decimal(2)}]},
    ]
    entered = entered_of(msgspec.convert(rows, list[Move]), "PAY_1")
    assert (dict(entered.by_invoice), entered.on_account, entered.drafts) == ({7: Decimal(5)}, Decimal(2), [3])


def test_description_is_one_line_that_begins_with_the_payment() -> None:
    """The description of an entry begins with our payment id and keeps fee, payer and references, whatever the bank has put there."""
    received = Payment(
        id="PAY_1",
        entity="DE01",
        source="bank_statement",
        received_on=dt.date(2026, 2, 2),
        amount=Money("5.00", "EUR"),
        payer="MUSTER\nMASCHINENBAU",
        references=("INV-1",),
        fee=Money("0.10", "EUR"),
    )
    assert description_of(received, "q2c-1") == "PAY_1 / q2c-1 fee 0.10 EUR MUSTER MASCHINENBAU INV-1"


def test_entry_on_account_balances() -> None:
    """Money on account debits the bank and credits the party, with the foreign amount on both sides where there is one."""
    home = account_lines(Money("100.00", "EUR"), Decimal("100.00"), None, (10, 20), 5)
    assert [(one["account"], one["debit"], one["credit"]) for one in home] == [(10, 100, 0), (20, 0, 100)]
    foreign = account_lines(Money("110.00", "USD"), Decimal("100.00"), 2, (10, 20), 5)
    assert [one["amount_second_currency"] for one in foreign] == [Decimal(110), Decimal(-110)]


def test_customer_is_recognised_the_surest_way_first() -> None:
    """Tryton's own id, our id, the tax number with and without its country, then exact name and e-mail."""
    customer = Customer(
        id="C-1",
        legal_name="Muster GmbH",
        email="a@b.example",
        tax_registrations=(TaxRegistration(country="DE", number="136 695 976"),),
        external_ids=(ExternalId(connection="tryton-de", kind="party", id="5"), ExternalId(connection="other", kind="party", id="6")),
    )
    ways = [way[0] for way in searches(customer, "tryton-de")]
    assert ways == [
        ["id", "in", [5]],
        ["code", "=", "C-1"],
        ["identifiers.code", "in", ["136695976", "DE136695976"]],
        ["name", "=", "Muster GmbH"],
    ]


@pytest.mark.parametrize(
    ("registration", "told"),
    [
        (TaxRegistration(country="DE", number="DE 136.695.976"), "DE136695976"),
        (TaxRegistration(country="US", scheme="ein", number="12-3456789"), "123456789"),
    ],
)
def test_tax_number_is_compact(registration: TaxRegistration, told: str) -> None:
    """Blanks and punctuation go; a VAT number of the EU begins with its country."""
    assert compact(registration) == told


def test_country_that_the_database_lacks_stands_in_the_address() -> None:
    """Countries are imported into Tryton separately; without them the code is kept as text, so nothing is lost."""
    bill, ship = Address(street="Kai 1", country="DK"), Address(street="Hof 2", region="BY", country="DE")
    values = values_of(Customer(id="C-1", legal_name="X", bill_to=bill, ship_to=ship), {"DE": 9})
    billing, shipping = values["addresses"][0][1]
    assert (billing["street"], billing["invoice"]) == ("Kai 1\nDK", True)
    assert (shipping["street"], shipping["country"], shipping["delivery"]) == ("Hof 2\nBY", 9, True)


def test_payment_term_is_understood() -> None:
    """Only a term that says `everything after so many days` is taken for one."""
    net30 = msgspec.convert({"id": 1, "lines.": [{"id": 1, "type": "remainder", "relativedeltas.": [{"id": 1, "days": 30}]}]}, PaymentTerm)
    months = msgspec.convert(
        {"id": 1, "lines.": [{"id": 1, "type": "remainder", "relativedeltas.": [{"id": 1, "months": 1}]}]}, PaymentTerm
    )
    assert (net30.is_net(30), net30.is_net(14), months.is_net(0)) == (True, False, False)


def test_settings_need_a_company() -> None:
    """Settings without a company are refused when they are read."""
    with pytest.raises(ValueError, match="at least one entity"):
        TrytonSettings(base_url="http://x", user="u", password="p", companies={})


def test_card_looks_before_it_writes() -> None:
    """Tryton gives no idempotency key: every write on the card has a find."""
    writes = [operation for operation in TRYTON.does.values() if operation.once != "read"]
    assert len(writes) == 4
    assert all(operation.find is not None and operation.settles_in > dt.timedelta(0) for operation in writes)


def test_failure_keeps_the_raw_answer() -> None:
    """What Tryton said is kept for whoever looks at the case."""
    failure: Failure = FAILURES.failure(200, {}, user_error("No."), writes=True, retry_after_s=None)
    assert "UserError" in failure.raw
