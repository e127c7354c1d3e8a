"""Which invoices a payment pays: with certainty, or as ranked proposals for a person. Pure; no system is asked here.

Certain is a match only when the payer has named the invoice (by its number, its order or its reference) and the amount fits, or when
exactly one open invoice of exactly this payer has exactly this amount. Everything else is a proposal.
"""

import re
from collections.abc import Sequence
from itertools import combinations

import msgspec

from canonical.invoice import Invoice
from canonical.money import Money
from canonical.payment import Allocation, Payment, Proposal

PROPOSALS_MAX = 5
COMBINED_MAX = 12
LEGAL_FORMS = {"inc", "llc", "ltd", "gmbh", "ag", "kg", "co", "corp", "corporation", "limited", "sa", "as", "bv", "nv", "srl", "spa", "plc"}


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """``certain`` has allocations that may be booked as they are; else ``reason`` says why a person has to look at the proposals."""

    certain: tuple[Allocation, ...] = ()
    unapplied: Money
    proposals: tuple[Proposal, ...] = ()
    reason: str = ""


def match(payment: Payment, invoices: Sequence[Invoice]) -> Match:
    """The best that can be said about a payment and the open invoices."""
    text = " ".join((*payment.references, payment.remittance))
    open_ones = [i for i in invoices if i.open_amount.number > 0 and i.status not in {"paid", "void", "draft"}]
    named = [i for i in open_ones if _names(text, i)]
    same = [i for i in open_ones if i.currency == payment.amount.currency]
    foreign = [i for i in named if i.currency != payment.amount.currency]
    if foreign:
        reason = f"{foreign[0].id} is in {foreign[0].currency}, the payment in {payment.amount.currency}"
        return _proposed(payment, same, [i for i in named if i not in foreign], reason)
    if named:
        return _by_name(payment, named, same)
    return _by_amount(payment, same)


def _by_name(payment: Payment, named: list[Invoice], same: list[Invoice]) -> Match:
    owed = Money.total((i.open_amount for i in named), payment.amount.currency)
    if payment.amount == owed:
        return _certain(payment, [(i, i.open_amount) for i in named])
    if len(named) == 1 and payment.amount < owed:
        return _certain(payment, [(named[0], payment.amount)])
    if payment.amount > owed:
        return _proposed(payment, same, named, f"{payment.amount - owed} more than the named invoices have open")
    return _proposed(payment, same, named, f"{owed - payment.amount} less than the {len(named)} named invoices have open")


def _by_amount(payment: Payment, same: list[Invoice]) -> Match:
    exact = [i for i in same if i.open_amount == payment.amount]
    of_payer = [i for i in exact if payment.payer and _same_name(payment.payer, i.customer_name)]
    if len(of_payer) == 1:
        return _certain(payment, [(of_payer[0], payment.amount)])
    reason = "the payment names no open invoice"
    if len(exact) > 1:
        reason += f", and {len(exact)} have this amount"
    return _proposed(payment, same, [], reason)


def _certain(payment: Payment, parts: list[tuple[Invoice, Money]]) -> Match:
    return Match(certain=tuple(_allocation(i, amount) for i, amount in parts), unapplied=Money.zero(payment.amount.currency))


def _allocation(invoice: Invoice, amount: Money) -> Allocation:
    return Allocation(invoice_id=invoice.id, invoice=invoice.external_id, amount=amount)


def _proposed(payment: Payment, same: list[Invoice], named: list[Invoice], reason: str) -> Match:
    ranked: list[Proposal] = []
    if named:
        ranked.append(_proposal(payment, named, 90, "named in the remittance"))
    ranked += [_proposal(payment, [i], _score(payment, i), *_why(payment, i)) for i in same if i.open_amount == payment.amount]
    of_payer = [i for i in same if payment.payer and _same_name(payment.payer, i.customer_name)]
    ranked += [_proposal(payment, list(c), 70, "open invoices of the payer that add up") for c in _adding_up(payment, of_payer)]
    if of_payer:
        ranked.append(_proposal(payment, sorted(of_payer, key=lambda i: (i.issued_on, i.id)), 40, "oldest invoices of the payer first"))
    unique = {tuple((a.invoice_id, a.amount.amount) for a in p.allocations): p for p in sorted(ranked, key=lambda p: p.score)}
    best = sorted(unique.values(), key=lambda p: -p.score)[:PROPOSALS_MAX]
    return Match(unapplied=payment.amount, proposals=tuple(best), reason=reason)


def _score(payment: Payment, invoice: Invoice) -> int:
    return 80 if payment.payer and _same_name(payment.payer, invoice.customer_name) else 50


def _why(payment: Payment, invoice: Invoice) -> tuple[str, ...]:
    same = payment.payer and _same_name(payment.payer, invoice.customer_name)
    return ("same amount", "same customer") if same else ("same amount",)


def _proposal(payment: Payment, invoices: Sequence[Invoice], score: int, *reasons: str) -> Proposal:
    """Fill the invoices in order until the money is used up."""
    rest, parts = payment.amount, []
    for invoice in invoices:
        part = min(rest, invoice.open_amount)
        if part:
            parts.append(_allocation(invoice, part))
            rest = rest - part
    return Proposal(score=score, reasons=reasons, allocations=tuple(parts), unapplied=rest)


def _adding_up(payment: Payment, invoices: list[Invoice]) -> list[tuple[Invoice, ...]]:
    """Two to four open invoices that together have exactly the amount."""
    few = invoices[:COMBINED_MAX]
    found = (c for size in (2, 3, 4) for c in combinations(few, size))
    return [c for c in found if Money.total((i.open_amount for i in c), payment.amount.currency) == payment.amount]


def _names(text: str, invoice: Invoice) -> bool:
    return any(_mentions(text, number) for number in (invoice.id, invoice.order_id, invoice.reference) if number)


def _mentions(text: str, number: str) -> bool:
    """Whether a number stands in a text by itself, whatever separators a bank has put between its parts or dropped.

    A number that is nothing but digits has to stand there as it is: "10.00" and "1 000.00" are amounts, not invoice 1000.
    """
    parts = re.findall(r"[A-Za-z]+|[0-9]+", number)
    if len("".join(parts)) < 4 or not any(part.isdigit() for part in parts):
        return False
    digits_alone, in_parts = rf"(?<!\d[.,]){parts[0]}(?![.,]\d)", r"[\s./_-]*".join(r"\s*".join(part) for part in parts)
    pattern = digits_alone if len(parts) == 1 else in_parts
    return re.search(rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])", text, re.IGNORECASE) is not None


def _same_name(one: str, other: str) -> bool:
    first, second = _words(one), _words(other)
    return bool(first) and first == second


def _words(name: str) -> tuple[str, ...]:
    """The words of a name that tell: without the legal form and punctuation."""
    return tuple(word for word in re.findall(r"\w+", name.casefold()) if word not in LEGAL_FORMS)
