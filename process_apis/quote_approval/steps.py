"""The memory of a quote approval and its pure functions, in the order of the table."""

from collections.abc import Callable
from typing import Literal

import msgspec

from canonical.failures import FailureRecord
from canonical.messages import Event
from canonical.order import BookOrder, Order
from canonical.quote import Quote, QuoteAccepted, QuoteApprovalRequested, QuoteDecided, QuoteRejected, Signature, SubmitQuote
from process_apis.quote_approval.rules import Rules, reasons
from runtime.process.declare import CaseDraft

replace = msgspec.structs.replace

Outcome = Literal["open", "approved", "rejected", "timed_out", "declined"]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the approval has learned so far. ``reasons``: why a person has to approve; none where a rule does."""

    quote: Quote
    submitted_by: str = ""
    reasons: tuple[str, ...]
    outcome: Outcome
    escalated: bool = False
    decided_by: str = ""
    why: str = ""
    signature: Signature | None = None


def beginning(rules: Rules) -> Callable[[SubmitQuote], Memory]:
    """The function that makes the first memory under these rules."""

    def begin(command: SubmitQuote) -> Memory:
        why = reasons(command.quote, rules)
        return Memory(
            quote=command.quote,
            submitted_by=command.submitted_by,
            reasons=why,
            outcome="open" if why else "approved",
            signature=command.signature,
        )

    return begin


def quote_key(command: SubmitQuote) -> str:
    return command.quote.key


def order_id_of(quote_id: str) -> str:
    """The order that a quote becomes, whichever version is accepted: so a quote can be booked once only."""
    return f"ORD-{quote_id.removeprefix('Q-')}"


def needs_approval(m: Memory) -> bool:
    return m.outcome == "open"


def is_escalated(m: Memory) -> bool:
    return m.escalated and m.outcome == "open"


def approval_requested(m: Memory) -> QuoteApprovalRequested:
    return QuoteApprovalRequested(quote_id=m.quote.id, version=m.quote.version, reasons=m.reasons, amount=m.quote.total, level="first")


def approval_escalated(m: Memory) -> QuoteApprovalRequested:
    return QuoteApprovalRequested(quote_id=m.quote.id, version=m.quote.version, reasons=m.reasons, amount=m.quote.total, level="escalated")


def approval_key(m: Memory) -> str:
    return f"{m.quote.key}:approval"


def signature_key(m: Memory) -> str:
    return f"{m.quote.key}:signature"


def decision_key(event: QuoteDecided) -> str:
    about = "approval" if event.decision in {"approve", "reject"} else "signature"
    return f"{event.quote_id}.v{event.version}:{about}"


def keep_approval(m: Memory, event: QuoteDecided) -> Memory:
    outcome: Outcome = "approved" if event.decision == "approve" else "rejected"
    return replace(m, outcome=outcome, decided_by=event.decided_by, why=event.reason, signature=event.signature or m.signature)


def escalate(m: Memory) -> Memory:
    return replace(m, escalated=True)


def nobody_decided(m: Memory) -> Memory:
    return replace(m, outcome="timed_out", why="nobody decided in time, not even after escalation")


def is_approved(m: Memory) -> bool:
    return m.outcome == "approved"


def why_not_approved(m: Memory) -> str:
    return f"rejected by {m.decided_by}: {m.why or 'no reason given'}" if m.outcome == "rejected" else m.why


def needs_signature(m: Memory) -> bool:
    return not (m.signature and m.signature.fingerprint == m.quote.fingerprint)


def keep_signature(m: Memory, event: QuoteDecided) -> Memory:
    if event.decision == "decline":
        return replace(m, outcome="declined", why=event.reason or "declined by the customer")
    return replace(m, signature=event.signature)


def never_signed(m: Memory) -> Memory:
    return replace(m, outcome="timed_out", why="the customer did not sign in time")


def is_signed(m: Memory) -> bool:
    return m.outcome == "approved" and not needs_signature(m)


def why_not_signed(m: Memory) -> str:
    return m.why or "the signature is for another version of the quote"


def accepted(m: Memory) -> QuoteAccepted:
    return QuoteAccepted(quote_id=m.quote.id, version=m.quote.version, fingerprint=m.quote.fingerprint, order_id=order_id_of(m.quote.id))


def book_order(m: Memory) -> BookOrder:
    if m.signature is None:
        raise ValueError("only a signed quote is booked")
    return BookOrder(order=Order.of_quote(m.quote, order_id_of(m.quote.id), m.signature.signed_at.date()))


def rejected(m: Memory, failure: FailureRecord) -> Event:
    return QuoteRejected(quote_id=m.quote.id, version=m.quote.version, reason=failure.detail)


def _case(m: Memory, kind: str, title: str) -> CaseDraft:
    return CaseDraft(
        kind=kind,
        title=f"{title}: {m.quote.key} for {m.quote.customer.legal_name}",
        amount=m.quote.total.amount,
        currency=m.quote.currency,
        document={"reasons": m.reasons, "fingerprint": m.quote.fingerprint, "quote": m.quote},
    )


def approval_case(m: Memory) -> CaseDraft:
    return _case(m, "approval", "Approve quote")


def escalated_case(m: Memory) -> CaseDraft:
    return _case(m, "approval", "Escalated: approve quote")


def signature_case(m: Memory) -> CaseDraft:
    return _case(m, "signature", "Signature awaited")


def entity(m: Memory) -> str:
    return m.quote.entity


def shows(m: Memory) -> CaseDraft:
    return _case(m, "quote", "Quote")
