"""The validation of a quote: read this first. All checks run at once, within one time budget; nothing is written."""

from canonical.quote import ValidateQuote
from process_apis.quote_validation import checks as c
from runtime.process.inquiry import Inquiry, check, consider

QUOTE_VALIDATION = Inquiry(
    name="quote_validation",
    answers=ValidateQuote,
    entity=c.entity,
    within_s=2.5,
    checks=(
        consider("totals", c.totals),
        consider("discounts", c.discounts),
        consider("expiry", c.expiry),
        consider("terms", c.terms),
        check("prices", c.prices, judge=c.judge_prices),
        check("items", c.items, judge=c.judge_items),
        check("customer", c.customer, judge=c.judge_customer),
        check("credit", c.credit, judge=c.judge_credit),
        check("tax", c.tax, judge=c.judge_tax),
    ),
    missed=c.missed,
    conclude=c.conclude,
)
