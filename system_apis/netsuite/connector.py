"""The card of Oracle NetSuite (REST records, SuiteQL; SOAP for tax rates until its sunset)."""

from datetime import timedelta

from canonical.customer import CheckCredit, EnsureCustomer
from canonical.invoice import FindOpenInvoices, FindPostedInvoices
from canonical.item import FindItems
from canonical.order import CancelSalesOrder, CreateSalesOrder
from canonical.payment import ApplyPayment
from canonical.tax import FindTaxRates
from system_apis.connector import Connector, Limit, Once, Operation, Poll, Resource
from system_apis.netsuite import credit, customers, invoices, items, payments, sales_orders, soap_tax_rates
from system_apis.netsuite.client import NetSuiteClient
from system_apis.netsuite.failures import FAILURES
from system_apis.netsuite.settings import NetSuiteSettings

# NetSuite counts what is in flight over the whole account (5 in the smallest tier), not per minute: that figure only stops a runaway
CONCURRENCY = Limit(in_flight_max=5, per_minute_max=3000)
_UPSERT = Once.EXTERNAL_ID_UPSERT
_SETTLED = timedelta(seconds=5)  # looking too early does no harm: a second upsert under the same external id is the same record

NETSUITE = Connector(
    name="netsuite",
    title="Oracle NetSuite",
    settings=NetSuiteSettings,
    client=NetSuiteClient,
    failures=FAILURES,
    limit=CONCURRENCY,
    does={
        EnsureCustomer: Operation(customers.ensure, once=_UPSERT, find=customers.find_by_key, settles_in=_SETTLED),
        CheckCredit: Operation(credit.check),
        FindItems: Operation(items.find),
        CreateSalesOrder: Operation(sales_orders.create, once=_UPSERT, find=sales_orders.find_by_key, settles_in=_SETTLED),
        CancelSalesOrder: Operation(sales_orders.cancel, once=_UPSERT, find=sales_orders.find_cancelled, settles_in=_SETTLED),
        FindOpenInvoices: Operation(invoices.find_open),
        FindPostedInvoices: Operation(invoices.find_posted),
        ApplyPayment: Operation(payments.apply, once=_UPSERT, find=payments.find_by_key, settles_in=_SETTLED),
        FindTaxRates: Operation(soap_tax_rates.find),
    },
    loses={EnsureCustomer: ("customer.tax_registrations[1:]",)},
    resources={
        "customers": Resource(post=EnsureCustomer),
        "credit": Resource(get=CheckCredit),
        "items": Resource(get=FindItems),
        "orders": Resource(post=CreateSalesOrder),
        "invoices": Resource(get=FindOpenInvoices),
        "payments": Resource(post=ApplyPayment),
        "tax-rates": Resource(get=FindTaxRates),
    },
    polls=(
        Poll(
            name="posted_invoices",
            every_s=30.0,
            command=lambda cursor: FindPostedInvoices(cursor=cursor),
            translate=invoices.translate,
        ),
    ),
    sunsets=(soap_tax_rates.SUNSET,),
)
