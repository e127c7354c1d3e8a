"""The approval of a quote version: read this first."""

import datetime as dt
from collections.abc import Callable

from canonical.quote import QuoteDecided, SubmitQuote
from process_apis.quote_approval import steps as s
from process_apis.quote_approval.rules import RULES, Rules
from runtime.process.declare import CaseDraft, Process, Wait, days, decide, point_of_no_return, tell, wait

Case = Callable[[s.Memory], CaseDraft]
Late = Callable[[s.Memory], s.Memory]
When = Callable[[s.Memory], bool]


def quote_approval(rules: Rules = RULES) -> Process:
    """The table, under the approval rules of this installation; an instance keeps the rules that it began with."""
    return Process(
        name="quote_approval",
        version=1,
        starts_on=SubmitQuote,
        memory=s.Memory,
        begin=s.beginning(rules),
        key=s.quote_key,
        finish_within=days(60),
        steps=(
            tell("approval_requested", s.approval_requested, when=s.needs_approval),
            approval("approval", within=days(2), late=s.escalate, case=s.approval_case, when=s.needs_approval),
            tell("approval_escalated", s.approval_escalated, when=s.is_escalated),
            approval("escalated_approval", within=days(3), late=s.nobody_decided, case=s.escalated_case, when=s.is_escalated),
            decide("approved", s.is_approved, otherwise=s.why_not_approved),
            signature("signature", within=days(30), late=s.never_signed, case=s.signature_case, when=s.needs_signature),
            decide("signed", s.is_signed, otherwise=s.why_not_signed),
            point_of_no_return(),
            tell("quote_accepted", s.accepted),
            tell("book_order", s.book_order),
        ),
        entity=s.entity,
        if_undone=s.rejected,
        shows=s.shows,
        owner="sales-operations",
    )


def approval(name: str, *, within: dt.timedelta, late: Late, case: Case, when: When) -> Wait:
    """Wait for one of us to approve or reject."""
    return wait(
        name,
        QuoteDecided,
        key=s.approval_key,
        event_key=s.decision_key,
        learn=s.keep_approval,
        within=within,
        late=late,
        case=case,
        when=when,
    )


def signature(name: str, *, within: dt.timedelta, late: Late, case: Case, when: When) -> Wait:
    """Wait for the customer to sign or decline."""
    return wait(
        name,
        QuoteDecided,
        key=s.signature_key,
        event_key=s.decision_key,
        learn=s.keep_signature,
        within=within,
        late=late,
        case=case,
        when=when,
    )


QUOTE_APPROVAL = quote_approval()
