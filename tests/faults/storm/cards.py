"""The connectors for the storm's vendors: a card for each, with the handle that its vendor gives."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from canonical.customer import CheckCredit, CreditChecked, CustomerEnsured, EnsureCustomer
from canonical.failures import Rejected
from canonical.money import Money
from canonical.order import CancelSalesOrder, CreateSalesOrder, CrmUpdated, MarkOrderBooked, SalesOrderCancelled, SalesOrderCreated
from canonical.project import CancelProject, OpenProject, ProjectCancelled, ProjectOpened
from canonical.provenance import ExternalId
from canonical.subscription import BillingClosed, BillingOpened, CloseBilling, OpenBilling
from canonical.tax import CommitTax, TaxCommitted, TaxVoided, VoidTax
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable, Meaning, VendorError
from system_apis.connector import Call, Connector, Limit, Once, Operation

DEADLINE_S = 2.0

# Longer than the vendor can be at a request: frozen for three seconds with it in hand, and not seen by look-ups for another half.
SETTLES_IN = dt.timedelta(seconds=6)
LIMIT = Limit(in_flight_max=64, per_minute_max=1_000_000)


class StormSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the vendor listens."""

    url: str


class Found(msgspec.Struct, frozen=True):
    """A record at the vendor."""

    id: str
    kind: str
    ref: str


class Records(msgspec.Struct, frozen=True):
    """What a look-up gives."""

    records: tuple[Found, ...]


class Sorry(msgspec.Struct, frozen=True):
    """The vendor's word for a failure."""

    error: str
    detail: str = ""


