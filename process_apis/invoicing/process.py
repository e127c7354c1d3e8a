"""What happens when an invoice is posted, or its state changes: read this first."""

from canonical.invoice import InvoicePosted
from process_apis.invoicing import steps as s
from runtime.process.declare import PATIENT, Process, ask, hours, point_of_no_return, tell

INVOICING = Process(
    name="invoicing",
    version=1,
    starts_on=InvoicePosted,
    memory=s.Memory,
    begin=s.begin,
    key=s.invoice_key,
    finish_within=hours(4),
    steps=(
        point_of_no_return(),
        ask("show_in_crm", s.record, retry=PATIENT),
        tell("invoice_issued", s.issued),
    ),
    relates=s.order,
    shows=s.shows,
    owner="finance-operations",
    rank=2,
)
