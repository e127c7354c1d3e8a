"""Invoices are shown as records of Q2C_Invoice__c: its external id is the invoice number, so the same invoice again updates its record.

An invoice hangs at its opportunity and that opportunity's account; where the command names no opportunity, at the one that names its
order; else at its customer's account; else at nothing, findable by its number alone. What is attached is never detached by a later,
poorer message. Lines are not shown: the CRM shows head and amounts.
"""

from canonical.failures import Rejected
from canonical.invoice import Invoice, RecordInvoice
from canonical.order import CrmUpdated
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.salesforce import opportunities
from system_apis.salesforce.client import Value, record_path
from system_apis.salesforce.customers import AccountRow, account_path
from system_apis.salesforce.soql import columns

# ---------------------------------------------------------------- mapping


def invoice_path(invoice_id: str) -> str:
    """Where the invoice stands."""
    return record_path("Q2C_Invoice__c", "Q2C_Invoice_Id__c", invoice_id)


def invoice_values(invoice: Invoice, correlation_id: str) -> dict[str, Value]:
    """Head and amounts; what the message does not know is not touched."""
    values: dict[str, Value] = {
        "Name": invoice.id,
        "CurrencyIsoCode": invoice.currency,
        "Q2C_Total__c": invoice.total.number,
        "Q2C_Open_Amount__c": invoice.open_amount.number,
        "Q2C_Status__c": invoice.status,
        "Q2C_Issued_On__c": invoice.issued_on.isoformat(),
        "Q2C_ERP_Reference__c": str(invoice.external_id),
    }
    where_known: dict[str, Value] = {
        "Q2C_Tax_Total__c": invoice.tax_total.number if invoice.tax_total is not None else None,
        "Q2C_Due_On__c": invoice.due_on.isoformat() if invoice.due_on else None,
        "Q2C_Order_Number__c": invoice.order_id,
        "Q2C_Customer_Name__c": invoice.customer_name,
        "Q2C_Reference__c": invoice.reference,
        "Q2C_Correlation_Id__c": correlation_id,
    }
    return values | {name: value for name, value in where_known.items() if value not in {None, ""}}


def _reference(call: Call, record_id: str, invoice_id: str) -> CrmUpdated:
    return CrmUpdated(reference=ExternalId(connection=call.connection, kind="invoice", id=record_id, number=invoice_id))


# ---------------------------------------------------------------- operations


async def _attachment(call: Call, command: RecordInvoice) -> dict[str, Value]:
    invoice = command.invoice
    opportunity = None
    if command.opportunity_id:
        opportunity = await opportunities.lookup(call, command.opportunity_id)
        if opportunity is None:
            raise Rejected("unknown_opportunity", f"the CRM has no opportunity {command.opportunity_id}", pointer="/opportunity_id")
    elif invoice.order_id:
        opportunity = await opportunities.of_order(call, invoice.order_id)
    if opportunity is not None:
        account_of: dict[str, Value] = {"Q2C_Account__c": opportunity.account_id} if opportunity.account_id else {}
        return {"Q2C_Opportunity__c": opportunity.id} | account_of
    if invoice.customer_id:
        account = await call.client.read(account_path(invoice.customer_id), columns(AccountRow), AccountRow)
        if account is not None:
            return {"Q2C_Account__c": account.id}
    return {}


async def record(call: Call, command: RecordInvoice) -> CrmUpdated:
    """Show the invoice. Raises `Rejected("unknown_opportunity")` where the command names one that the CRM has not."""
    values = invoice_values(command.invoice, call.correlation_id) | await _attachment(call, command)
    record_id = await call.client.write(invoice_path(command.invoice.id), values)
    return _reference(call, record_id, command.invoice.id)


async def find_recorded(call: Call, command: RecordInvoice) -> CrmUpdated | None:
    """Whether the CRM shows the invoice with just these amounts."""
    record_id = await call.client.holds(invoice_path(command.invoice.id), invoice_values(command.invoice, call.correlation_id))
    return _reference(call, record_id, command.invoice.id) if record_id else None
