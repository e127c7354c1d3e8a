"""Three tuples: what this gateway consists of. The table of contents."""

from process_apis.cash_application.process import CASH_APPLICATION
from process_apis.invoicing.process import INVOICING
from process_apis.order_booking.process import ORDER_BOOKING
from process_apis.quote_approval.process import quote_approval
from process_apis.quote_approval.rules import Rules
from process_apis.quote_validation.inquiry import QUOTE_VALIDATION
from runtime.process.declare import Process
from runtime.process.inquiry import Inquiry
from system_apis.avalara.connector import AVALARA
from system_apis.bank_files.connector import BANK_FILES
from system_apis.connector import Connector
from system_apis.kantata.connector import KANTATA
from system_apis.netsuite.connector import NETSUITE
from system_apis.salesforce.connector import SALESFORCE
from system_apis.stripe.connector import STRIPE
from system_apis.tryton.connector import TRYTON

CONNECTORS: tuple[Connector, ...] = (SALESFORCE, NETSUITE, TRYTON, STRIPE, AVALARA, KANTATA, BANK_FILES)

INQUIRIES: tuple[Inquiry, ...] = (QUOTE_VALIDATION,)


def processes(rules: Rules) -> tuple[Process, ...]:
    """Every table, under the approval rules of this installation."""
    return (quote_approval(rules), ORDER_BOOKING, INVOICING, CASH_APPLICATION)
