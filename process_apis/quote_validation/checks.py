"""What each check of a quote asks and how it judges the answer: pure functions, in the order of the table."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from canonical.customer import CheckCredit, CreditChecked, CustomerFound, FindCustomer
from canonical.failures import Failure, Misconfigured, Rejected
from canonical.item import FindItems, FindPrices, ItemsFound, PriceBookEntry, PricesFound
from canonical.messages import Event
from canonical.money import Money
from canonical.order import Order, OrderLine
from canonical.quote import Finding, Quote, QuoteLine, QuoteValidated, Severity, ValidateQuote
from canonical.tax import EstimateTax, TaxDocument, TaxEstimated

DISCOUNT_MAX = Decimal(60)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one check has to say."""

    findings: tuple[Finding, ...] = ()
    tax: Money | None = None
    made: bool = True


def entity(question: ValidateQuote) -> str:
    return question.quote.entity


def _finding(check: str, code: str, message: str, pointer: str = "", severity: Severity = "error") -> Finding:
    return Finding(code=code, severity=severity, message=message, pointer=pointer, check=check)


def totals(question: ValidateQuote) -> Verdict:
    """Line totals follow from quantity, price and discount; the quote's total is their sum; one currency throughout."""
    return Verdict(findings=add_up(question.quote, "/quote"))


def add_up(quote: Quote | Order, root: str) -> tuple[Finding, ...]:
    """What does not add up in a quote or an order; ``root`` is the pointer to it."""
    lines: Sequence[QuoteLine | OrderLine] = quote.lines
    by_line = (_line_adds_up(line, quote.currency, f"{root}/lines/{index}") for index, line in enumerate(lines))
    found = [finding for finding in by_line if finding is not None]
    if quote.total.currency != quote.currency:
        found.append(_finding("totals", "currency_mismatch", f"the total is not in {quote.currency}", f"{root}/total"))
    elif not found:
        found += _total_adds_up(lines, quote.total, f"{root}/total")
    numbers = [line.number for line in lines]
    if not numbers:
        found.append(_finding("totals", "no_lines", "there is nothing on it", f"{root}/lines"))
    if len(set(numbers)) != len(numbers):
        found.append(_finding("totals", "line_number_repeated", "two lines have the same number", f"{root}/lines"))
    return tuple(found)


def _line_adds_up(line: QuoteLine | OrderLine, currency: str, pointer: str) -> Finding | None:
    if {line.unit_price.currency, line.net_total.currency} != {currency}:
        return _finding("totals", "currency_mismatch", f"line {line.number} is not in {currency}", pointer)
    try:
        expected = line.unit_price.times(line.quantity.number, line.discount.number)
    except ValueError:  # more digits than an amount may have
        return _finding("totals", "amount_too_large", f"line {line.number} comes to more than can be charged", pointer)
    if expected == line.net_total:
        return None
    message = f"line {line.number} should come to {expected}, not {line.net_total}"
    return _finding("totals", "line_total_wrong", message, f"{pointer}/net_total")


def _total_adds_up(lines: Sequence[QuoteLine | OrderLine], said: Money, pointer: str) -> list[Finding]:
    try:
        total = Money.total((line.net_total for line in lines), said.currency)
    except ValueError:  # likewise
        return [_finding("totals", "amount_too_large", "the lines come to more than can be charged", pointer)]
    return [] if total == said else [_finding("totals", "total_wrong", f"the lines come to {total}, not {said}", pointer)]


def discounts(question: ValidateQuote) -> Verdict:
    """No discount beyond what may be given at all; what needs approval is said as a warning by the approval rules."""
    found = [
        _finding(
            "discounts",
            "discount_too_deep",
            f"line {line.number}: a discount of {line.discount.percent} % is above the limit of {DISCOUNT_MAX} %",
            f"/quote/lines/{index}/discount",
        )
        for index, line in enumerate(question.quote.lines)
        if line.discount.number > DISCOUNT_MAX
    ]
    return Verdict(findings=tuple(found))


