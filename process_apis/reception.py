"""Where commands from outside are taken in: checked against rules and against what is there, then kept, then acknowledged.

The process layer's own routes call it; the experience layer asks it over the bus. What it takes in is safe when it answers. The business
key (quote version, order number, payment id) is unique for good: the same content again is answered with the same transaction, another
content under the same key is refused.
"""

import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from canonical.failures import Broken, Failure, Rejected
from canonical.messages import Accepted, Command
from canonical.money import Money
from canonical.order import BookOrder
from canonical.payment import AllocationDecided, DecideAllocation, ReceivePayment
from canonical.quote import DecideQuote, Finding, Quote, QuoteDecided, SubmitQuote, ValidateQuote
from process_apis.quote_approval.steps import order_id_of
from process_apis.quote_validation.checks import add_up
from runtime.bus.wire import Envelope, envelope, failure_envelope
from runtime.context import current, working_in
from runtime.house import House
from runtime.keys import new_correlation_id
from runtime.store.contract import Duplicate, IdempotencyRecord, PutIdempotency, PutTransaction, Transaction

FOR_GOOD = dt.timedelta(days=365 * 100)
VALIDATION_WITHIN_S = 5.0


class NotValid(Rejected):
    """The quote has findings that are errors; they come with it."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        first = findings[0]
        super().__init__("quote_not_valid", first.message, pointer=first.pointer)
        self.findings = findings


class Conflict(Rejected):
    """There is something under this business key already; ``correlation_id`` names its transaction."""

    def __init__(self, code: str, detail: str, correlation_id: str = "") -> None:
        super().__init__(code, detail)
        self.correlation_id = correlation_id


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a new transaction is about, for its read model."""

    quote_id: str = ""
    order_id: str = ""
    entity: str
    customer: str


