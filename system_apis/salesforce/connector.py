"""THE CARD of Salesforce: customers, prices, quotes, and what the CRM is told of orders, invoices and payments."""

from canonical.customer import FindCustomer
from canonical.invoice import RecordInvoice
from canonical.item import FindPrices
from canonical.order import MarkOrderBooked
from canonical.payment import RecordPayment
from canonical.quote import FetchQuote
from system_apis.connector import Connector, Limit, Once, Operation, Resource
from system_apis.salesforce import customers, invoices, items, opportunities, payments, quotes
from system_apis.salesforce.client import SalesforceClient
from system_apis.salesforce.failures import FAILURES
from system_apis.salesforce.settings import SalesforceSettings

SALESFORCE = Connector(
    name="salesforce",
    title="Salesforce with CPQ quotes",
    settings=SalesforceSettings,
    client=SalesforceClient,
    failures=FAILURES,
    limit=Limit(in_flight_max=20, per_minute_max=600),  # 25 long-running requests at once; the day's budget is the org's own
    does={
        FindCustomer: Operation(customers.find),
        FindPrices: Operation(items.find_prices),
        FetchQuote: Operation(quotes.fetch),
        MarkOrderBooked: Operation(opportunities.mark_booked, once=Once.EXTERNAL_ID_UPSERT, find=opportunities.find_booked),
        RecordInvoice: Operation(invoices.record, once=Once.EXTERNAL_ID_UPSERT, find=invoices.find_recorded),
        RecordPayment: Operation(payments.record, once=Once.EXTERNAL_ID_UPSERT, find=payments.find_recorded),
    },
    resources={
        "customers": Resource(get=FindCustomer),
        "prices": Resource(get=FindPrices),
        "quotes": Resource(get=FetchQuote),
    },
)
