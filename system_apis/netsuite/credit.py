"""The credit that NetSuite gives a customer: limit, hold, and what is open."""

from decimal import Decimal

import msgspec

from canonical.customer import CheckCredit, CreditChecked
from canonical.failures import Rejected
from system_apis.connector import Call
from system_apis.netsuite.client import NetSuiteClient
from system_apis.netsuite.customers import RECORD, CustomerRow
from system_apis.netsuite.wire import Ref, external_id, money, quoted

# wire shapes ---------------------------------------------------------------------------------------------------------


class CreditRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What we read of a customer's credit. The hold override is ON, OFF, or AUTO (by the limit)."""

    id: str
    currency: Ref = Ref()
    credit_limit: Decimal | None = None
    credit_hold_override: Ref = Ref()
    balance: Decimal | None = None
    unbilled_orders: Decimal | None = None


# mapping -------------------------------------------------------------------------------------------------------------


def to_credit(record: CreditRecord, currency: str, customer_currency: str) -> CreditChecked:
    """Limit, hold and what is open: the balance and what is ordered but not billed. Raises `Rejected` for another currency."""
    if customer_currency and customer_currency != currency:
        raise Rejected("credit_in_other_currency", f"NetSuite keeps the credit of this customer in {customer_currency}, not in {currency}")
    return CreditChecked(
        known=True,
        on_hold=record.credit_hold_override.id.upper() == "ON",
        limit=None if record.credit_limit is None else money(record.credit_limit, currency),
        open_balance=money(record.balance, currency) + money(record.unbilled_orders, currency),
    )


# operations ----------------------------------------------------------------------------------------------------------


async def check(call: Call, command: CheckCredit) -> CreditChecked:
    """Ask by our id, else by exact name; a customer whom NetSuite does not know has no credit to report."""
    client: NetSuiteClient = call.client
    found = await client.read(RECORD, f"eid:{external_id(command.customer_id)}", CreditRecord)
    if found is None:
        same_name = f"LOWER(companyname) = LOWER({quoted(command.customer_name)})"
        query = f"SELECT id, entityid, externalid FROM customer WHERE {same_name} AND isinactive = 'F' ORDER BY id"  # noqa: S608 - SuiteQL has no parameters; `quoted` doubles the quotes
        rows = await client.rows(query, CustomerRow, limit=2)
        found = await client.read(RECORD, rows[0].id, CreditRecord) if len(rows) == 1 else None
    if found is None:
        return CreditChecked(known=False)
    return to_credit(found, command.currency, await client.currency_code(found.currency.id))
