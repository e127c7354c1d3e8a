"""The HTTP routes of the process layer: for CPQ, billing and other systems, and for operators."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from canonical.messages import Accepted
from canonical.order import BookOrder
from canonical.payment import ReceivePayment
from canonical.quote import DecideQuote, QuoteValidated, Signature, SubmitQuote, ValidateQuote
from policies import bodies
from policies.declare import EDGE, OPERATOR
from policies.problems import Problem
from process_apis import transactions
from process_apis.operating import Operators
from process_apis.reception import Conflict, NotValid, Reception
from process_apis.transactions import CaseView, TransactionView
from runtime.context import current
from runtime.house import House

VALIDATION_WITHIN_S = 5.0
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision on a quote version."""

    version: int
    decision: str
    reason: str = ""
    signature: Signature | None = None


def acknowledged(accepted: Accepted) -> Response[Accepted]:
    """202 with the place where the outcome is to be read."""
    location = f"/process/v1/transactions/{accepted.correlation_id}"
    return Response(accepted, status_code=202, headers={"Location": location})


async def taken(work: Any) -> Response[Accepted]:
    """Await a reception; its refusals become problem documents with their findings or the transaction that is in the way."""
    try:
        return acknowledged(await work)
    except NotValid as refused:
        errors = [{"pointer": f.pointer, "detail": f.message, "code": f.code} for f in refused.findings]
        raise Problem(422, refused.code, refused.detail, errors=errors) from None
    except Conflict as refused:
        status = 404 if refused.code == "not_found" else 409
        raise Problem(status, refused.code, refused.detail, existing_correlation_id=refused.correlation_id) from None


class Quotes(Controller):
    """Quotes: validated while the seller waits, approved, decided."""

    path = "/process/v1/quotes"
    tags = ("quotes",)

    @post("/validate", status_code=200, opt=EDGE.but(scope="quotes:validate").opt)
    async def validate(self, data: JSONBody[ValidateQuote], house: NamedDependency[House]) -> QuoteValidated:
        """Check a quote against all systems within the time budget; nothing is written."""
        question = msgspec.structs.replace(data, as_of=data.as_of or house.clock.now().date())
        answer = await house.ask(question, within_s=VALIDATION_WITHIN_S)
        return msgspec.structs.replace(answer, correlation_id=current().correlation_id)

    @post("/", status_code=202, opt=EDGE.but(scope="quotes:write", idempotency="required").opt)
    async def submit(self, data: JSONBody[SubmitQuote], reception: NamedDependency[Reception]) -> Response[Accepted]:
        """Submit a quote version for approval; it is validated first and refused with its findings where it is not valid."""
        return await taken(reception.submit_quote(msgspec.structs.replace(data, submitted_by=current().actor)))

    @post("/{quote_id:str}/decision", status_code=202, opt=EDGE.but(scope="quotes:decide", idempotency="optional").opt)
    async def decide(self, quote_id: FromPath[str], data: JSONBody[Decision], reception: NamedDependency[Reception]) -> Response[Accepted]:
        """Approve or reject a version that waits for approval; sign or decline one that waits for the customer."""
        fields = {**msgspec.structs.asdict(data), "quote_id": quote_id}
        return await taken(reception.decide_quote(bodies.converted(fields, DecideQuote)))


class Orders(Controller):
    """Orders that were accepted elsewhere."""

    path = "/process/v1/orders"
    tags = ("orders",)

    @post("/", status_code=202, opt=EDGE.but(scope="orders:write", idempotency="required").opt)
    async def book(self, data: JSONBody[BookOrder], reception: NamedDependency[Reception]) -> Response[Accepted]:
        """Book an order in all systems, or in none."""
        return await taken(reception.book_order(data))


class Payments(Controller):
    """Money that has arrived."""

    path = "/process/v1/payments"
    tags = ("payments",)

    @post("/", status_code=202, opt=EDGE.but(scope="payments:write", idempotency="required").opt)
    async def receive(self, data: JSONBody[ReceivePayment], reception: NamedDependency[Reception]) -> Response[Accepted]:
        """Apply a settled payment to the invoices that it pays."""
        return await taken(reception.receive_payment(data))


