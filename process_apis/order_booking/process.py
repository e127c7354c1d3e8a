"""The booking of an order: read this first."""

from canonical.order import BookOrder
from process_apis.order_booking import steps as s
from runtime.process.declare import PATIENT, Process, ask, decide, hours, point_of_no_return, tell

ORDER_BOOKING = Process(
    name="order_booking",
    version=1,
    starts_on=BookOrder,
    memory=s.Memory,
    begin=s.begin,
    key=s.order_id,
    finish_within=hours(4),
    steps=(
        ask("check_credit", s.credit, learn=s.keep_credit, retry=PATIENT),
        decide("credit_ok", s.credit_ok, otherwise=s.no_credit),
        ask("ensure_customer", s.customer, learn=s.keep_customer, retry=PATIENT),
        ask("commit_tax", s.tax, learn=s.keep_tax, undo=s.void_tax, retry=PATIENT),
        ask("book_in_erp", s.sales_order, learn=s.keep_erp, undo=s.cancel_sales_order, retry=PATIENT),
        ask("open_billing", s.billing, learn=s.keep_billing, undo=s.close_billing, retry=PATIENT, when=s.has_subscription),
        ask("open_project", s.project, learn=s.keep_project, undo=s.cancel_project, retry=PATIENT, when=s.has_services),
        point_of_no_return(),
        ask("update_crm", s.won, retry=PATIENT, when=s.has_opportunity),
        tell("order_booked", s.booked),
    ),
    entity=s.entity,
    if_undone=s.rejected,
    shows=s.shows,
    owner="sales-operations",
    rank=3,
)