def expiry(question: ValidateQuote) -> Verdict:
    """The quote must not have expired on the day of the question, nor expire before it was issued."""
    quote = question.quote
    today = question.as_of or dt.datetime.now(dt.UTC).date()
    if quote.expires_on < quote.issued_on:
        return Verdict(findings=(_finding("expiry", "expiry_before_issue", "the quote expires before it is issued", "/quote/expires_on"),))
    if quote.expires_on < today:
        message = f"the quote expired on {quote.expires_on}"
        return Verdict(findings=(_finding("expiry", "quote_expired", message, "/quote/expires_on"),))
    return Verdict()


def terms(question: ValidateQuote) -> Verdict:
    """A recurring line needs a term: without it nobody knows what is charged when."""
    found = [
        _finding("terms", "term_missing", f"line {line.number} is recurring and has no term", f"/quote/lines/{index}/term")
        for index, line in enumerate(question.quote.lines)
        if line.charge_type == "recurring" and line.term is None
    ]
    return Verdict(findings=tuple(found))


def _codes(quote: Quote) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.item_code for line in quote.lines))


def prices(question: ValidateQuote) -> FindPrices:
    quote = question.quote
    return FindPrices(price_book=quote.price_book, currency=quote.currency, item_codes=_codes(quote))


def judge_prices(question: ValidateQuote, reply: PricesFound) -> Verdict:
    """Each line's unit price is the list price of the day in the quote's price book and currency."""
    quote = question.quote
    found = [
        finding
        for index, line in enumerate(quote.lines)
        if (finding := _judge_price(quote, line, f"/quote/lines/{index}", reply.entries)) is not None
    ]
    return Verdict(findings=tuple(found))


def _judge_price(quote: Quote, line: QuoteLine, pointer: str, entries: Sequence[PriceBookEntry]) -> Finding | None:
    entry = next((e for e in entries if e.item_code == line.item_code and _holds(e, quote.issued_on)), None)
    if entry is None:
        message = f"line {line.number}: {line.item_code} has no price in {quote.currency} in price book {quote.price_book}"
        return _finding("prices", "price_missing", message, f"{pointer}/item_code")
    if not entry.active:
        message = f"line {line.number}: the price of {line.item_code} in {quote.currency} is not active"
        return _finding("prices", "price_inactive", message, f"{pointer}/item_code")
    if entry.unit_price != line.unit_price:
        message = f"line {line.number}: the list price of {line.item_code} is {entry.unit_price}, not {line.unit_price}"
        return _finding("prices", "price_differs", message, f"{pointer}/unit_price")
    return None


def _holds(entry: PriceBookEntry, day: dt.date) -> bool:
    return (entry.effective_from or day) <= day <= (entry.effective_to or day)


def items(question: ValidateQuote) -> FindItems:
    return FindItems(item_codes=_codes(question.quote))


def judge_items(question: ValidateQuote, reply: ItemsFound) -> Verdict:
    """Every item exists, is active, and is there in the quantity that is sold."""
    known = {item.code: item for item in reply.items}
    found = []
    for index, line in enumerate(question.quote.lines):
        item, pointer = known.get(line.item_code), f"/quote/lines/{index}/item_code"
        if item is None:
            found.append(_finding("items", "item_unknown", f"line {line.number}: the ERP has no item {line.item_code}", pointer))
        elif not item.active:
            found.append(_finding("items", "item_inactive", f"line {line.number}: {line.item_code} is not sold any more", pointer))
        elif item.available is not None and item.available.number < line.quantity.number:
            message = f"line {line.number}: {item.available.amount} of {line.item_code} are available, {line.quantity.amount} are quoted"
            found.append(_finding("items", "not_available", message, f"/quote/lines/{index}/quantity", "warning"))
    return Verdict(findings=tuple(found))


