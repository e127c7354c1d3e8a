"""A file is a deal, or it is refused with its name, the place, and what is wrong there."""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.demo.deals import DealUnreadable, day, read, read_folder, told
from tests.gateway.demo.made_up import PAID, PAYMENT, QUOTE, TODAY, changed, deal

USD = {"amount": "1.00", "currency": "USD"}
ORDER = {key: value for key, value in QUOTE.items() if key not in {"issued_on", "expires_on"}} | {
    "quote_id": "Q-X",
    "quote_version": 1,
    "ordered_on": "today",
}

MISTAKES = {
    "a key that nobody knows": ("colour", "red", "", "unknown field `colour`"),
    "a key that nobody knows, deep inside": ("quote/lines/0/colour", "red", "/quote/lines/0", "unknown field `colour`"),
    "a number where an amount is text": ("quote/total/amount", 100.0, "/quote/total/amount", "Expected `str`"),
    "more decimals than the currency has": ("quote/total/amount", "100.001", "/quote/total", "USD has 2 decimals"),
    "a day that is none": ("quote/expires_on", "someday", "/quote/expires_on", "Invalid RFC3339"),
    "an outcome that nobody knows": ("expect/outcome", "fine", "/expect/outcome", "Invalid enum value 'fine'"),
    "a fault that no vendor can make": (
        "troubles",
        [{"at": "stripe", "before": "payment", "fault": {"kind": "earthquake"}}],
        "/troubles/0/fault/kind",
        "Invalid enum value 'earthquake'",
    ),
    "no quote and no order": ("quote", None, "", "either a quote or an order"),
    "a quote and an order": ("order", ORDER, "", "either a quote or an order"),
    "a name of its own": ("name", "mine", "/name", "named by its file"),
    "an invoice too few": ("expect/invoices", 2, "/expect/invoices", "1 invoices are posted, 2 are expected"),
    "a rejected deal that is paid": ("expect/outcome", "rejected_by_approver", "/invoices", "neither invoiced nor paid"),
    "a payment that pays more than it is": ("payments/0/amount", USD, "/payments/0/pays", "more than the payment"),
    "a parked payment that pays something": ("payments/0/ends", "parked", "/payments/0/pays", "ends as parked pays nothing"),
    "an applied payment that pays nothing": ("payments/0/pays", [], "/payments/0/pays", "ends as applied pays something"),
    "money left on account by nobody": (
        "payments",
        [{**PAYMENT, "pays": [], "ends": "not_applied"}],
        "/payments/0/clerk",
        "only by a person's decision",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_refused_with_its_place(what: str) -> None:
    """The refusal names the file, points to the mistake, and says what is wrong."""
    path, value, pointer, wrong = MISTAKES[what]
    with pytest.raises(DealUnreadable) as refusal:
        deal(changed(PAID, path, value))
    assert (refusal.value.file, refusal.value.pointer) == ("01-acme.json", pointer)
    assert wrong in refusal.value.wrong
    assert str(refusal.value).startswith("01-acme.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"title": NaN}', b"[" * 5000])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """Whatever the bytes are, there is one kind of refusal."""
    with pytest.raises(DealUnreadable):
        read("broken.json", content, TODAY)


def test_a_good_file_is_a_deal() -> None:
    """The deal carries its file's name, real days, and the order that its quote becomes."""
    good = deal()
    assert (good.name, good.id, good.order_id, good.books) == ("01-acme", "Q-1", "ORD-1", True)
    assert good.quote is not None
    assert good.quote.expires_on == dt.date(2026, 12, 20)
    assert good.quote.lines[0].term == msgspec.convert({"start": "2026-12-01", "end": "2027-11-30"}, type(good.quote.lines[0].term))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("today", "2024-01-31"),
        ("today+30", "2024-03-01"),
        ("today-31", "2023-12-31"),
        ("month", "2024-01-01"),
        ("month+1", "2024-02-01"),
        ("monthend+1", "2024-02-29"),
        ("monthend+12", "2025-01-31"),
        ("month-1", "2023-12-01"),
        ("monthend+11", "2024-12-31"),
        ("2026-05-01", "2026-05-01"),
        ("tomorrow", "tomorrow"),
    ],
)
def test_relative_days(text: str, meant: str) -> None:
    """Days are counted from today, months from the first or to the last of them; anything else is left to whoever reads dates."""
    assert day(text, dt.date(2024, 1, 31)) == meant


def folder_of(place: Path, *trees: dict[str, Any]) -> Path:
    for number, tree in enumerate(trees, start=1):
        (place / f"{number:02d}.json").write_bytes(msgspec.json.encode(tree))
    return place


def second(**payment: Any) -> dict[str, Any]:
    tree = changed(changed(PAID, "quote/id", "Q-2"), "quote/opportunity_id", "OPP-2")
    return dict(changed(tree, "payments", [{**PAYMENT, **payment}]))


def test_a_payment_may_name_an_invoice_of_an_earlier_deal(tmp_path: Path) -> None:
    """Texts are told with the real numbers of both deals."""
    _, later = read_folder(folder_of(tmp_path, PAID, second(text="{Q-1.invoice.1} and {invoice.1} of {order}")), TODAY)
    numbers = {("Q-1", 1): "INV-7", ("Q-2", 1): "INV-8"}
    assert told(later, later.payments[0].text, numbers) == "INV-7 and INV-8 of ORD-2"


@pytest.mark.parametrize("text", ["{Q-2.invoice.1}", "{invoice.2}", "{Q-9.invoice.1}", "{amount}", "{invoice.0}"])
def test_a_payment_may_not_name_what_nobody_knows_yet(tmp_path: Path, text: str) -> None:
    """An invoice of a later deal, one that is never posted, and other words in braces are mistakes."""
    first = changed(PAID, "payments", [{**PAYMENT, "text": text}])
    with pytest.raises(DealUnreadable, match=r"01\.json at /payments/0"):
        read_folder(folder_of(tmp_path, first, second()), TODAY)


@pytest.mark.parametrize("path", ["quote/id", "quote/opportunity_id"])
def test_two_deals_share_nothing(tmp_path: Path, path: str) -> None:
    """The same quote or opportunity in two files would be one deal to the gateway."""
    twin = changed(second(), path, {"quote/id": "Q-1", "quote/opportunity_id": "OPP-1"}[path])
    with pytest.raises(DealUnreadable, match=r"belongs to 01\.json already"):
        read_folder(folder_of(tmp_path, PAID, twin), TODAY)


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    """Nothing to drive is not the same as everything driven well."""
    with pytest.raises(DealUnreadable, match="there is no deal"):
        read_folder(tmp_path, TODAY)
