"""The sales portal's API: the same commands as everybody's, in the words of those who sell."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from canonical.messages import Accepted
from canonical.quote import DecideQuote, QuoteValidated, SubmitQuote, ValidateQuote
from experience_apis.sales_portal.views import QuoteProgress
from policies.declare import EDGE
from policies.problems import Problem
from runtime.context import current
from runtime.house import House

ANSWER_WITHIN_S = 8.0


class SalesPortal(Controller):
    """Quotes, from submission to cash."""

    path = "/experience/v1/sales"
    tags = ("sales portal",)

    @post("/quotes/check", status_code=200, opt=EDGE.but(scope="quotes:validate").opt)
    async def check(self, data: JSONBody[ValidateQuote], house: NamedDependency[House]) -> QuoteValidated:
        """What is wrong with a quote, before it is submitted."""
        return await house.ask(data, within_s=ANSWER_WITHIN_S)

    @post("/quotes", status_code=202, opt=EDGE.but(scope="quotes:write", idempotency="required").opt)
    async def submit(self, data: JSONBody[SubmitQuote], house: NamedDependency[House]) -> Response[Accepted]:
        """Submit a quote version; whoever holds the token has submitted it, whatever the body says."""
        return _follow(await house.ask(msgspec.structs.replace(data, submitted_by=current().actor), within_s=ANSWER_WITHIN_S))

    @post("/quotes/decisions", status_code=202, opt=EDGE.but(scope="quotes:decide", idempotency="optional").opt)
    async def decide(self, data: JSONBody[DecideQuote], house: NamedDependency[House]) -> Response[Accepted]:
        """Approve, reject, sign or decline a version that waits for it."""
        return _follow(await house.ask(data, within_s=ANSWER_WITHIN_S))

    @get("/quotes/{correlation_id:str}", opt=EDGE.but(scope="transactions:read").opt)
    async def follow(self, correlation_id: FromPath[str], house: NamedDependency[House]) -> QuoteProgress:
        """How far a quote has come."""
        row = await house.store.transaction(current().tenant, correlation_id)
        if row is None:
            raise Problem(404, "transaction_unknown", f"no transaction is called {correlation_id[:80]}")
        return QuoteProgress.of(row)

    @get("/quotes", opt=EDGE.but(scope="transactions:read").opt)
    async def latest(self, house: NamedDependency[House], limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50) -> list[QuoteProgress]:
        """The latest quotes."""
        rows = await house.store.transactions(current().tenant, limit=limit)
        return [QuoteProgress.of(row) for row in rows if row.quote_id]


def _follow(accepted: Accepted) -> Response[Accepted]:
    location = f"/experience/v1/sales/quotes/{accepted.correlation_id}"
    return Response(accepted, status_code=202, headers={"Location": location})
