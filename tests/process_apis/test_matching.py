"""Which invoices a payment pays: with certainty only where the payer has said so or nobody else can be meant."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from canonical.invoice import Invoice
from canonical.money import Money
from canonical.payment import Allocation, Payment
from process_apis.cash_application.matching import PROPOSALS_MAX, Match, match
from tests.process_apis.bills import DAY, PAYER, invoice, payment, short

OTHER = "Hooli Holdings LLC"

CERTAIN = [
    ("exact, by number", payment("100.00", "INV-1001"), [invoice("INV-1001", "100.00")], {"INV-1001": "100.00"}),
    ("in part", payment("40.00", "INV-1001"), [invoice("INV-1001", "100.00")], {"INV-1001": "40.00"}),
    ("the smallest part", payment("0.01", "INV-1001"), [invoice("INV-1001", "100.00")], {"INV-1001": "0.01"}),
    (
        "several named, together exact",
        payment("150.00", "INV-1001 and INV-1002"),
        [invoice("INV-1001", "100.00"), invoice("INV-1002", "50.00"), invoice("INV-1003", "150.00")],
        {"INV-1001": "100.00", "INV-1002": "50.00"},
    ),
    ("by order number", payment("100.00", "ORD-77"), [invoice("X1", "100.00", order_id="ORD-77", customer=OTHER)], {"X1": "100.00"}),
    ("by its reference", payment("100.00", "ref PO 557"), [invoice("X1", "100.00", reference="PO-557", customer=OTHER)], {"X1": "100.00"}),
    ("in the references field", payment("100.00", references=("INV-1001",)), [invoice("INV-1001", "100.00")], {"INV-1001": "100.00"}),
    ("by amount and payer", payment("100.00"), [invoice("A", "100.00"), invoice("B", "99.00")], {"A": "100.00"}),
    ("payer without its legal form", payment("100.00", payer="ACME robotics"), [invoice("A", "100.00")], {"A": "100.00"}),
    (
        "a name wins over an amount",
        payment("50.00", "INV-1002"),
        [invoice("A", "50.00"), invoice("INV-1002", "80.00")],
        {"INV-1002": "50.00"},
    ),
    ("no decimals", payment("500", "INV-1001", currency="JPY"), [invoice("INV-1001", "500", currency="JPY")], {"INV-1001": "500"}),
]


@pytest.mark.parametrize(("text", "paid", "invoices", "expected"), CERTAIN, ids=[row[0] for row in CERTAIN])
def test_certain(text: str, paid: Payment, invoices: list[Invoice], expected: dict[str, str]) -> None:
    """A payment that names its invoices, or fits one of its payer alone, is applied without a person."""
    found = match(paid, invoices)
    assert short(found.certain) == expected
    assert (found.unapplied, found.proposals, found.reason) == (Money.zero(paid.amount.currency), (), "")


UNCERTAIN = [
    ("nothing open", payment("100.00", "INV-1001"), [], "the payment names no open invoice", None),
    ("names nothing, fits nothing", payment("70.00"), [invoice("A", "100.00")], "the payment names no open invoice", {"A": "70.00"}),
    (
        "two of the same amount",
        payment("100.00"),
        [invoice("A", "100.00"), invoice("B", "100.00")],
        "the payment names no open invoice, and 2 have this amount",
        {"A": "100.00"},
    ),
    (
        "same amount, other payer",
        payment("100.00"),
        [invoice("A", "100.00", customer=OTHER)],
        "the payment names no open invoice",
        {"A": "100.00"},
    ),
    (
        "over-payment",
        payment("120.00", "INV-1001"),
        [invoice("INV-1001", "100.00")],
        "20.00 EUR more than the named invoices have open",
        {"INV-1001": "100.00"},
    ),
    (
        "under-payment of several",
        payment("120.00", "INV-1001, INV-1002"),
        [invoice("INV-1001", "100.00"), invoice("INV-1002", "50.00")],
        "30.00 EUR less than the 2 named invoices have open",
        {"INV-1001": "100.00", "INV-1002": "20.00"},
    ),
    (
        "wrong currency",
        payment("100.00", "INV-1001"),
        [invoice("INV-1001", "100.00", currency="USD")],
        "INV-1001 is in USD, the payment in EUR",
        None,
    ),
    (
        "wrong currency, and one that fits",
        payment("100.00", "INV-1001"),
        [invoice("INV-1001", "100.00", currency="USD"), invoice("A", "100.00")],
        "INV-1001 is in USD, the payment in EUR",
        {"A": "100.00"},
    ),
    (
        "an unnamed payer",
        payment("100.00", payer=""),
        [invoice("A", "100.00", customer="")],
        "the payment names no open invoice",
        {"A": "100.00"},
    ),
    (
        "adding up",
        payment("150.00"),
        [invoice("A", "30.00"), invoice("B", "100.00"), invoice("C", "50.00")],
        "the payment names no open invoice",
        {"B": "100.00", "C": "50.00"},
    ),
]


@pytest.mark.parametrize(("text", "paid", "invoices", "reason", "best"), UNCERTAIN, ids=[row[0] for row in UNCERTAIN])
def test_uncertain(text: str, paid: Payment, invoices: list[Invoice], reason: str, best: dict[str, str] | None) -> None:
    """Everything else goes to a person, with the reason and the likeliest proposal first."""
    found = match(paid, invoices)
    assert (found.certain, found.unapplied, found.reason) == ((), paid.amount, reason)
    assert (short(found.proposals[0].allocations) if found.proposals else None) == best


@pytest.mark.parametrize("status", ["draft", "paid", "void"])
def test_only_what_is_open_is_paid(status: str) -> None:
    """A draft, a paid and a void invoice are not paid, whoever names them."""
    assert match(payment("100.00", "INV-1001"), [invoice("INV-1001", "100.00", status=status)]).certain == ()


def test_an_invoice_with_nothing_open_is_left_alone() -> None:
    """An invoice without an open amount is not proposed either."""
    found = match(payment("100.00", "INV-1001"), [invoice("INV-1001", "0.00")])
    assert (found.certain, found.proposals) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "INV-2026-0042",
        "inv 2026/0042",
        "RE: INV20260042, thank you",
        "Rechnung I NV-2026-0042",
        "INV-2026-\n0042",
        "(INV.2026_0042)",
        "+INV-2026-0042+",
        "für INV-2026-0042.",
    ],
)
def test_a_number_is_found_however_a_bank_writes_it(text: str) -> None:
    """Case, separators, line breaks and punctuation around it do not hide a number."""
    assert short(match(payment("1.00", text), [invoice("INV-2026-0042", "9.00")]).certain) == {"INV-2026-0042": "1.00"}


@pytest.mark.parametrize("text", ["INV-2026-00421", "XINV-2026-0042", "INV-2026-0", "INV-2025-0042", "2026-0042"])
def test_a_longer_or_other_number_is_not_mistaken_for_it(text: str) -> None:
    """A number that only contains it, or a part of it, is another number."""
    assert match(payment("1.00", text), [invoice("INV-2026-0042", "9.00")]).certain == ()


@pytest.mark.parametrize("text", ["1000", "invoice 1000", "No.1000, thanks", "1000/2026", "paid: 1000."])
def test_a_number_of_digits_is_found_as_it_is(text: str) -> None:
    """An invoice number that is nothing but digits is found where it stands by itself."""
    assert short(match(payment("1.00", text), [invoice("1000", "9.00")]).certain) == {"1000": "1.00"}


@pytest.mark.parametrize("text", ["10.00 EUR", "10,00", "1 000", "1.000,00", "1000.00", "1000,50 EUR", "7.1000", "21000", "10-00"])
def test_an_amount_is_not_an_invoice_number(text: str) -> None:
    """An amount in the text is not mistaken for an invoice whose number has the same digits."""
    assert match(payment("1.00", text), [invoice("1000", "9.00")]).certain == ()


@pytest.mark.parametrize("number", ["A-1", "123", "ABCD"])
def test_a_number_that_could_be_anything_names_nothing(number: str) -> None:
    """A number of fewer than four characters, or without a digit, is no proof."""
    assert match(payment("1.00", f"for {number}"), [invoice(number, "9.00")]).certain == ()


def test_proposals_are_ranked_and_explained() -> None:
    """Named ones first, then the same amount of the same customer, then what adds up, another customer's amount, and the oldest."""
    invoices = [
        invoice("INV-1001", "30.00"),
        invoice("SAME", "100.00"),
        invoice("OTHER", "100.00", customer=OTHER),
        invoice("SUM-1", "60.00"),
        invoice("SUM-2", "40.00", issued_on=DAY.replace(year=2025)),
    ]
    found = match(payment("100.00", "INV-1001"), invoices)
    assert [(p.score, p.reasons, short(p.allocations), p.unapplied.amount) for p in found.proposals] == [
        (90, ("named in the remittance",), {"INV-1001": "30.00"}, "70.00"),
        (80, ("same amount", "same customer"), {"SAME": "100.00"}, "0.00"),
        (70, ("open invoices of the payer that add up",), {"SUM-1": "60.00", "SUM-2": "40.00"}, "0.00"),
        (50, ("same amount",), {"OTHER": "100.00"}, "0.00"),
        (40, ("oldest invoices of the payer first",), {"SUM-2": "40.00", "INV-1001": "30.00", "SAME": "30.00"}, "0.00"),
    ]