class Reception:
    """Takes commands in."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._takes: Mapping[type, Callable[[Any], Awaitable[Accepted]]] = {
            SubmitQuote: self.submit_quote,
            DecideQuote: self.decide_quote,
            BookOrder: self.book_order,
            ReceivePayment: self.receive_payment,
            DecideAllocation: self.decide_allocation,
        }

    @property
    def commands(self) -> tuple[type[Command[Any]], ...]:
        """What can be handed in here."""
        return tuple(self._takes)

    async def answer(self, letter: Envelope) -> Envelope:
        """For the bus: take the command in the letter, answer with `Accepted` or the failure."""
        now = self._house.clock.now()
        try:
            with working_in(letter.context):
                command = letter.open()
                take = self._takes.get(type(command))
                if take is None:
                    raise Broken("misaddressed", f"the reception does not take {letter.type}")
                accepted = await take(command)
            return envelope(accepted, letter.context, now=now, causation_id=letter.id)
        except Failure as failure:
            return failure_envelope(failure, letter, now=now)

    async def submit_quote(self, command: SubmitQuote) -> Accepted:
        """Start the approval of a valid quote version."""
        quote = command.quote
        self._entity_known(quote.entity, "/quote/entity")
        known = await self._known("quote_approval", quote.key, quote.fingerprint, f"version {quote.version} of quote {quote.id}")
        if known is not None:
            return known
        order_id = order_id_of(quote.id)
        if booked := await self._house.store.correlation_of(current().tenant, "order_booking", order_id):
            raise Conflict("quote_already_converted", f"quote {quote.id} has become order {order_id}", booked)
        if command.signature and command.signature.fingerprint != quote.fingerprint:
            raise Rejected("signature_mismatch", "the signature is for another version of the quote", pointer="/signature/fingerprint")
        today = self._house.clock.now().date()
        validated = await self._house.ask(ValidateQuote(quote=quote, as_of=today), within_s=VALIDATION_WITHIN_S)
        if not validated.valid:
            raise NotValid(tuple(f for f in validated.findings if f.severity == "error"))
        about = About(quote_id=quote.id, entity=quote.entity, customer=quote.customer.legal_name)
        return await self._start(command, "quote_approval", quote.key, quote.fingerprint, about, quote.total)

    async def book_order(self, command: BookOrder) -> Accepted:
        """Start the booking of an order that did not come through an approval here."""
        order = command.order
        self._entity_known(order.entity, "/order/entity")
        _balanced(command)
        fingerprint = _fingerprint(order)
        known = await self._known("order_booking", order.id, fingerprint, f"order {order.id}")
        if known is not None:
            return known
        if booked := await self._house.store.correlation_of(current().tenant, "order_booking", order.id):
            raise Conflict("order_exists", f"order {order.id} is there already", booked)
        about = About(quote_id=order.quote_id, order_id=order.id, entity=order.entity, customer=order.customer.legal_name)
        return await self._start(command, "order_booking", order.id, fingerprint, about, order.total)

    async def receive_payment(self, command: ReceivePayment) -> Accepted:
        """Start the application of a payment."""
        payment = command.payment
        self._entity_known(payment.entity, "/payment/entity")
        if payment.amount.number <= 0:
            raise Rejected("amount_not_positive", "a payment is more than nothing", pointer="/payment/amount/amount")
        fingerprint = _fingerprint(payment)
        known = await self._known("cash_application", payment.id, fingerprint, f"payment {payment.id}")
        if known is not None:
            return known
        about = About(entity=payment.entity, customer=payment.payer)
        return await self._start(command, "cash_application", payment.id, fingerprint, about, payment.amount)

    async def decide_quote(self, command: DecideQuote) -> Accepted:
        """Hand a decision to the approval that waits for it."""
        key = f"{command.quote_id}.v{command.version}"
        about = "approval" if command.decision in {"approve", "reject"} else "signature"
        waiting = await self._waiting("quote_approval", key, f"QuoteDecided:{key}:{about}")
        if command.decision == "sign" and command.signature is None:
            raise Rejected("signature_missing", "signing needs the signature", pointer="/signature")
        memory = msgspec.json.decode(waiting[1])
        fingerprint = msgspec.convert(memory["quote"], Quote).fingerprint
        if command.signature and command.signature.fingerprint != fingerprint:
            raise Rejected("signature_mismatch", "the signature is for another version of the quote", pointer="/signature/fingerprint")
        event = QuoteDecided(
            quote_id=command.quote_id,
            version=command.version,
            decision=command.decision,
            decided_by=current().actor or "somebody",
            reason=command.reason,
            signature=command.signature,
        )
        return await self._tell(event, "quote_approval", key, waiting[0], f"{key}:{about}")

    async def decide_allocation(self, command: DecideAllocation) -> Accepted:
        """Hand an allocation to the payment that waits for it."""
        waiting = await self._waiting("cash_application", command.payment_id, f"AllocationDecided:{command.payment_id}")
        memory = msgspec.json.decode(waiting[1])
        amount = msgspec.convert(memory["payment"]["amount"], Money)
        open_amounts = {i["id"]: msgspec.convert(i["open_amount"], Money) for i in memory["open_invoices"]}
        rest = amount
        for index, part in enumerate(command.invoices):
            pointer = f"/invoices/{index}"
            if part.invoice_id not in open_amounts:
                raise Rejected(
                    "invoice_not_open", f"{part.invoice_id} was not open when the payment came in", pointer=f"{pointer}/invoice_id"
                )
            if {part.amount.currency, open_amounts[part.invoice_id].currency} != {amount.currency}:
                raise Rejected("currency_mismatch", f"the payment is in {amount.currency}", pointer=f"{pointer}/amount")
            if part.amount.number <= 0 or part.amount > open_amounts[part.invoice_id] or part.amount > rest:
                raise Rejected("amount_too_large", f"{part.amount} is more than is open or left", pointer=f"{pointer}/amount")
            rest = rest - part.amount
            open_amounts[part.invoice_id] = open_amounts[part.invoice_id] - part.amount  # an invoice may be named twice
        event = AllocationDecided(
            payment_id=command.payment_id, invoices=command.invoices, decided_by=current().actor or "somebody", note=command.note
        )
        return await self._tell(event, "cash_application", command.payment_id, waiting[0], command.payment_id)

    # -------------------------------------------------------------------------------------------------------------------

    def _entity_known(self, entity: str, pointer: str) -> None:
        if entity not in self._house.entities:
            raise Rejected("unknown_entity", f"no legal entity is called {entity!r}", pointer=pointer)

    async def _known(self, process: str, key: str, fingerprint: str, what: str) -> Accepted | None:
        record = await self._house.store.idempotency(current().tenant, f"business:{process}", key, self._house.clock.now())
        if record is None:
            return None
        correlation_id = record.body.decode()
        if record.fingerprint != fingerprint:
            raise Conflict("business_key_reused", f"{what} is there already, with another content", correlation_id)
        return Accepted(process=process, key=key, correlation_id=correlation_id)

    async def _start(self, command: Command[Any], process: str, key: str, fingerprint: str, about: About, amount: Money) -> Accepted:
        now, context = self._house.clock.now(), current()
        correlation_id = context.correlation_id or new_correlation_id()
        context = msgspec.structs.replace(context, correlation_id=correlation_id, entity=about.entity)
        row = Transaction(
            tenant=context.tenant,
            correlation_id=correlation_id,
            stage="received",
            amount=amount.amount,
            currency=amount.currency,
            updated_at=now,
            quote_id=about.quote_id,
            order_id=about.order_id,
            entity=about.entity,
            customer=about.customer,
        )
        if await self._house.store.transaction(context.tenant, correlation_id) is not None:
            raise Conflict("correlation_id_reused", f"{correlation_id} names another transaction already", correlation_id)
        with working_in(context):
            try:
                await self._house.write(
                    self._record(process, key, fingerprint, correlation_id), PutTransaction(row), self._house.letter(command)
                )
            except Duplicate:  # a twin was faster: answer as it was answered, or refuse
                known = await self._known(process, key, fingerprint, key)
                if known is None:
                    raise
                return known
        return Accepted(process=process, key=key, correlation_id=correlation_id)

    async def _waiting(self, process: str, key: str, event_key: str) -> tuple[str, bytes]:
        row = await self._house.store.instance(current().tenant, process, key)
        if row is None:
            raise Rejected("not_found", f"there is no {process.replace('_', ' ')} of {key}")
        if row.waiting_for != event_key:
            raise Conflict("not_waiting", f"{key} does not wait for this decision; it is {row.status}", row.correlation_id)
        return row.correlation_id, row.memory

    async def _tell(self, event: QuoteDecided | AllocationDecided, process: str, key: str, correlation_id: str, about: str) -> Accepted:
        """Hand a decision on; what has been decided once is not decided again."""
        fingerprint = _fingerprint(event)
        accepted = Accepted(process=process, key=key, correlation_id=correlation_id)
        if await self._known("decision", about, fingerprint, f"a decision on {key}") is not None:
            return accepted
        with working_in(msgspec.structs.replace(current(), correlation_id=correlation_id)):
            try:
                await self._house.write(self._record("decision", about, fingerprint, correlation_id), self._house.news(event))
            except Duplicate:
                if await self._known("decision", about, fingerprint, f"a decision on {key}") is None:
                    raise
        return accepted

    def _record(self, kind: str, key: str, fingerprint: str, correlation_id: str) -> PutIdempotency:
        now = self._house.clock.now()
        return PutIdempotency(
            IdempotencyRecord(
                tenant=current().tenant,
                scope=f"business:{kind}",
                key=key,
                fingerprint=fingerprint,
                status=202,
                headers={},
                body=correlation_id.encode(),
                created_at=now,
                expires_at=now + FOR_GOOD,
            )
        )


def _fingerprint(content: msgspec.Struct) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def _balanced(command: BookOrder) -> None:
    """The order's lines come to its total, in one currency. Raises `Rejected` with the pointer."""
    found = add_up(command.order, "/order")
    if found:
        raise Rejected(found[0].code, found[0].message, pointer=found[0].pointer)
