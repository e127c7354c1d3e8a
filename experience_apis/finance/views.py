"""What finance sees of a payment that waits."""

import msgspec

from canonical.payment import Payment, Proposal
from runtime.store.contract import Case


class OpenAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that did not match with certainty, why, and the ranked proposals."""

    payment: Payment
    reason: str
    proposals: tuple[Proposal, ...]
    correlation_id: str
    due_at: str = ""

    @classmethod
    def of(cls, case: Case) -> "OpenAllocation":
        """The view of an open case."""
        about = msgspec.json.decode(case.document, type=_Document)
        return cls(
            payment=about.payment,
            reason=about.reason,
            proposals=about.proposals,
            correlation_id=case.correlation_id,
            due_at=case.due_at.isoformat() if case.due_at else "",
        )


class _Document(msgspec.Struct, frozen=True):
    """The part of the case's document that finance reads; there may be more in it."""

    payment: Payment
    reason: str
    proposals: tuple[Proposal, ...]
