"""Drives deals from quote to cash over HTTP alone, several at once, and keeps what was seen of each."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from canonical.failures import Failure
from canonical.messages import Accepted
from canonical.quote import Finding, Quote, QuoteValidated
from gateway.demo.deals import Deal, Incoming, Trouble
from gateway.demo.door import PATIENCE_S, Door, Entry, Refusal, TooLate, Vendors
from gateway.demo.people import Board, People, Refused
from gateway.demo.watching import Watch, detail, one
from process_apis.transactions import InstanceView, TransactionView
from runtime.clock import Clock

AT_ONCE = 6
VALIDATIONS_MAX = 5
RELEASE_EVERY_S = 1.0

Say = Callable[[Deal, str], None]


class Seen(msgspec.Struct, kw_only=True):
    """What was seen of a deal from outside. ``stopped``: why it could not be driven to its end."""

    deal: Deal
    validation: QuoteValidated | None = None
    refused: Refusal | None = None
    asked_because: str = ""
    correlation_id: str = ""
    view: TransactionView | None = None
    numbers: list[str] = []
    payments: dict[str, InstanceView | None] = {}
    stopped: str = ""

    def instance(self, process: str, key: str) -> InstanceView | None:
        """One process of the deal, as it was last seen."""
        return one(self.view, process, key) if self.view else None

    @property
    def booked(self) -> bool:
        return _status(self.instance("order_booking", self.deal.order_id)) == "done"

    @property
    def applied(self) -> list[str]:
        """The payments that were applied."""
        return [payment_id for payment_id, ended in self.payments.items() if _status(ended) == "done"]


def _status(instance: InstanceView | None) -> str:
    return instance.status if instance else ""


class Driver:
    """Everybody and everything that it takes, over the doors of a running gateway."""

    def __init__(self, door: Door, vendors: Vendors, clock: Clock, say: Say, *, within_s: float = PATIENCE_S) -> None:
        self._door = door
        self._vendors = vendors
        self._clock = clock
        self._say = say
        self._within_s = within_s
        self._board = Board()
        self._people = People(door, vendors, self._board, clock, within_s=within_s)

    @property
    def numbers(self) -> dict[tuple[str, int], str]:
        """The numbers of the invoices that came into being, by deal and position."""
        return self._board.numbers

    async def drive(self, deals: Sequence[Deal], at_once: int = AT_ONCE) -> list[Seen]:
        """All deals, in their order, but those with troubles first, for they take longest; one that fails does not stop the others."""
        slots = asyncio.Semaphore(at_once)

        async def driven(deal: Deal) -> Seen:
            async with slots:
                return await self._one(deal)

        async with asyncio.TaskGroup() as group:
            tasks = {deal.name: group.create_task(driven(deal)) for deal in sorted(deals, key=lambda deal: not deal.troubles)}
        return [tasks[deal.name].result() for deal in deals]

    async def look_again(self, seen: Seen) -> None:
        """Read the deal's transaction once more, when all deals have been driven."""
        if seen.correlation_id:
            seen.view = await self._door.get(f"/process/v1/transactions/{seen.correlation_id}", TransactionView)

    async def _one(self, deal: Deal) -> Seen:
        seen = Seen(deal=deal)
        try:
            await self._sold(seen)
            if seen.booked:
                await self._collected(seen)
        except (TooLate, Refused, Failure) as stop:
            seen.stopped = str(stop)
        finally:
            await self._board.over(deal)
        self._say(deal, seen.stopped or "driven")
        return seen

    # from quote to order ----------------------------------------------------------------------------------------------

    async def _sold(self, seen: Seen) -> None:
        deal = seen.deal
        if deal.quote is not None:
            seen.validation = await self._validated(deal.quote)
            self._say(deal, "validated" if seen.validation.valid else f"not valid: {_codes(seen.validation.findings)}")
        await self._troubled(deal, "quote")
        accepted = await self._submitted(deal)
        if isinstance(accepted, Refusal):
            seen.refused = accepted
            return
        watch = self._watch(accepted.correlation_id)
        seen.correlation_id = accepted.correlation_id
        if deal.quote is not None:
            await self._decided(seen, deal.quote, watch)
            approval = await watch.ended("quote_approval", deal.quote.key)
            seen.view = watch.seen
            if approval.status != "done":
                self._say(deal, f"not accepted: {detail(approval.reason)}")
                return
        booking = await watch.ended("order_booking", deal.order_id)
        seen.view = watch.seen
        self._say(deal, "booked" if booking.status == "done" else f"not booked: {detail(booking.reason)}")

    async def _validated(self, quote: Quote) -> QuoteValidated:
        """As CPQ asks before it submits; a check that could not be made in time is asked for again."""
        for _ in range(VALIDATIONS_MAX):
            answer = await self._door.post("/process/v1/quotes/validate", {"quote": quote}, QuoteValidated, by="cpq")
            if isinstance(answer, Refusal):
                raise Refused("the validation", answer)
            if answer.complete:
                return answer
        raise TooLate(f"{quote.key} could not be validated completely, asked {VALIDATIONS_MAX} times")

    async def _submitted(self, deal: Deal) -> Accepted | Refusal:
        """The quote or the order is handed in, perhaps several times at the same moment: it is one transaction."""
        if deal.order or any(person.does == "presign" for person in deal.people):
            await self._troubled(deal, "booking")  # nothing else stands between the submission and the booking
        answers = await asyncio.gather(*(self._submit(deal, time) for time in range(deal.submitted)))
        accepted = [answer for answer in answers if isinstance(answer, Accepted)]
        if len({answer.correlation_id for answer in accepted}) > 1 or 0 < len(accepted) < len(answers):
            raise TooLate(f"handed in {deal.submitted} times at once, it became {answers}")
        return answers[0]

    async def _submit(self, deal: Deal, time: int) -> Accepted | Refusal:
        key = f"{deal.name}-{time}"
        if deal.order is not None:
            return await self._door.post("/process/v1/orders", {"order": deal.order}, Accepted, by="webshop", key=key)
        presigned = next((p for p in deal.people if p.does == "presign"), None)
        body: dict[str, Any] = {"quote": deal.quote}
        if presigned is not None and deal.quote is not None:
            body["signature"] = self._people.signature(presigned, deal.quote)
        path = {"process": "/process/v1/quotes", "portal": "/experience/v1/sales/quotes"}[deal.through]
        return await self._door.post(path, body, Accepted, by=deal.quote.owner if deal.quote else "cpq", key=key)

    async def _decided(self, seen: Seen, quote: Quote, watch: Watch) -> None:
        for person in seen.deal.people:
            if person.does == "presign":
                continue
            if person.does == "sign":
                await self._troubled(seen.deal, "booking")
            if person.does in {"approve", "reject"}:
                await watch.waits("quote_approval", quote.key, f"QuoteDecided:{quote.key}:approval")
                seen.asked_because = await self._people.asked_because(quote)
            await self._people.decide(person, quote, watch)
            self._say(seen.deal, f"{person.name}: {person.does}")

    async def _troubled(self, deal: Deal, stage: str) -> None:
        for trouble in deal.troubles:
            if trouble.before == stage:
                await self._vendors.plan(trouble.at, msgspec.structs.replace(trouble.fault))
                self._say(deal, f"trouble ahead: {trouble.at} {trouble.fault.kind.replace('_', ' ')}")

    # from order to cash -----------------------------------------------------------------------------------------------

    async def _collected(self, seen: Seen) -> None:
        deal = seen.deal
        watch = self._watch(seen.correlation_id)
        for position, posting in enumerate(deal.invoices, start=1):
            number = await self._people.post(deal, posting, position)
            seen.numbers.append(number)
            await watch.until(f"invoice {number} to reach the CRM", _invoiced(number))
            self._say(deal, f"invoiced {number}: {posting.total}")
        await self._troubled(deal, "payment")
        for payment in deal.payments:
            payment_id = await self._people.pay(deal, payment)
            seen.payments[payment_id] = None
            self._say(deal, f"{payment.amount} from {payment.payer} by {payment.by}")
            if payment.clerk or payment.ends == "parked":
                seen.payments[payment_id] = await self._by_a_person(deal, payment, payment_id)
            else:
                seen.payments[payment_id] = await self._by_rule(deal.troubles, watch, payment_id)
            self._say(deal, f"{payment.amount}: {payment.ends.replace('_', ' ')}")
        seen.view = await watch.look()

    async def _by_a_person(self, deal: Deal, payment: Incoming, payment_id: str) -> InstanceView | None:
        """Wait until the payment is put before finance, and have it decided; followed under its own name, for it may pay no order."""
        case = await self._people.waiting(payment_id)
        self._say(deal, f"{payment.amount} waits for a person: {case.reason}")
        if payment.clerk is None:
            return None
        await self._people.allocate(deal, payment, payment_id)
        self._say(deal, f"{payment.clerk.name}: {payment.clerk.note or 'allocated'}")
        return await self._watch(case.correlation_id).ended("cash_application", payment_id)

    async def _by_rule(self, troubles: Sequence[Trouble], watch: Watch, payment_id: str) -> InstanceView:
        """Wait for the payment; webhooks that a trouble holds back come a little later."""
        late = any(trouble.fault.kind in {"late_webhook", "swap_webhooks"} for trouble in troubles)
        waiting = asyncio.create_task(watch.ended("cash_application", payment_id))
        try:
            while late and not waiting.done():
                await self._clock.sleep(RELEASE_EVERY_S)
                await self._vendors.act("stripe", "release_webhooks")
            return await waiting
        finally:
            waiting.cancel()

    def _watch(self, correlation_id: str) -> Watch:
        return Watch(self._door, self._clock, correlation_id, within_s=self._within_s)


def _invoiced(number: str) -> Callable[[TransactionView], InstanceView | None]:
    """The invoice's way into the CRM has been gone to its end."""

    def found(view: TransactionView) -> InstanceView | None:
        return next((i for i in view.processes if i.process == "invoicing" and f":{number}:" in i.key and i.status == "done"), None)

    return found


def _codes(findings: Sequence[Finding | Entry]) -> str:
    return ", ".join(finding.code for finding in findings)
