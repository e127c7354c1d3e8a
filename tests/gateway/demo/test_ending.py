"""A deal has ended as its file says only if all of it has; each difference is a sentence."""

from typing import Any

import msgspec
import pytest

from canonical.money import Money
from canonical.quote import Finding, QuoteValidated
from gateway.demo.deals import Outcome
from gateway.demo.door import Entry, Refusal
from gateway.demo.driver import Seen
from gateway.demo.ending import differences, hurdles, outcome, owed, settled, unlike
from tests.gateway.demo.made_up import PAID, changed, deal, instance, seen

FULL, PART = Money("110.00", "USD"), Money("60.00", "USD")
UNPAID = changed(changed(PAID, "payments", []), "expect/outcome", "invoiced")
UNINVOICED = changed(changed(changed(PAID, "payments", []), "invoices", []), "expect", {"outcome": "booked"})


def rejected(word: str, **expect: Any) -> dict[str, Any]:
    tree = changed(changed(PAID, "payments", []), "invoices", [])
    expected = {"outcome": word, "tax": {"amount": "10.00", "currency": "USD"}, **expect}
    return dict(changed(tree, "expect", expected))


def decided(step: str, why: str) -> Any:
    return instance("quote_approval", "Q-1.v1", "undone", why=why, steps=(("wait", step, "QuoteDecided"),))


DECLINED = seen(deal(rejected("declined_by_customer", reason="budget")), decided("signature", "budget was cut"), stage="rejected")
TURNED_DOWN = seen(deal(rejected("rejected_by_approver", reason="too deep")), decided("approval", "too deep"), stage="rejected")
TAKEN_BACK = seen(
    deal(rejected("rejected_in_booking", reason="not sold", undone=["book_in_erp", "commit_tax"])),
    instance("quote_approval", "Q-1.v1"),
    instance(
        "order_booking",
        "ORD-1",
        "undone",
        why="not sold in EUR",
        steps=(("undo", "book_in_erp", "SalesOrderCancelled"), ("undo", "commit_tax", "TaxVoided")),
    ),
    stage="rejected",
)
NOT_VALID = QuoteValidated(
    quote_id="Q-1", version=1, valid=False, findings=(Finding(code="price_differs", severity="error", message="no"),)
)
REFUSAL = Refusal(type="urn:q2c:problem:quote-not-valid", status=422, errors=(Entry(code="price_differs"),))
INVALID = seen(
    deal(changed(rejected("rejected_by_validation", findings=["price_differs"]), "expect/tax", None)),
    validation=NOT_VALID,
    refused=REFUSAL,
    view=None,
)

UNTAXED = QuoteValidated(quote_id="Q-1", version=1, valid=True, findings=())
UNDONE, RUNNING = instance("cash_application", "pi_1", "undone"), instance("cash_application", "pi_1", "running")

WELL: dict[Outcome, tuple[Seen, dict[str, Money]]] = {
    "paid": (seen(), {}),
    "partially_paid": (seen(deal(changed(PAID, "expect/outcome", "partially_paid")), stage="partially_paid"), {"INV-1": PART}),
    "invoiced": (seen(deal(UNPAID), stage="invoiced"), {"INV-1": FULL}),
    "booked": (seen(deal(UNINVOICED), stage="booked"), {}),
    "rejected_by_validation": (INVALID, {}),
    "rejected_by_approver": (TURNED_DOWN, {}),
    "declined_by_customer": (DECLINED, {}),
    "rejected_in_booking": (TAKEN_BACK, {}),
}


@pytest.mark.parametrize("word", WELL)
def test_the_outcome_is_read_off_what_was_seen(word: Outcome) -> None:
    """Each outcome is told from the processes and from what the ERP has open, not from what the file hopes for; and then all is well."""
    found, open_amounts = WELL[word]
    assert outcome(found, open_amounts) == word
    assert differences(found, open_amounts) == ()


def test_what_may_still_come_is_waited_for() -> None:
    """An open amount and a read model may lag behind; findings, and a deal that was given up, do not change any more."""
    assert settled(seen(), {})
    assert not settled(seen(), {"INV-1": PART})
    assert not settled(seen(stage="booked"), {})
    assert settled(seen(stage="booked", stopped="nobody came"), {})
    assert settled(seen(validation=UNTAXED), {})


