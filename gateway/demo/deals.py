"""The sample deals: what is quoted, what people do, how it is paid, and how it must end. Read strictly, each mistake with its place.

A deal is a JSON file. Its days are relative, so that it never grows old: ``today``, ``today+30``, ``today-5``, ``month+1`` (the first
day of the next month) and ``monthend+12`` (the last day of the twelfth month from now). Texts of payments may name what comes into being
only while the deal runs: ``{order}``, ``{invoice.1}``, and ``{Q-2024.invoice.1}`` for the invoice of another deal.
"""

import calendar
import datetime as dt
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from canonical.money import AmountText, Money
from canonical.order import Order
from canonical.provenance import Name, Text
from canonical.quote import Quote
from policies.problems import pointer_of
from process_apis.quote_approval.steps import order_id_of
from system_apis.simulation import Fault

FOLDER = Path("deploy/samples")
DAYS = {"issued_on", "expires_on", "start", "end", "ordered_on"}
_DAY = re.compile(r"(today|month|monthend)([+-][0-9]{1,4})?")
_NAMED = re.compile(r"\{(?:(order)|(?:([A-Za-z0-9._-]+)\.)?invoice\.([1-9]))\}")

System = Literal["salesforce", "netsuite", "tryton", "stripe", "avalara", "kantata"]
Outcome = Literal[
    "booked",  # in all systems, nothing invoiced yet
    "invoiced",  # the customer owes it
    "partially_paid",
    "paid",
    "parked",  # booked, and some of its money waits for a person
    "rejected_by_validation",
    "rejected_by_approver",
    "declined_by_customer",
    "rejected_in_booking",
]
REJECTED: frozenset[Outcome] = frozenset({"rejected_by_validation", "rejected_by_approver", "declined_by_customer", "rejected_in_booking"})


class DealUnreadable(Exception):
    """A file is not a deal: which file, where in it, and what is wrong."""

    def __init__(self, file: str, pointer: str, wrong: str) -> None:
        super().__init__(f"{file}{f' at {pointer}' if pointer else ''}: {wrong}")
        self.file = file
        self.pointer = pointer
        self.wrong = wrong


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a deal; a key that nobody knows is a mistake."""


class Person(Part, frozen=True, kw_only=True):
    """Somebody who decides on the quote, in this order. ``presign``: the customer's signature comes with the quote."""

    name: Name
    does: Literal["approve", "reject", "sign", "decline", "presign"]
    reason: Text = ""


class Trouble(Part, frozen=True, kw_only=True):
    """A fault that is planned at a vendor before a stage of the deal.

    ``shows``: the step and the word of the failure that must then stand in the journal of a deal ("commit_tax throttled"). Which deal is
    hit is not said where the vendor's address does not name the order.
    """

    at: System
    before: Literal["quote", "booking", "payment"]
    fault: Fault
    shows: Text = ""


class Posting(Part, frozen=True, kw_only=True):
    """An invoice that a clerk posts in the ERP, or that billing issues for a part of the subscription; ``total`` is with tax."""

    by: Literal["erp", "billing"] = "erp"
    percent: AmountText = "100"
    part: Literal["recurring", "usage"] = "usage"
    usage: AmountText = "0"
    total: Money


class Share(Part, frozen=True, kw_only=True):
    """What an invoice gets of a payment; ``invoice`` as in texts: ``{invoice.1}``."""

    invoice: str
    amount: Money


class Clerk(Part, frozen=True, kw_only=True):
    """Whoever allocates a payment that did not match with certainty."""

    name: Name
    note: Text = ""


class Incoming(Part, frozen=True, kw_only=True):
    """Money that arrives, and what the invoices get of it (``pays``; nothing: it is left on the customer's account, or waits for good).

    Without a ``clerk`` it is matched by rule, or stays parked; with one it needs a person, who allocates it as ``pays`` says.
    """

    by: Literal["card", "mt940", "camt053"]
    amount: Money
    payer: Name
    reference: Text = ""
    text: Text = ""
    clerk: Clerk | None = None
    pays: tuple[Share, ...] = ()
    ends: Literal["applied", "not_applied", "parked"] = "applied"


