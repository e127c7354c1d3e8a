"""What people do in a deal: sign and decide, post the invoice in the ERP, pay by card or bank, allocate what did not match."""

import asyncio
from itertools import count
from typing import Any

from canonical.messages import Accepted
from canonical.payment import AllocatedAmount, DecideAllocation
from canonical.quote import Quote, Signature
from experience_apis.finance.views import OpenAllocation
from gateway.demo.deals import Deal, Incoming, Person, Posting, mentions, texts, told
from gateway.demo.door import Door, Refusal, TooLate, Vendors
from gateway.demo.statements import CONTENT_TYPES, Received, statement
from gateway.demo.watching import Watch
from gateway.simulated import ENTITIES
from process_apis.transactions import CaseView
from runtime.clock import Clock
from system_apis.bank_files.reader import read_statement
from system_apis.routes import FilesTaken

DECISIONS = {"approve": "approval", "reject": "approval", "sign": "signature", "decline": "signature"}
EVERY_S = 0.3


class Refused(Exception):
    """The gateway says no to something that the deal's file takes for granted."""

    def __init__(self, what: str, refusal: Refusal) -> None:
        super().__init__(f"{what} is refused: {refusal.status} {refusal.code}: {refusal.detail}")
        self.refusal = refusal


class Board:
    """What everybody may read: the numbers of the invoices, as soon as they are posted, and who has failed to post one."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, int], str] = {}
        self._changed = asyncio.Condition()
        self._over: set[str] = set()
        self.statements = count(1)

    async def posted(self, deal: Deal, position: int, number: str) -> None:
        """An invoice has its number."""
        async with self._changed:
            self.numbers[deal.id, position] = number
            self._changed.notify_all()

    async def over(self, deal: Deal) -> None:
        """Nothing more comes of a deal."""
        async with self._changed:
            self._over.add(deal.id)
            self._changed.notify_all()

    async def named(self, deal: Deal, payment: Incoming) -> None:
        """Wait until every invoice that the payment names is posted. Raises `TooLate` where one never will be."""
        wanted = {named for text in texts(payment) for named in mentions(deal, text)}
        async with self._changed:
            await self._changed.wait_for(lambda: all(n in self.numbers or n[0] in self._over for n in wanted))
        if missing := sorted(n for n in wanted if n not in self.numbers):
            raise TooLate(f"the invoice of {missing[0][0]} was never posted")


class People:
    """Everybody who takes part, on their side of the doors."""

    def __init__(self, door: Door, vendors: Vendors, board: Board, clock: Clock, *, within_s: float) -> None:
        self._door = door
        self._vendors = vendors
        self._board = board
        self._clock = clock
        self._within_s = within_s

    # the quote --------------------------------------------------------------------------------------------------------

    def signature(self, person: Person, quote: Quote) -> Signature:
        """The customer's signature under this very version."""
        return Signature(signed_by=person.name, signed_at=self._clock.now(), fingerprint=quote.fingerprint)

    async def decide(self, person: Person, quote: Quote, watch: Watch) -> None:
        """Somebody decides as soon as the quote waits for it."""
        await watch.waits("quote_approval", quote.key, f"QuoteDecided:{quote.key}:{DECISIONS[person.does]}")
        signature = self.signature(person, quote) if person.does == "sign" else None
        body = {"version": quote.version, "decision": person.does, "reason": person.reason, "signature": signature}
        path = f"/process/v1/quotes/{quote.id}/decision"
        answer = await self._door.post(path, body, Accepted, by=person.name, key=f"{quote.key}-{person.does}")
        if isinstance(answer, Refusal):
            raise Refused(f"{person.does} by {person.name}", answer)

    async def asked_because(self, quote: Quote) -> str:
        """The reasons for which the quote waits for an approval, in one text."""
        cases = await self._door.get("/process/v1/cases", list[CaseView], kind="approval", limit="1000")
        found = [case.document for case in cases if case.document and case.document["quote"]["id"] == quote.id]
        return "; ".join(found[0]["reasons"]) if found else ""

    # the invoice ------------------------------------------------------------------------------------------------------

    async def post(self, deal: Deal, posting: Posting, position: int) -> str:
        """An invoice is posted; gives its number. Raises `TooLate` where its total is not the one in the file."""
        number, total = await {"erp": self._post_in_erp, "billing": self._issue_in_billing}[posting.by](deal, posting)
        if total != posting.total.amount:
            raise TooLate(f"invoice {number} of {deal.order_id} comes to {total}, not {posting.total.amount}")
        await self._board.posted(deal, position, number)
        return number

    async def _post_in_erp(self, deal: Deal, posting: Posting) -> tuple[str, str]:
        erp = erp_of(deal)
        answer = await self._vendors.act(erp, "post_invoice", order_id=deal.order_id, amount_percent=posting.percent)
        found: list[dict[str, Any]] = answer.get("invoices", [answer])
        if not found:
            raise TooLate(f"{erp} has no invoice to post for {deal.order_id}")
        return found[0]["number"], found[0]["total"]

    async def _issue_in_billing(self, deal: Deal, posting: Posting) -> tuple[str, str]:
        issued = await self._vendors.act("stripe", "finalize_invoice", order_id=deal.order_id, part=posting.part, usage=posting.usage)
        return issued["number"], issued["total"]

    # the money --------------------------------------------------------------------------------------------------------

    async def pay(self, deal: Deal, payment: Incoming) -> str:
        """Money is on its way; gives the payment's id."""
        await self._board.named(deal, payment)
        numbers = self._board.numbers
        reference, text = told(deal, payment.reference, numbers), told(deal, payment.text, numbers)
        if payment.by == "card":
            return await self._pay_by_card(deal, payment, reference, text)
        credit = Received(
            entity=deal.entity,
            number=next(self._board.statements),
            on=self._clock.now().date(),
            amount=payment.amount,
            payer=payment.payer,
            reference=reference,
            text=text,
        )
        return await self._hand_in(statement(payment.by, credit), CONTENT_TYPES[payment.by], f"{deal.name}-{credit.number}")

    async def _pay_by_card(self, deal: Deal, payment: Incoming, reference: str, text: str) -> str:
        wish = {
            "amount": payment.amount.amount,
            "currency": payment.amount.currency,
            "payer": payment.payer,
            "entity": deal.entity,
            "order_id": deal.order_id,
            **({"invoice": reference} if reference else {}),
            **({"description": text} if text else {}),
        }
        paid = await self._vendors.act("stripe", "pay", **wish)
        return str(paid["id"])

    async def _hand_in(self, content: bytes, content_type: str, name: str) -> str:
        """Treasury hands in the bank's file, twice, as treasuries do; the line's id is the same wherever the file is read."""
        for time in (1, 2):
            path, key = "/system/v1/bank/statements", f"{name}-{time}"
            answer = await self._door.post(path, content, FilesTaken, by="treasury", key=key, content_type=content_type)
            if isinstance(answer, Refusal):
                raise Refused("the bank statement", answer)
            if answer.taken != 1:
                raise TooLate(f"the bank statement has one credit; {answer.taken} were taken in")
        (credit,) = [line for one in read_statement(content) for line in one.lines if line.direction == "credit"]
        return credit.id

    async def waiting(self, payment_id: str) -> OpenAllocation:
        """The payment as finance sees it, as soon as it waits for somebody. Raises `TooLate`."""
        until = self._clock.monotonic_s() + self._within_s
        while True:
            rows = await self._door.get("/experience/v1/finance/allocations", list[OpenAllocation], limit="500")
            found = next((row for row in rows if row.payment.id == payment_id), None)
            if found is not None:
                return found
            if self._clock.monotonic_s() >= until:
                raise TooLate(f"payment {payment_id} does not wait for anybody")
            await self._clock.sleep(EVERY_S)

    async def allocate(self, deal: Deal, payment: Incoming, payment_id: str) -> None:
        """Finance says what the payment pays."""
        if payment.clerk is None:
            return
        parts = tuple(AllocatedAmount(invoice_id=told(deal, s.invoice, self._board.numbers), amount=s.amount) for s in payment.pays)
        decision = DecideAllocation(payment_id=payment_id, invoices=parts, note=payment.clerk.note)
        path = "/experience/v1/finance/allocations"
        answer = await self._door.post(path, decision, Accepted, by=payment.clerk.name, key=f"allocate-{payment_id}")
        if isinstance(answer, Refusal):
            raise Refused(f"the allocation by {payment.clerk.name}", answer)


def erp_of(deal: Deal) -> str:
    """The ERP of the deal's legal entity."""
    return str(ENTITIES[deal.entity]["bindings"]["erp"])