def test_a_payment_that_still_waits_makes_a_deal_parked() -> None:
    """Money that nobody could match leaves the deal parked, and no other outcome fits it."""
    payment = {**PAID["payments"][0], "pays": [], "ends": "parked"}
    tree = changed(changed(PAID, "payments", [payment]), "expect/outcome", "parked")
    waiting = seen(deal(tree), stage="invoiced", payments={"pi_1": None})
    assert outcome(waiting, {"INV-1": FULL}) == "parked"
    assert differences(waiting, {"INV-1": FULL}) == ()


@pytest.mark.parametrize(
    ("change", "open_amounts", "said"),
    [
        ({"stopped": "nobody came"}, {}, "nobody came"),
        ({}, {"INV-1": PART}, "it ended as partially_paid, not as paid"),
        ({"numbers": []}, {}, "0 invoices, not 1"),
        ({"payments": {}}, {}, "0 of 1 payments were made"),
        ({"payments": {"pi_1": UNDONE}}, {}, "payment pi_1 over 110.00 USD is not_applied, not applied"),
        ({"payments": {"pi_1": RUNNING}}, {}, "payment pi_1 over 110.00 USD is running, not applied"),
        ({"validation": msgspec.structs.replace(NOT_VALID, tax_estimate=Money("10.00", "USD"))}, {}, "findings: price_differs, not none"),
        ({"validation": UNTAXED}, {}, "the tax is estimated at None, not at 10.00 USD"),
    ],
)  # fmt: skip
def test_what_differs_is_said(change: dict[str, Any], open_amounts: dict[str, Money], said: str) -> None:
    """One thing that is not as the file says is enough."""
    assert said in differences(seen(**change), open_amounts)


def test_a_wrong_read_model_is_said() -> None:
    """The stage that the read models show has to fit, too."""
    assert differences(seen(stage="invoiced"), {}) == ("the read model says invoiced, not paid",)


def test_other_steps_taken_back_and_other_reasons_are_said() -> None:
    """An undone booking names its reason, and takes back just what the file names, last first."""
    file = rejected("rejected_in_booking", reason="credit", undone=["commit_tax"])
    found = differences(msgspec.structs.replace(TAKEN_BACK, deal=deal(file)), {})
    assert found == ("the reason is 'not sold in EUR', not 'credit'", "taken back: book_in_erp, commit_tax, not commit_tax")


def test_another_refusal_is_said() -> None:
    """A submission has to be refused for the very findings, as not valid."""
    other = msgspec.structs.replace(INVALID, refused=Refusal(type="urn:q2c:problem:conflict", status=409))
    assert differences(other, {}) == (
        "errors of the problem document: none, not price_differs",
        "the submission is refused with 409 conflict",
    )


def test_an_approval_has_to_be_asked_for_the_right_reason() -> None:
    """The reasons in the case are those that the file expects."""
    file = deal(changed(PAID, "expect/asked_because", ["discount of 22 %"]))
    assert differences(seen(file, asked_because="total is above 50000 USD"), {}) == (
        "an approval was not asked for because 'discount of 22 %'",
    )
    assert differences(seen(file, asked_because="discount of 22 % on line 1"), {}) == ()


def test_what_is_owed_follows_from_the_files() -> None:
    """An invoice is owed less what payments give it; one that is paid is not listed, and what the ERP lists otherwise is said."""
    partial = {**PAID["payments"][0], "pays": [{"invoice": "{invoice.1}", "amount": {"amount": "50.00", "currency": "USD"}}]}
    numbers = {("Q-1", 1): "INV-1"}
    assert owed([seen()], numbers) == {}
    rest = owed([seen(deal(changed(PAID, "payments", [partial])))], numbers)
    assert rest == {"INV-1": PART}
    assert unlike(rest, {"INV-1": PART}) == ()
    assert unlike(rest, {"INV-2": FULL}) == (
        "invoice INV-1 has nothing open, not 60.00 USD",
        "invoice INV-2 has 110.00 USD open, not nothing",
    )


def test_a_trouble_that_nobody_met_proves_nothing() -> None:
    """A planned fault has to show in the journal of some deal, as the failure that the file names."""
    trouble = {"at": "avalara", "before": "booking", "fault": {"kind": "throttle"}, "shows": "commit_tax throttled"}
    file = deal(changed(PAID, "troubles", [trouble]))
    assert hurdles([seen(file)]) == ("01-acme: nobody met 'commit_tax throttled'",)
    hit = instance("order_booking", "ORD-2", steps=(("failed", "commit_tax", "throttled: too many requests"),))
    assert hurdles([seen(file), seen(None, hit)]) == ()
