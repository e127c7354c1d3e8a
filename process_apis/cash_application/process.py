"""The application of a payment: read this first."""

from canonical.payment import AllocationDecided, PaymentSettled, ReceivePayment
from process_apis.cash_application import steps as s
from runtime.process.declare import PATIENT, Process, ask, ask_each, days, decide, point_of_no_return, tell, wait

CASH_APPLICATION = Process(
    name="cash_application",
    version=1,
    starts_on=ReceivePayment,
    also_on=(PaymentSettled,),
    memory=s.Memory,
    begin=s.begin,
    key=s.payment_id,
    finish_within=days(10),
    steps=(
        ask("find_open_invoices", s.open_invoices, learn=s.keep_match, retry=PATIENT),
        tell("allocation_requested", s.allocation_requested, when=s.needs_person),
        wait(
            "allocation",
            AllocationDecided,
            key=s.waiting_key,
            event_key=s.decided_key,
            learn=s.keep_allocation,
            within=days(7),
            late=s.nobody_allocated,
            case=s.allocation_case,
            when=s.needs_person,
        ),
        decide("allocated", s.is_allocated, otherwise=s.why_not),
        point_of_no_return(),  # the money is here: from now on an ERP that refuses stops the instance, and a person is called
        ask("apply_in_erp", s.apply, learn=s.keep_applied, retry=PATIENT),
        ask_each("show_in_crm", s.records, retry=PATIENT),
        tell("cash_applied", s.applied),
    ),
    entity=s.entity,
    if_undone=s.not_applied,
    relates=s.orders,
    shows=s.shows,
    owner="finance-operations",
    rank=1,
)
