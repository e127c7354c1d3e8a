"""The card of Avalara AvaTax (REST v2)."""

from datetime import timedelta

from canonical.tax import CommitTax, EstimateTax, VoidTax
from system_apis.avalara import tax
from system_apis.avalara.client import AvalaraClient
from system_apis.avalara.failures import FAILURES
from system_apis.avalara.settings import AvalaraSettings
from system_apis.connector import Connector, Limit, Once, Operation, Resource

AVALARA = Connector(
    name="avalara",
    title="Avalara AvaTax",
    settings=AvalaraSettings,
    client=AvalaraClient,
    failures=FAILURES,
    limit=Limit(in_flight_max=10, per_minute_max=600),  # AvaTax publishes none
    does={
        EstimateTax: Operation(tax.estimate),
        CommitTax: Operation(tax.commit, once=Once.EXTERNAL_ID_UPSERT, find=tax.find_committed, settles_in=timedelta(minutes=1)),
        VoidTax: Operation(tax.void, once=Once.UNIQUE_FIELD, find=tax.find_voided, settles_in=timedelta(minutes=1)),
    },
    resources={"tax-estimates": Resource(post=EstimateTax), "tax-documents": Resource(post=CommitTax)},
)