def _read(_status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    said = msgspec.json.decode(body, type=Sorry)
    return VendorError(said.error, said.detail)


FAILURES = FailureTable({"refused": Meaning(Rejected, "plan_not_sold"), "taken": Meaning(Rejected, "taken")}, _read)


class StormClient:
    """A vendor over HTTP."""

    def __init__(self, settings: StormSettings) -> None:
        self.http = HttpClient(settings.url, failures=FAILURES, deadline_s=DEADLINE_S)

    async def aclose(self) -> None:
        await self.http.aclose()


async def _make(call: Call, kind: str, ref: str, total: Money | None = None, plan: str = "") -> ExternalId:
    amount = {"amount": total.amount, "currency": total.currency} if total is not None else {}
    headers = {"Idempotency-Key": call.key}
    answer = await call.client.http.send("POST", f"/{kind}", json={"ref": ref, "plan": plan, **amount}, headers=headers)
    return _external(call, answer.decode(Found))


async def _undo(call: Call, kind: str, ref: str) -> None:
    answer = await call.client.http.send("POST", f"/{kind}/undo", json={"ref": ref}, headers={"Idempotency-Key": call.key})
    answer.decode(dict)


async def _find(call: Call, kind: str, ref: str) -> Found | None:
    answer = await call.client.http.send("GET", f"/{kind}", params={"ref": ref})
    records = answer.decode(Records).records
    return records[0] if records else None


def _external(call: Call, found: Found) -> ExternalId:
    return ExternalId(connection=call.connection, kind=found.kind, id=found.id)


async def credit(call: Call, command: CheckCredit) -> CreditChecked:
    await _find(call, "customer", command.customer_id)
    return CreditChecked(known=True)


async def customer(call: Call, command: EnsureCustomer) -> CustomerEnsured:
    return CustomerEnsured(customer=await _make(call, "customer", command.customer.id), created=True)


async def find_customer(call: Call, command: EnsureCustomer) -> CustomerEnsured | None:
    found = await _find(call, "customer", command.customer.id)
    return None if found is None else CustomerEnsured(customer=_external(call, found), created=False)


async def sales_order(call: Call, command: CreateSalesOrder) -> SalesOrderCreated:
    order = command.order
    return SalesOrderCreated(order_id=order.id, erp_ref=await _make(call, "sales_order", order.id, order.total), total=order.total)


async def find_sales_order(call: Call, command: CreateSalesOrder) -> SalesOrderCreated | None:
    found, order = await _find(call, "sales_order", command.order.id), command.order
    return None if found is None else SalesOrderCreated(order_id=order.id, erp_ref=_external(call, found), total=order.total)


async def cancel_sales_order(call: Call, command: CancelSalesOrder) -> SalesOrderCancelled:
    await _undo(call, "sales_order", command.order_id)
    return SalesOrderCancelled(order_id=command.order_id)


def _tax_of(command: CommitTax) -> Money:
    return Money.zero(command.document.currency)


async def tax(call: Call, command: CommitTax) -> TaxCommitted:
    try:
        reference = await _make(call, "tax_document", command.document.code, _tax_of(command))
    except Rejected as refused:
        found = await find_tax(call, command) if refused.code == "taken" else None
        if found is None:
            raise
        return found  # a field that is taken was taken by us
    return TaxCommitted(code=command.document.code, total=_tax_of(command), tax_ref=reference)


async def find_tax(call: Call, command: CommitTax) -> TaxCommitted | None:
    found = await _find(call, "tax_document", command.document.code)
    if found is None:
        return None
    return TaxCommitted(code=command.document.code, total=_tax_of(command), tax_ref=_external(call, found))


async def void_tax(call: Call, command: VoidTax) -> TaxVoided:
    await _undo(call, "tax_document", command.code)
    return TaxVoided(code=command.code)


async def billing(call: Call, command: OpenBilling) -> BillingOpened:
    wanted = command.subscription
    total = Money.total((line.net_total for line in wanted.lines), wanted.currency)
    reference = await _make(call, "subscription", wanted.order_id, total, plan=wanted.lines[0].item_code)
    return BillingOpened(order_id=wanted.order_id, billing_ref=reference)


async def close_billing(call: Call, command: CloseBilling) -> BillingClosed:
    await _undo(call, "subscription", command.order_id)
    return BillingClosed(order_id=command.order_id)


async def project(call: Call, command: OpenProject) -> ProjectOpened:
    wanted = command.project
    return ProjectOpened(order_id=wanted.order_id, project_ref=await _make(call, "project", wanted.order_id, wanted.budget))


async def find_project(call: Call, command: OpenProject) -> ProjectOpened | None:
    found = await _find(call, "project", command.project.order_id)
    return None if found is None else ProjectOpened(order_id=command.project.order_id, project_ref=_external(call, found))


async def cancel_project(call: Call, command: CancelProject) -> ProjectCancelled:
    await _undo(call, "project", command.order_id)
    return ProjectCancelled(order_id=command.order_id)


async def won(call: Call, command: MarkOrderBooked) -> CrmUpdated:
    return CrmUpdated(reference=await _make(call, "opportunity_won", command.order_id, command.total))


def _card(name: str, does: Mapping[type[Any], Operation]) -> Connector:
    title = f"the storm's {name}"
    return Connector(name=name, title=title, settings=StormSettings, client=StormClient, failures=FAILURES, does=does, limit=LIMIT)


CARDS = (
    _card(
        "storm_erp",
        {
            CheckCredit: Operation(credit),
            EnsureCustomer: Operation(customer, once=Once.EXTERNAL_ID_UPSERT, find=find_customer, settles_in=SETTLES_IN),
            CreateSalesOrder: Operation(sales_order, once=Once.EXTERNAL_ID_UPSERT, find=find_sales_order, settles_in=SETTLES_IN),
            CancelSalesOrder: Operation(cancel_sales_order, once=Once.EXTERNAL_ID_UPSERT),
        },
    ),
    _card(
        "storm_tax",
        {
            CommitTax: Operation(tax, once=Once.UNIQUE_FIELD, find=find_tax, settles_in=SETTLES_IN),
            VoidTax: Operation(void_tax, once=Once.EXTERNAL_ID_UPSERT),
        },
    ),
    _card(
        "storm_billing",
        {OpenBilling: Operation(billing, once=Once.NATIVE_KEY), CloseBilling: Operation(close_billing, once=Once.NATIVE_KEY)},
    ),
    _card(
        "storm_psa",
        {
            OpenProject: Operation(project, once=Once.LOCK_AND_PROBE, find=find_project, settles_in=SETTLES_IN),
            CancelProject: Operation(cancel_project, once=Once.EXTERNAL_ID_UPSERT),
        },
    ),
    _card("storm_crm", {MarkOrderBooked: Operation(won, once=Once.EXTERNAL_ID_UPSERT)}),
)