class Transactions(Controller):
    """Commercial transactions, from quote to cash."""

    path = "/process/v1/transactions"
    tags = ("transactions",)

    @get("/{correlation_id:str}", opt=EDGE.but(scope="transactions:read").opt)
    async def one(self, correlation_id: FromPath[str], house: NamedDependency[House]) -> TransactionView:
        """The whole chain under one correlation id."""
        found = await transactions.view(house, current().tenant, correlation_id)
        if found is None:
            raise Problem(404, "transaction_unknown", f"no transaction is called {correlation_id[:80]}")
        return found

    @get("/", opt=EDGE.but(scope="transactions:read").opt)
    async def latest(self, house: NamedDependency[House], limit: Limit = 100) -> list[TransactionView]:
        """The latest transactions, without their processes."""
        rows = await house.store.transactions(current().tenant, limit=limit)
        return [
            TransactionView(
                correlation_id=row.correlation_id,
                stage=row.stage,
                quote_id=row.quote_id,
                order_id=row.order_id,
                entity=row.entity,
                customer=row.customer,
                amount=row.amount,
                currency=row.currency,
            )
            for row in rows
        ]


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator wants done with an instance, and why."""

    process: str
    key: str
    reason: str = ""


class Correction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator wants corrected in a parked instance: a JSON merge patch over what it remembers, and why."""

    process: str
    key: str
    patch: dict[str, Any]
    reason: Annotated[str, msgspec.Meta(min_length=1)]


class Operations(Controller):
    """For operators: cases, resume, cancel."""

    path = "/process/v1"
    tags = ("operators",)

    @get("/cases", opt=OPERATOR.but(scope="cases:read").opt)
    async def cases(self, house: NamedDependency[House], kind: FromQuery[str] = "", limit: Limit = 100) -> list[CaseView]:
        """What waits for a person, oldest first."""
        rows = await house.store.cases(current().tenant, kind=kind, status="open", limit=limit)
        return [case_view(row) for row in rows]

    @post("/instances/resume", status_code=202, opt=OPERATOR.opt)
    async def resume(self, data: JSONBody[Operation], operators: NamedDependency[Operators]) -> dict[str, str]:
        """Try a parked instance again from the step at which it stopped."""
        if not await operators.resume(current().tenant, data.process, data.key, by=current().actor):
            raise Problem(409, "not_parked", f"{data.process}/{data.key} is not parked")
        return {"status": "resumed"}

    @post("/instances/edit", status_code=202, opt=OPERATOR.opt)
    async def edit(self, data: JSONBody[Correction], operators: NamedDependency[Operators]) -> dict[str, str]:
        """Correct what a parked instance remembers and try it again; what was before and after stands in its journal."""
        actor = current().actor
        if not await operators.edit(current().tenant, data.process, data.key, patch=data.patch, by=actor, reason=data.reason):
            raise Problem(409, "not_parked", f"{data.process}/{data.key} is not parked")
        return {"status": "edited and resumed"}

    @post("/instances/cancel", status_code=202, opt=OPERATOR.opt)
    async def cancel(self, data: JSONBody[Operation], operators: NamedDependency[Operators]) -> dict[str, str]:
        """Undo an instance that is before its point of no return."""
        if not await operators.cancel(current().tenant, data.process, data.key, by=current().actor, reason=data.reason):
            why = "it has ended, is beyond its point of no return, or nobody knows yet whether its present step was done: ask again then"
            raise Problem(409, "not_cancellable", f"{data.process}/{data.key} cannot be undone now: {why}")
        return {"status": "cancelling"}


def case_view(row: Any) -> CaseView:
    """A case for its reader."""
    return CaseView(
        id=row.id,
        kind=row.kind,
        title=row.title,
        status=row.status,
        amount=row.amount,
        currency=row.currency,
        owner=row.owner,
        due_at=row.due_at.isoformat() if row.due_at else "",
        resolution=row.resolution,
        correlation_id=row.correlation_id,
        document=msgspec.json.decode(row.document) if row.document else None,
    )


ROUTES: tuple[type[Controller], ...] = (Quotes, Orders, Payments, Transactions, Operations)
