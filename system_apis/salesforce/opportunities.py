"""An opportunity is won when its order is booked in all systems, and then names the order."""

import msgspec

from canonical.failures import Rejected
from canonical.order import CrmUpdated, MarkOrderBooked
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.salesforce.client import Value
from system_apis.salesforce.reading import is_record_id
from system_apis.salesforce.soql import literal

# ---------------------------------------------------------------- wire shapes

OPPORTUNITY_PREFIX = "006"


class OpportunityRow(msgspec.Struct, rename="pascal"):
    """An opportunity, as far as the house reads it."""

    id: str
    account_id: str | None = None
    our_id: str | None = msgspec.field(name="Q2C_Id__c", default=None)
    order_number: str | None = msgspec.field(name="Q2C_Order_Number__c", default=None)


# ---------------------------------------------------------------- mapping


def booked_values(call: Call, command: MarkOrderBooked) -> dict[str, Value]:
    """What the opportunity says of its order. The total is a text with its currency: the order's may differ from the opportunity's."""
    return {
        "StageName": call.settings.stage_won,
        "Q2C_Order_Number__c": command.order_id,
        "Q2C_ERP_Reference__c": str(command.erp_ref),
        "Q2C_Order_Total__c": str(command.total),
        "Q2C_Correlation_Id__c": call.correlation_id,
    }


def _reference(call: Call, record_id: str, opportunity_id: str) -> CrmUpdated:
    return CrmUpdated(reference=ExternalId(connection=call.connection, kind="opportunity", id=record_id, number=opportunity_id))


# ---------------------------------------------------------------- operations


async def lookup(call: Call, opportunity_id: str) -> OpportunityRow | None:
    """The opportunity by our id, or by its record id. Raises `Rejected` where the org has the id twice."""
    by_record = is_record_id(opportunity_id, OPPORTUNITY_PREFIX)
    condition = f"{'Id' if by_record else 'Q2C_Id__c'} = {literal(opportunity_id)}"
    rows: list[OpportunityRow] = await call.client.query(OpportunityRow, "Opportunity", condition)
    exact = [row for row in rows if by_record or row.our_id == opportunity_id]
    if len(exact) > 1:
        raise Rejected("ambiguous_external_id", f"{len(exact)} opportunities are called {opportunity_id}")
    return exact[0] if exact else None


async def of_order(call: Call, order_id: str) -> OpportunityRow | None:
    """The one opportunity that names the order; None where none or several do."""
    rows: list[OpportunityRow] = await call.client.query(OpportunityRow, "Opportunity", f"Q2C_Order_Number__c = {literal(order_id)}")
    exact = [row for row in rows if row.order_number == order_id]
    return exact[0] if len(exact) == 1 else None


async def mark_booked(call: Call, command: MarkOrderBooked) -> CrmUpdated:
    """Win the opportunity for the order. Raises `Rejected`: unknown_opportunity (also for an empty id), or opportunity_already_booked
    where it names another order and settings allow but one.
    """
    row = await lookup(call, command.opportunity_id) if command.opportunity_id else None
    if row is None:
        named = command.opportunity_id or "(none)"
        raise Rejected("unknown_opportunity", f"the CRM has no opportunity {named}", pointer="/opportunity_id")
    if call.settings.orders_per_opportunity == "one" and row.order_number not in {None, "", command.order_id}:
        raise Rejected("opportunity_already_booked", f"{command.opportunity_id} names order {row.order_number}", pointer="/opportunity_id")
    record_id = await call.client.write(f"Opportunity/{row.id}", booked_values(call, command))
    return _reference(call, record_id, command.opportunity_id)


async def find_booked(call: Call, command: MarkOrderBooked) -> CrmUpdated | None:
    """Whether the opportunity says all that was to be said of the order."""
    row = await lookup(call, command.opportunity_id) if command.opportunity_id else None
    if row is None or await call.client.holds(f"Opportunity/{row.id}", booked_values(call, command)) is None:
        return None
    return _reference(call, row.id, command.opportunity_id)
