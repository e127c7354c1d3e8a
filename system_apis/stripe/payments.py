"""Payments: what Stripe says of money that has arrived, told twice (as intent and as charge) and meaning one payment."""

import re
from collections.abc import Iterable

import msgspec

from canonical.failures import Broken
from canonical.money import Money
from canonical.payment import Payment, PaymentSettled
from canonical.provenance import ExternalId, Id
from system_apis.connector import Call, Translated
from system_apis.stripe.amounts import money
from system_apis.stripe.events import StripeEvent, decoded
from system_apis.stripe.wire import ENTITY, INVOICE, ORDER, PAYER, Expandable, Metadata, id_of, text_of

TEXT_MAX = 500
REFERENCES_MAX = 50
# what looks like the number of a document: letters, digits and their joints, with three digits in it or a digit after a letter
DOCUMENT = re.compile(
    r"(?<![A-Za-z0-9])(?=(?:[A-Za-z/_.-]*[0-9]){3}|[0-9/_.-]*[A-Za-z][A-Za-z/_.-]*[0-9])[A-Za-z0-9](?:[A-Za-z0-9/_.-]*[A-Za-z0-9])?"
)

# wire shapes ----------------------------------------------------------------------------------------------------------


class _Money(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    amount: int
    currency: str
    customer: Expandable = None
    description: str | None = None
    metadata: Metadata = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None


class PaymentIntent(_Money, frozen=True, kw_only=True):
    """A payment as the customer meant it."""

    amount_received: int | None = None
    latest_charge: Expandable = None


class BillingDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Who paid, as the payment method has it."""

    name: str | None = None
    email: str | None = None


class Charge(_Money, frozen=True, kw_only=True):
    """A payment as the payment method carried it out; one that is not captured has moved no money yet."""

    amount_captured: int | None = None
    captured: bool = True
    payment_intent: Expandable = None
    calculated_statement_descriptor: str | None = None
    billing_details: BillingDetails = BillingDetails()
    balance_transaction: Expandable = None


class BalanceTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe kept of it; given only where it was expanded."""

    fee: int
    currency: str


# mapping --------------------------------------------------------------------------------------------------------------


def of_intent(call: Call, event: StripeEvent) -> tuple[Translated, ...]:
    """``payment_intent.succeeded``: the money of the intent has arrived."""
    intent = decoded(event.data.object, PaymentIntent)
    received = intent.amount if intent.amount_received is None else intent.amount_received
    charge = intent.latest_charge
    details = charge.get("billing_details") if isinstance(charge, dict) else None
    payers = (text_of(intent.customer, "name"), text_of(details, "name"), intent.receipt_email)
    transaction = charge.get("balance_transaction") if isinstance(charge, dict) else None
    return _settled(call, event, intent, intent.id, received, payers, (), _fee(transaction))


def of_charge(call: Call, event: StripeEvent) -> tuple[Translated, ...]:
    """``charge.succeeded`` and ``charge.captured``: the same payment, under the id of its intent where it has one."""
    charge = decoded(event.data.object, Charge)
    if not charge.captured:
        return ()
    received = charge.amount if charge.amount_captured is None else charge.amount_captured
    details = charge.billing_details
    payers = (text_of(charge.customer, "name"), details.name, charge.receipt_email, details.email)
    printed = (charge.calculated_statement_descriptor,)
    payment_id = id_of(charge.payment_intent) or charge.id
    return _settled(call, event, charge, payment_id, received, payers, printed, _fee(charge.balance_transaction))


def _settled(
    call: Call,
    event: StripeEvent,
    told: _Money,
    payment_id: str,
    units: int,
    payers: Iterable[str | None],
    printed: Iterable[str | None],
    fee: Money | None,
) -> tuple[Translated, ...]:
    metadata = told.metadata or {}
    kind = "payment_intent" if payment_id.startswith("pi_") else "charge"
    texts = [_clean(text) for text in (told.description, told.statement_descriptor, *printed) if text]
    payment = Payment(
        id=payment_id,
        entity=_entity(call, metadata),
        source="payment_provider",
        received_on=event.happened_on,
        amount=money(units, told.currency),
        payer=_clean(next((p for p in (metadata.get(PAYER), *payers) if p), "")),
        references=_references(metadata.get(INVOICE, ""), texts),
        remittance=_clean(told.description or ""),
        fee=fee,
        external_id=ExternalId(connection=call.connection, kind=kind, id=payment_id),
    )
    return (Translated(id=f"stripe:{payment_id}", event=PaymentSettled(payment=_valid(payment)), order_id=metadata.get(ORDER, "")),)


def _entity(call: Call, metadata: dict[str, str]) -> str:
    """The legal entity that the metadata names; a name that cannot be one falls back to the account's own."""
    try:
        return msgspec.convert(metadata.get(ENTITY, ""), Id)
    except msgspec.ValidationError:
        return str(call.settings.default_entity)


def _references(named: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Invoices that the metadata names come first, then whatever in the texts looks like the number of a document."""
    found = [word for word in re.split(r"[,;\s]+", _clean(named)) if word]
    for text in texts:
        found += DOCUMENT.findall(text)
    return tuple(dict.fromkeys(found))[:REFERENCES_MAX]


def _fee(transaction: object) -> Money | None:
    if not isinstance(transaction, dict):
        return None
    try:
        kept = msgspec.convert(transaction, BalanceTransaction)
    except msgspec.ValidationError as error:
        raise Broken("unreadable_event", f"the balance transaction is not readable: {error}") from error
    return money(kept.fee, kept.currency)


def _clean(text: str) -> str:
    return text.replace("\x00", "")[:TEXT_MAX].strip()


def _valid(payment: Payment) -> Payment:
    """The payment, checked against its own page: constructing a struct checks nothing."""
    try:
        return msgspec.convert(msgspec.to_builtins(payment), Payment)
    except msgspec.ValidationError as error:
        raise Broken("unreadable_event", f"payment {payment.id[:80]}: {error}") from error