def test_many_open_invoices_are_matched_in_time() -> None:
    """Of five hundred open invoices of one payer the proposals are few."""
    invoices = [invoice(f"INV-{number}", "10.00") for number in range(1000, 1500)]
    found = match(payment("40.00"), invoices)
    assert len(found.proposals) == PROPOSALS_MAX


amounts = st.integers(1, 20_000).map(lambda cents: str(Money.of_minor(cents, "EUR").amount))
names = st.sampled_from([PAYER, OTHER, ""])


@st.composite
def situations(draw: st.DrawFn) -> tuple[Payment, list[Invoice]]:
    """A payment with some invoice numbers in its text, and open invoices, some of them in another currency."""
    count = draw(st.integers(0, 6))
    invoices = [
        invoice(
            f"INV-{1000 + number}",
            draw(amounts),
            currency=draw(st.sampled_from(["EUR", "EUR", "EUR", "USD"])),
            customer=draw(names),
            status=draw(st.sampled_from(["posted", "posted", "partially_paid", "paid", "void"])),
        )
        for number in range(count)
    ]
    named = draw(st.lists(st.sampled_from(invoices), unique_by=id)) if invoices else []
    total = sum((i.open_amount.minor for i in named if i.currency == "EUR"), 0)
    amount = draw(st.one_of(amounts, st.just(str(Money.of_minor(max(total, 1), "EUR").amount))))
    return payment(amount, " ".join(i.id for i in named), payer=draw(names)), invoices


