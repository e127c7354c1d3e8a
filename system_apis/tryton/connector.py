"""THE CARD of Tryton 8.2: an ERP that gives no idempotency key, so every write looks first, and goes on from what it finds."""

from datetime import timedelta

from canonical.customer import CheckCredit, EnsureCustomer
from canonical.invoice import FindOpenInvoices, FindPostedInvoices
from canonical.item import FindItems
from canonical.order import CancelSalesOrder, CreateSalesOrder
from canonical.payment import ApplyPayment
from canonical.tax import FindTaxRates
from system_apis.connector import Connector, Limit, Once, Operation, Poll, Resource
from system_apis.tryton import customers, invoices, items, payments, sales_order_cancellation, sales_orders, tax
from system_apis.tryton.client import TrytonClient
from system_apis.tryton.failures import FAILURES
from system_apis.tryton.settings import TrytonSettings

SETTLES_IN = timedelta(seconds=30)  # longer than one of our calls may take: a transaction that is still running then has been given up

TRYTON = Connector(
    name="tryton",
    title="Tryton 8.2",
    settings=TrytonSettings,
    client=TrytonClient,
    failures=FAILURES,
    limit=Limit(in_flight_max=4, per_minute_max=600),  # one server process; on SQLite it writes one transaction at a time
    does={
        EnsureCustomer: Operation(customers.ensure, once=Once.UNIQUE_FIELD, find=customers.find_by_key, settles_in=SETTLES_IN),
        FindItems: Operation(items.find),
        CheckCredit: Operation(customers.check_credit),
        CreateSalesOrder: Operation(sales_orders.create, once=Once.LOCK_AND_PROBE, find=sales_orders.find_by_key, settles_in=SETTLES_IN),
        CancelSalesOrder: Operation(
            sales_order_cancellation.cancel,
            once=Once.LOCK_AND_PROBE,
            find=sales_order_cancellation.find_cancelled,
            settles_in=SETTLES_IN,
        ),
        FindOpenInvoices: Operation(invoices.find_open),
        FindPostedInvoices: Operation(invoices.find_posted),
        ApplyPayment: Operation(payments.apply, once=Once.LOCK_AND_PROBE, find=payments.find_by_key, settles_in=SETTLES_IN),
        FindTaxRates: Operation(tax.find_rates),
    },
    resources={
        "customers": Resource(post=EnsureCustomer),
        "items": Resource(get=FindItems),
        "credit": Resource(get=CheckCredit),
        "sales-orders": Resource(post=CreateSalesOrder),
        "invoices": Resource(get=FindOpenInvoices),
        "payments": Resource(post=ApplyPayment),
        "tax-rates": Resource(get=FindTaxRates),
    },
    polls=(
        Poll(
            name="posted_invoices",
            every_s=30.0,
            command=lambda cursor: FindPostedInvoices(cursor=cursor),
            translate=invoices.posted_events,
        ),
    ),
)
