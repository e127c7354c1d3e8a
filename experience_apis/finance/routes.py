"""The finance API: open allocations, and deciding on them."""

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from canonical.messages import Accepted
from canonical.payment import DecideAllocation
from experience_apis.finance.views import OpenAllocation
from policies.declare import EDGE
from runtime.context import current
from runtime.house import House

ANSWER_WITHIN_S = 8.0


class Finance(Controller):
    """Cash that has arrived and waits for a person."""

    path = "/experience/v1/finance"
    tags = ("finance",)

    @get("/allocations", opt=EDGE.but(scope="cases:read").opt)
    async def open_allocations(
        self, house: NamedDependency[House], limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100
    ) -> list[OpenAllocation]:
        """Payments that wait for an allocation, oldest first, with ranked proposals."""
        rows = await house.store.cases(current().tenant, kind="allocation", status="open", limit=limit)
        return [OpenAllocation.of(row) for row in rows]

    @post("/allocations", status_code=202, opt=EDGE.but(scope="cases:write", idempotency="required").opt)
    async def allocate(self, data: JSONBody[DecideAllocation], house: NamedDependency[House]) -> Response[Accepted]:
        """Say which invoices a payment pays; an empty list leaves it unapplied."""
        accepted = await house.ask(data, within_s=ANSWER_WITHIN_S)
        return Response(accepted, status_code=202, headers={"Location": f"/process/v1/transactions/{accepted.correlation_id}"})
