"""Whether a deal has ended as its file says: what was seen, held against what was expected, each difference a sentence."""

from collections.abc import Iterable, Mapping, Sequence

from canonical.money import Money
from canonical.quote import Finding
from gateway.demo.deals import REJECTED, Deal, Outcome, Posting, told
from gateway.demo.door import Entry
from gateway.demo.driver import Seen
from gateway.demo.watching import detail

Numbers = Mapping[tuple[str, int], str]

# the words in which the read models say the same
STAGES: dict[Outcome, set[str]] = {
    "booked": {"booked"},
    "invoiced": {"invoiced"},
    "partially_paid": {"partially_paid"},
    "paid": {"paid"},
    "parked": {"invoiced", "booked"},
    "rejected_by_approver": {"rejected"},
    "declined_by_customer": {"rejected"},
    "rejected_in_booking": {"rejected"},
}


def stages(deal: Deal) -> set[str]:
    """What the read model must say. What the billing system has invoiced by itself stays open in the demo: nobody pays it."""
    billed = any(posting.by != "erp" for posting in deal.invoices)
    return {"partially_paid"} if billed and deal.expect.outcome == "paid" else STAGES.get(deal.expect.outcome, set())


def outcome(seen: Seen, open_amounts: Mapping[str, Money]) -> Outcome | None:
    """How the deal has ended, by what was seen of it and by what its invoices have open in the ERP; None where it has not ended."""
    deal = seen.deal
    if seen.refused is not None:
        return "rejected_by_validation"
    approval = seen.instance("quote_approval", deal.quote.key) if deal.quote else None
    if approval is not None and approval.status == "undone":
        decided = [step.step for step in approval.steps if step.kind == "wait" and step.answered]
        return "declined_by_customer" if decided and decided[-1] == "signature" else "rejected_by_approver"
    booking = seen.instance("order_booking", deal.order_id)
    if booking is None or booking.status != "done":
        return "rejected_in_booking" if booking is not None and booking.status == "undone" else None
    return _money(seen, open_amounts)


def _money(seen: Seen, open_amounts: Mapping[str, Money]) -> Outcome:
    if any(ended is None for ended in seen.payments.values()):
        return "parked"
    posted = {number: posting.total for number, posting in _of_erp(seen)}
    if not posted:
        return "booked"
    still_open = {number: open_amounts[number] for number in posted if number in open_amounts}
    if not still_open:
        return "paid"
    return "invoiced" if still_open == posted else "partially_paid"


def _of_erp(seen: Seen) -> list[tuple[str, Posting]]:
    return [(number, posting) for number, posting in zip(seen.numbers, seen.deal.invoices, strict=False) if posting.by == "erp"]


def owed(deals: Sequence[Seen], numbers: Numbers) -> dict[str, Money]:
    """What each invoice must have open in the ERP when all deals have been driven, by the files alone; nothing: it is not listed."""
    rest = {number: posting.total for seen in deals for number, posting in _of_erp(seen)}
    for seen in deals:
        for payment in seen.deal.payments:
            for share in payment.pays:
                number = told(seen.deal, share.invoice, dict(numbers))
                rest[number] = rest[number] - share.amount
    return {number: amount for number, amount in rest.items() if amount}


def settled(seen: Seen, open_amounts: Mapping[str, Money]) -> bool:
    """Whether nothing more is to be waited for: the deal has ended as it must and the read model says so, or it was given up."""
    expect = seen.deal.expect
    shown = seen.view is None or seen.view.stage in stages(seen.deal)
    return bool(seen.stopped) or (shown and outcome(seen, open_amounts) == expect.outcome)


def differences(seen: Seen, open_amounts: Mapping[str, Money]) -> tuple[str, ...]:
    """What is not as the file says; nothing: the deal has ended as it must."""
    if seen.stopped:
        return (seen.stopped,)
    expect, ended = seen.deal.expect, outcome(seen, open_amounts)
    found = [] if ended == expect.outcome else [f"it ended as {ended or 'nothing yet'}, not as {expect.outcome}"]
    return (*found, *_of_validation(seen), *_of_reasons(seen), *_of_journal(seen), *_of_money(seen))