def sound(paid: Payment, invoices: list[Invoice], allocations: tuple[Allocation, ...]) -> Money:
    """No part is more than its invoice has open, none is paid twice, all are in the payment's currency; gives their sum."""
    open_amounts = {i.id: i.open_amount for i in invoices if i.status not in {"paid", "void", "draft"}}
    assert len({a.invoice_id for a in allocations}) == len(allocations)
    for part in allocations:
        assert part.amount.number > 0
        assert part.amount <= open_amounts[part.invoice_id]
    return Money.total((a.amount for a in allocations), paid.amount.currency)


@settings(max_examples=300, deadline=None)
@given(situations())
def test_no_allocation_is_more_than_there_is(situation: tuple[Payment, list[Invoice]]) -> None:
    """Whatever the situation: a certain match spends the payment exactly, a proposal never more, and never more than is open."""
    paid, invoices = situation
    found: Match = match(paid, invoices)
    if found.certain:
        assert sound(paid, invoices, found.certain) == paid.amount
        assert not found.unapplied
        assert found.proposals == ()
    else:
        assert found.unapplied == paid.amount
        assert found.reason
    for proposal in found.proposals:
        assert sound(paid, invoices, proposal.allocations) + proposal.unapplied == paid.amount
        assert proposal.allocations
        assert 0 <= proposal.score <= 100
    assert [p.score for p in found.proposals] == sorted((p.score for p in found.proposals), reverse=True)
    assert len(found.proposals) <= PROPOSALS_MAX


@settings(max_examples=100, deadline=None)
@given(situations(), st.randoms(use_true_random=False))
def test_certainty_does_not_depend_on_the_order_of_the_invoices(situation: tuple[Payment, list[Invoice]], random: object) -> None:
    """Shuffling the open invoices changes nothing about what is certain."""
    paid, invoices = situation
    shuffled = list(invoices)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert short(match(paid, shuffled).certain) == short(match(paid, invoices).certain)