def customer(question: ValidateQuote) -> FindCustomer:
    return FindCustomer(customer_id=question.quote.customer.id)


def judge_customer(question: ValidateQuote, reply: CustomerFound) -> Verdict:
    """The CRM knows the customer, under the same name and in the same currency."""
    asked, known = question.quote.customer, reply.customer
    if known is None:
        message = f"the CRM knows no customer {asked.id}"
        return Verdict(findings=(_finding("customer", "customer_unknown", message, "/quote/customer/id"),))
    found = []
    if known.legal_name.casefold() != asked.legal_name.casefold():
        message = f"customer {asked.id} is called {known.legal_name} in the CRM"
        found.append(_finding("customer", "customer_name_differs", message, "/quote/customer/legal_name", "warning"))
    return Verdict(findings=tuple(found))


def credit(question: ValidateQuote) -> CheckCredit:
    asked = question.quote.customer
    return CheckCredit(customer_id=asked.id, customer_name=asked.legal_name, currency=question.quote.currency)


def judge_credit(question: ValidateQuote, reply: CreditChecked) -> Verdict:
    """The customer is not on hold, and the quote stays within the credit limit."""
    total = question.quote.total
    if reply.on_hold:
        message = f"{question.quote.customer.legal_name} is on credit hold"
        return Verdict(findings=(_finding("credit", "credit_hold", message, "/quote/customer"),))
    if reply.limit is None or reply.limit.currency != total.currency:
        return Verdict()
    balance = reply.open_balance if reply.open_balance and reply.open_balance.currency == total.currency else Money.zero(total.currency)
    if balance + total > reply.limit:
        message = f"open balance {balance} and this quote exceed the credit limit of {reply.limit}"
        return Verdict(findings=(_finding("credit", "credit_limit", message, "/quote/total"),))
    return Verdict()


def tax(question: ValidateQuote) -> EstimateTax:
    return EstimateTax(document=TaxDocument.of(question.quote, question.quote.key, question.quote.issued_on))


def judge_tax(question: ValidateQuote, reply: TaxEstimated) -> Verdict:
    """The estimate is in the quote's currency."""
    if reply.total.currency != question.quote.currency:
        return Verdict(findings=(_finding("tax", "tax_currency", f"tax was estimated in {reply.total.currency}", "", "warning"),))
    return Verdict(tax=reply.total)


MISSED = {
    "unreachable": "the system behind it cannot be reached",
    "too_slow": "the system behind it did not answer in time",
    "no_answer": "the system behind it did not answer in time",
    "throttled": "the system behind it is busy",
}


def missed(_question: ValidateQuote, check: str, failure: Failure) -> Verdict:
    """What could not be checked is said, never passed over: refused is an error, away or slow a warning. Nothing of the inside shows."""
    if isinstance(failure, Rejected):
        return Verdict(findings=(_finding(check, failure.code, failure.detail, failure.pointer),))
    said = MISSED.get(failure.code, "the system behind it has failed")
    if isinstance(failure, Misconfigured):
        return Verdict(findings=(_finding(check, failure.code, f"{check} could not be checked: {failure.detail}"),), made=False)
    return Verdict(findings=(_finding(check, "not_checked", f"{check} could not be checked: {said}", "", "warning"),), made=False)


def conclude(question: ValidateQuote, verdicts: Sequence[Verdict]) -> Event:
    """The answer: all findings in table order, errors first."""
    quote = question.quote
    findings = [finding for verdict in verdicts for finding in verdict.findings]
    findings.sort(key=lambda finding: finding.severity != "error")
    return QuoteValidated(
        quote_id=quote.id,
        version=quote.version,
        valid=not any(finding.severity == "error" for finding in findings),
        complete=all(verdict.made for verdict in verdicts),
        findings=tuple(findings),
        tax_estimate=next((verdict.tax for verdict in verdicts if verdict.tax is not None), None),
        total=quote.total,
    )