def _of_validation(seen: Seen) -> Iterable[str]:
    expect, said = seen.deal.expect, seen.validation
    if said is None:
        return
    yield from _compared("findings", expect.findings, _errors(said.findings))
    yield from _compared("warnings", expect.warnings, [f.code for f in said.findings if f.severity == "warning"])
    if expect.tax is not None and said.tax_estimate != expect.tax:
        yield f"the tax is estimated at {said.tax_estimate}, not at {expect.tax}"
    if seen.refused is not None:
        yield from _compared("errors of the problem document", expect.findings, _errors(seen.refused.errors))
        if (seen.refused.status, seen.refused.code) != (422, "quote-not-valid"):
            yield f"the submission is refused with {seen.refused.status} {seen.refused.code}"


def _errors(findings: Sequence[Finding | Entry]) -> list[str]:
    return [f.code for f in findings if not isinstance(f, Finding) or f.severity == "error"]


def _compared(what: str, expected: Sequence[str], found: Sequence[str]) -> Iterable[str]:
    if sorted(set(expected)) != sorted(set(found)):
        yield f"{what}: {', '.join(sorted(found)) or 'none'}, not {', '.join(sorted(expected)) or 'none'}"


def _of_reasons(seen: Seen) -> Iterable[str]:
    deal = seen.deal
    yield from (f"an approval was not asked for because {why!r}" for why in deal.expect.asked_because if why not in seen.asked_because)
    rejected = [seen.instance("quote_approval", deal.quote.key)] if deal.quote else []
    rejected.append(seen.instance("order_booking", deal.order_id))
    said = next((detail(i.reason) for i in rejected if i is not None and i.status == "undone"), "")
    if deal.expect.reason not in said:
        yield f"the reason is {said!r}, not {deal.expect.reason!r}"


def _of_journal(seen: Seen) -> Iterable[str]:
    booking = seen.instance("order_booking", seen.deal.order_id)
    undone = tuple(step.step for step in booking.steps if step.kind == "undo") if booking else ()
    if undone != seen.deal.expect.undone:
        yield f"taken back: {', '.join(undone) or 'nothing'}, not {', '.join(seen.deal.expect.undone) or 'nothing'}"
    wanted = stages(seen.deal)
    if seen.view is not None and seen.view.stage not in wanted:
        yield f"the read model says {seen.view.stage}, not {' or '.join(sorted(wanted))}"


def _of_money(seen: Seen) -> Iterable[str]:
    deal = seen.deal
    if len(seen.numbers) != deal.expect.invoices:
        yield f"{len(seen.numbers)} invoices, not {deal.expect.invoices}"
    for payment, (payment_id, ended) in zip(deal.payments, seen.payments.items(), strict=False):
        status = {"done": "applied", "undone": "not_applied"}.get(ended.status, ended.status) if ended else "parked"
        if status != payment.ends:
            yield f"payment {payment_id} over {payment.amount} is {status}, not {payment.ends}"
    if len(seen.payments) != len(deal.payments) and deal.expect.outcome not in REJECTED:
        yield f"{len(seen.payments)} of {len(deal.payments)} payments were made"


def hurdles(deals: Sequence[Seen]) -> tuple[str, ...]:
    """The troubles that nobody met: a fault that did not bite proves nothing."""
    met = [
        f"{step.step} {step.detail}"
        for seen in deals
        for instance in (*(seen.view.processes if seen.view else ()), *(p for p in seen.payments.values() if p))
        for step in instance.steps
        if step.kind == "failed"
    ]
    return tuple(
        f"{seen.deal.name}: nobody met {trouble.shows!r}"
        for seen in deals
        for trouble in seen.deal.troubles
        if trouble.shows and not any(line.startswith(trouble.shows) for line in met)
    )


def unlike(expected: Mapping[str, Money], found: Mapping[str, Money]) -> tuple[str, ...]:
    """Invoices whose open amount in the ERP is not what the files say."""
    return tuple(
        f"invoice {number} has {found.get(number, 'nothing')} open, not {expected.get(number, 'nothing')}"
        for number in sorted({*expected, *found})
        if expected.get(number) != found.get(number)
    )