class Expect(Part, frozen=True, kw_only=True):
    """How the deal must end.

    ``findings`` are the codes of what validation says is wrong, ``warnings`` of what it warns of; ``asked_because`` are parts of the
    reasons for which a person has to approve; ``reason`` is a part of why it was rejected; ``undone`` are the steps that were taken back.
    """

    outcome: Outcome
    findings: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    asked_because: tuple[str, ...] = ()
    reason: str = ""
    undone: tuple[str, ...] = ()
    tax: Money | None = None
    invoices: int = 0


class Deal(Part, frozen=True, kw_only=True):
    """A commercial transaction from quote to cash. It has a quote, or an order that was accepted elsewhere.

    ``through``: where the quote is submitted. ``submitted``: how often, at the same time, by somebody who clicks twice.
    """

    name: str
    title: Name
    quote: Quote | None = None
    order: Order | None = None
    through: Literal["process", "portal"] = "process"
    submitted: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    people: tuple[Person, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    invoices: tuple[Posting, ...] = ()
    payments: tuple[Incoming, ...] = ()
    expect: Expect

    @property
    def subject(self) -> Quote | Order:
        """What is sold, in either form."""
        found = self.quote or self.order
        if found is None:
            raise ValueError(f"{self.name} sells nothing")
        return found

    @property
    def id(self) -> str:
        """How other deals name this one: its quote's id, or its order's."""
        return self.subject.id

    @property
    def order_id(self) -> str:
        return self.order.id if self.order else order_id_of(self.subject.id)

    @property
    def entity(self) -> str:
        return self.subject.entity

    @property
    def books(self) -> bool:
        """Whether the order is to be booked."""
        return self.expect.outcome not in REJECTED

    def charges(self, charge_type: str) -> bool:
        """Whether any line is charged this way."""
        return any(line.charge_type == charge_type for line in self.subject.lines)


# reading --------------------------------------------------------------------------------------------------------------


def read_folder(folder: Path, today: dt.date) -> tuple[Deal, ...]:
    """Every deal of a folder, by file name. Raises `DealUnreadable`."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DealUnreadable(str(folder), "", "there is no deal (*.json) in this folder")
    deals = tuple(read(path.name, path.read_bytes(), today) for path in files)
    _distinct(deals)
    known: dict[str, int] = {}
    for deal in deals:
        known[deal.id] = len(deal.invoices)
        _names_known(deal, known)
    return deals


def read(file: str, content: bytes, today: dt.date) -> Deal:
    """One deal. Raises `DealUnreadable` with the place of the mistake."""
    try:
        tree = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DealUnreadable(file, "", f"not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise DealUnreadable(file, "", "a deal is a JSON object")
    if "name" in tree:
        raise DealUnreadable(file, "/name", "a deal is named by its file")
    try:
        deal = msgspec.convert({**_dated(tree, today), "name": file.removesuffix(".json")}, Deal)
    except msgspec.ValidationError as error:
        raise DealUnreadable(file, pointer_of(str(error)), str(error).split(" - at `", maxsplit=1)[0]) from error
    for pointer, wrong in _contradictions(deal):
        raise DealUnreadable(file, pointer, wrong)
    return deal


def day(text: str, today: dt.date) -> str:
    """A relative day as a date; anything else stays as it is, for whoever reads dates to judge."""
    found = _DAY.fullmatch(text)
    if found is None:
        return text
    kind, shift = found[1], int(found[2] or 0)
    if kind == "today":
        return str(today + dt.timedelta(days=shift))
    years, month = divmod(today.month - 1 + shift, 12)
    first = dt.date(today.year + years, month + 1, 1)
    return str(first if kind == "month" else first.replace(day=calendar.monthrange(first.year, first.month)[1]))


def _dated(value: Any, today: dt.date) -> Any:
    if isinstance(value, list):
        return [_dated(inner, today) for inner in value]
    if isinstance(value, dict):
        return {k: day(v, today) if k in DAYS and isinstance(v, str) else _dated(v, today) for k, v in value.items()}
    return value


def _contradictions(deal: Deal) -> Iterable[tuple[str, str]]:
    """What the types cannot say."""
    if (deal.quote is None) == (deal.order is None):
        yield "", "a deal has either a quote or an order"
        return
    if deal.order and (deal.people or deal.through == "portal"):
        yield "/people", "an order that was accepted elsewhere is not decided on here"
    if not deal.books and (deal.invoices or deal.payments):
        yield "/invoices", f"a deal that ends as {deal.expect.outcome} is neither invoiced nor paid"
    if len(deal.invoices) != deal.expect.invoices:
        yield "/expect/invoices", f"{len(deal.invoices)} invoices are posted, {deal.expect.invoices} are expected"
    for index, payment in enumerate(deal.payments):
        pointer = f"/payments/{index}"
        paid = {share.amount.currency for share in payment.pays}
        if (payment.ends == "applied") != bool(payment.pays):
            yield f"{pointer}/pays", f"a payment that ends as {payment.ends} {'pays nothing' if payment.pays else 'pays something'}"
        elif paid and (paid != {payment.amount.currency} or _sum(payment.pays) > payment.amount):
            yield f"{pointer}/pays", "the parts are more than the payment, or in another currency"
        if (payment.ends == "not_applied" and not payment.clerk) or (payment.ends == "parked" and payment.clerk):
            yield f"{pointer}/clerk", f"a payment ends as {payment.ends} {'only' if not payment.clerk else 'never'} by a person's decision"


def _sum(shares: tuple[Share, ...]) -> Money:
    return Money.total((share.amount for share in shares), shares[0].amount.currency)


def _distinct(deals: Iterable[Deal]) -> None:
    """No two deals share a quote, an order or an opportunity: they would be one deal to the gateway."""
    seen: dict[str, str] = {}
    for deal in deals:
        for what in (deal.id, deal.order_id, deal.subject.opportunity_id):
            other = seen.setdefault(what, deal.name) if what else deal.name
            if other != deal.name:
                raise DealUnreadable(f"{deal.name}.json", "", f"{what} belongs to {other}.json already")


# names in texts -------------------------------------------------------------------------------------------------------


def mentions(deal: Deal, text: str) -> list[tuple[str, int]]:
    """The invoices that a text names: (deal, number of its invoice)."""
    return [(found[2] or deal.id, int(found[3])) for found in _NAMED.finditer(text) if found[3]]


def told(deal: Deal, text: str, numbers: dict[tuple[str, int], str]) -> str:
    """A text with the real numbers in it."""

    def real(found: re.Match[str]) -> str:
        return deal.order_id if found[1] else numbers[found[2] or deal.id, int(found[3])]

    return _NAMED.sub(real, text)


def texts(payment: Incoming) -> list[str]:
    """All texts of a payment that may name an invoice."""
    return [payment.reference, payment.text, *(share.invoice for share in payment.pays)]


def _names_known(deal: Deal, known: dict[str, int]) -> None:
    """A payment names invoices of its own deal or of one that comes before it: so nobody waits for whoever waits for him."""
    for index, payment in enumerate(deal.payments):
        for text in texts(payment):
            unknown = [f"{other}.invoice.{number}" for other, number in mentions(deal, text) if number > known.get(other, 0)]
            if unknown or "{" in _NAMED.sub("", text):
                raise DealUnreadable(f"{deal.name}.json", f"/payments/{index}", f"{text!r} names {', '.join(unknown) or 'what is unknown'}")
