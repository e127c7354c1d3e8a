"""What was paid is shown as records of Q2C_Payment__c, one for each invoice that a payment pays; their external id joins the two ids.

A payment may arrive before the CRM has heard of its invoice (an old one, or one whose news is still on the way). It is then shown at a
record of the invoice that holds no more than its number, and that the invoice fills when it comes: both use the same external id.
"""

import msgspec

from canonical.order import CrmUpdated
from canonical.payment import RecordPayment
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.salesforce.client import Value, record_path
from system_apis.salesforce.invoices import invoice_path

# ---------------------------------------------------------------- wire shapes


class InvoiceRow(msgspec.Struct, rename="pascal"):
    """The record of an invoice, as far as a payment needs it."""

    id: str


# ---------------------------------------------------------------- mapping


def payment_path(command: RecordPayment) -> str:
    """Where the payment of this invoice stands; "|" cannot occur in an id, so that no two pairs share a key."""
    return record_path("Q2C_Payment__c", "Q2C_Payment_Key__c", f"{command.payment_id}|{command.allocation.invoice_id}")


def payment_values(command: RecordPayment, correlation_id: str) -> dict[str, Value]:
    """Amount, day and origin; without a correlation id the one that is there stays."""
    allocation = command.allocation
    values: dict[str, Value] = {
        "CurrencyIsoCode": allocation.amount.currency,
        "Q2C_Amount__c": allocation.amount.number,
        "Q2C_Paid_On__c": command.paid_on.isoformat(),
        "Q2C_Payment_Id__c": command.payment_id,
    }
    return values | ({"Q2C_Correlation_Id__c": correlation_id} if correlation_id else {})


def placeholder_values(command: RecordPayment) -> dict[str, Value]:
    """An invoice of which no more is known than what the payment says."""
    allocation = command.allocation
    return {
        "Name": allocation.invoice_id,
        "CurrencyIsoCode": allocation.amount.currency,
        "Q2C_ERP_Reference__c": str(allocation.invoice),
    }


def _reference(call: Call, record_id: str, command: RecordPayment) -> CrmUpdated:
    return CrmUpdated(reference=ExternalId(connection=call.connection, kind="payment", id=record_id, number=command.payment_id))


# ---------------------------------------------------------------- operations


async def record(call: Call, command: RecordPayment) -> CrmUpdated:
    """Show the payment at its invoice; the same payment of the same invoice again changes nothing."""
    path = invoice_path(command.allocation.invoice_id)
    invoice = await call.client.read(path, ["Id"], InvoiceRow)
    invoice_record = invoice.id if invoice else await call.client.write(path, placeholder_values(command))
    values = payment_values(command, call.correlation_id) | {"Q2C_Invoice__c": invoice_record}
    return _reference(call, await call.client.write(payment_path(command), values), command)


async def find_recorded(call: Call, command: RecordPayment) -> CrmUpdated | None:
    """Whether the CRM shows the payment with just this amount."""
    record_id = await call.client.holds(payment_path(command), payment_values(command, call.correlation_id))
    return _reference(call, record_id, command) if record_id else None
