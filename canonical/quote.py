"""Quote: what was offered. A version, once accepted and signed, is immutable; its hash proves it."""

import datetime as dt
import hashlib
from typing import Annotated, Literal

import msgspec

from canonical.customer import Customer
from canonical.item import ChargeType
from canonical.messages import Accepted, Command, Event
from canonical.money import CurrencyCode, Money, Percent, Price, Quantity
from canonical.provenance import Id, Name, Text

QuoteStatus = Literal["draft", "sent", "in_approval", "accepted", "rejected", "expired", "converted", "void"]
Lines = Annotated[tuple["QuoteLine", ...], msgspec.Meta(min_length=1, max_length=500)]


class Term(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service period of a line: first and last day, both inclusive."""

    start: dt.date
    end: dt.date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("the term ends before it starts")


class QuoteLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line: list price, discount, net total. ``unit_cost`` feeds the margin rule and never leaves the house."""

    number: Annotated[int, msgspec.Meta(ge=1, le=100000)]
    item_code: Id
    description: Text = ""
    charge_type: ChargeType
    quantity: Quantity
    unit_price: Price
    discount: Percent = Percent("0")
    net_total: Money
    unit_cost: Price | None = None
    term: Term | None = None
    tax_code: Text = ""


class Quote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quote version. ``total`` is the sum of the lines' net totals, before tax."""

    id: Id
    version: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 1
    entity: Id
    customer: Customer
    opportunity_id: Text = ""
    currency: CurrencyCode
    price_book: Id = "standard"
    issued_on: dt.date
    expires_on: dt.date
    lines: Lines
    total: Money
    purchase_order: Text = ""
    owner: Text = ""

    @property
    def key(self) -> str:
        """The business key of the version: ``Q-1001.v2``."""
        return f"{self.id}.v{self.version}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical JSON of the version: what was signed."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signed which hash, and when."""

    signed_by: Name
    signed_at: dt.datetime
    fingerprint: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


Severity = Literal["error", "warning", "info"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that validation has to say. ``code`` is stable; ``pointer`` is a JSON pointer into the quote."""

    code: str
    severity: Severity
    message: str
    pointer: str = ""
    check: str = ""


class QuoteValidated(Event, frozen=True, kw_only=True):
    """The answer of a validation: valid means that no finding is an error.

    ``complete`` is false where a check could not be made in time (a finding says which); ``tax_estimate`` None: it could not be had.
    """

    quote_id: Id
    version: int
    valid: bool
    findings: tuple[Finding, ...]
    complete: bool = True
    tax_estimate: Money | None = None
    total: Money | None = None
    correlation_id: str = ""


class ValidateQuote(Command[QuoteValidated], frozen=True, kw_only=True):
    """Check a quote against the systems, synchronously, within the time budget. Writes nothing. ``as_of``: the day, today by default."""

    port = "process"
    quote: Quote
    as_of: dt.date | None = None


class SubmitQuote(Command[Accepted], frozen=True, kw_only=True):
    """Start the approval of a quote version. A signature that the customer has given already comes with it."""

    port = "process"
    quote: Quote
    submitted_by: Text = ""
    signature: Signature | None = None


class QuoteDecided(Event, frozen=True, kw_only=True):
    """Somebody has decided on a quote version: we approve or reject, the customer signs or declines."""

    quote_id: Id
    version: int
    decision: Literal["approve", "reject", "sign", "decline"]
    decided_by: Name
    reason: Text = ""
    signature: Signature | None = None


class DecideQuote(Command[Accepted], frozen=True, kw_only=True):
    """Decide on a quote version that waits for it; a signature must be for the very version (its fingerprint)."""

    port = "process"
    quote_id: Id
    version: int
    decision: Literal["approve", "reject", "sign", "decline"]
    reason: Text = ""
    signature: Signature | None = None


class QuoteApprovalRequested(Event, frozen=True, kw_only=True):
    """A person has to decide: shown with the reasons and the amount at stake."""

    quote_id: Id
    version: int
    reasons: tuple[str, ...]
    amount: Money
    level: Literal["first", "escalated"]


class QuoteAccepted(Event, frozen=True, kw_only=True):
    """The version is accepted and, from now on, immutable."""

    quote_id: Id
    version: int
    fingerprint: str
    order_id: Id


class QuoteRejected(Event, frozen=True, kw_only=True):
    """The version will not be booked."""

    quote_id: Id
    version: int
    reason: str


class QuoteFetched(Event, frozen=True, kw_only=True):
    """The quote as the CRM shows it now; ``quote`` is None where it knows none."""

    quote: Quote | None = None


class FetchQuote(Command[QuoteFetched], frozen=True, kw_only=True):
    """Read a quote from the CRM by its number or record id, with its customer, lines and totals; answers None, not a failure,
    where there is none. Writes nothing.
    """

    port = "crm"
    quote_id: Id
