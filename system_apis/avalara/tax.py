"""Tax at Avalara: a SalesOrder is an estimate that leaves no trace, a SalesInvoice is the document that is reported to the authorities.

Our document code is AvaTax's document code (shortened with a hash where it is longer than 50 characters), so the same code is the same
document there. ``referenceCode`` keeps our code in full, ``description`` the correlation id and the step key.
"""

import datetime as dt
import textwrap
from decimal import Decimal

import msgspec

from canonical.customer import Address, Customer
from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected
from canonical.money import Money
from canonical.provenance import ExternalId
from canonical.tax import CommitTax, EstimateTax, TaxableLine, TaxCommitted, TaxDocument, TaxEstimated, TaxLine, TaxVoided, VoidTax
from runtime.http.client import Response
from runtime.keys import vendor_key
from system_apis.avalara.failures import ALREADY_VOID, CLOSED_PERIOD, NOT_FOUND
from system_apis.avalara.settings import AvalaraSettings, Company
from system_apis.connector import Call

CODE_LENGTH_MAX = 50
_LINE_LENGTH_MAX = 50
_EXPONENT_MAX = 18  # far beyond any amount; keeps an absurd exponent from becoming a megabyte of digits

# --------------------------------------------------------------------------------------------------- wire shapes: what we send


class AddressOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """AvaTax AddressLocationInfo."""

    line1: str = ""
    line2: str = ""
    line3: str = ""
    city: str = ""
    region: str = ""
    country: str
    postal_code: str = ""


class AddressesOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Either where it goes from and to, or one place for both."""

    single_location: AddressOut | None = None
    ship_from: AddressOut | None = None
    ship_to: AddressOut | None = None


class LineOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """AvaTax LineItemModel; ``amount`` is the net total of the line, not a unit price."""

    number: str
    quantity: Decimal
    amount: Decimal
    item_code: str
    tax_code: str = ""


class TransactionOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """AvaTax CreateTransactionModel."""

    type: str
    company_code: str
    code: str
    date: dt.date
    customer_code: str
    currency_code: str
    commit: bool
    addresses: AddressesOut
    lines: tuple[LineOut, ...]
    reference_code: str
    description: str
    business_identification_no: str = ""


class CreateOrAdjustOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """AvaTax CreateOrAdjustTransactionModel."""

    create_transaction_model: TransactionOut
    adjustment_description: str
    adjustment_reason: str = "Other"


# --------------------------------------------------------------------------------------------------- wire shapes: what we read


class LineIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line as AvaTax shows it."""

    line_number: str | None = None
    line_amount: Decimal | None = None
    tax: Decimal | None = None


class TransactionIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A transaction as AvaTax shows it; every field may be missing."""

    code: str | None = None
    type: str | None = None
    status: str | None = None
    reference_code: str | None = None
    currency_code: str | None = None
    total_amount: Decimal | None = None
    total_tax: Decimal | None = None
    lines: tuple[LineIn, ...] | None = None


# --------------------------------------------------------------------------------------------------- mapping


def company_of(settings: AvalaraSettings, entity: str) -> Company:
    """The AvaTax company of a legal entity."""
    try:
        return settings.companies[entity]
    except KeyError:
        raise Misconfigured("entity_not_mapped", f"no AvaTax company is set for the legal entity {entity}") from None


def transaction(call: Call, document: TaxDocument, *, commit: bool) -> TransactionOut:
    """The document in AvaTax's words. Raises `Rejected` for what AvaTax could only keep in part."""
    company = company_of(call.settings, document.entity)
    if len({line.number for line in document.lines}) < len(document.lines):
        raise Rejected("line_number_twice", "tax is answered by line number, so each number may stand once", pointer="/document/lines")
    return TransactionOut(
        type="SalesInvoice" if commit else "SalesOrder",
        company_code=company.code,
        code=vendor_key(document.code, CODE_LENGTH_MAX),
        date=document.date,
        customer_code=vendor_key(document.customer.id, CODE_LENGTH_MAX),
        currency_code=document.currency,
        commit=commit,
        addresses=_addresses(company, document),
        lines=tuple(_line(line, document.currency, index) for index, line in enumerate(document.lines)),
        reference_code=document.code,
        description=f"{call.correlation_id} {call.key}",
        business_identification_no=_buyer_tax_number(document.customer, _destination(document).country),
    )


def _line(line: TaxableLine, currency: str, index: int) -> LineOut:
    if line.amount.currency != currency:
        raise Rejected("currency_mismatch", f"the line is in {line.amount.currency}", pointer=f"/document/lines/{index}/amount/currency")
    return LineOut(
        number=str(line.number),
        quantity=line.quantity.number,
        amount=line.amount.number,
        item_code=_within(line.item_code, 50, f"/document/lines/{index}/item_code"),
        tax_code=_within(line.tax_code, 25, f"/document/lines/{index}/tax_code"),
    )


def _destination(document: TaxDocument) -> Address:
    address = document.ship_to or document.customer.ship_to or document.customer.bill_to
    if address is None:
        raise Rejected("address_missing", "tax depends on where it is delivered, and no address is known", pointer="/document/ship_to")
    return address


def _addresses(company: Company, document: TaxDocument) -> AddressesOut:
    destination = _address(_destination(document))
    if company.ship_from is None:
        return AddressesOut(single_location=destination)
    return AddressesOut(ship_from=_address(company.ship_from), ship_to=destination)


def _address(address: Address) -> AddressOut:
    lines = [*textwrap.wrap(address.street, _LINE_LENGTH_MAX), "", "", ""]
    _within("".join(lines[3:]), 0, "/document/ship_to/street")
    return AddressOut(
        line1=lines[0],
        line2=lines[1],
        line3=lines[2],
        city=_within(address.city, 50, "/document/ship_to/city"),
        region=address.region,
        country=address.country,
        postal_code=_within(address.postal_code, 11, "/document/ship_to/postal_code"),
    )


def _buyer_tax_number(customer: Customer, country: str) -> str:
    """The buyer's VAT or GST number in the country of delivery: AvaTax decides by it who owes the tax within the EU."""
    numbers = (r.number for r in customer.tax_registrations if r.country == country and r.scheme in {"vat", "gst"})
    return _within(next(numbers, ""), 25, "/document/customer/tax_registrations")


def _within(text: str, length_max: int, pointer: str) -> str:
    """The text, if AvaTax keeps all of it; it cuts off nothing silently, and neither do we."""
    if len(text) > length_max:
        raise Rejected("too_long_for_avalara", f"longer by {len(text) - length_max} characters than AvaTax keeps", pointer=pointer)
    return text


def taxes(document: TaxDocument, answer: TransactionIn, raw: str) -> tuple[Money, tuple[TaxLine, ...]]:
    """Total and tax by line, read back against what was asked: lines, amounts, currency, and the sum. Raises `Broken`."""
    total = _money(answer.total_tax, document.currency, "totalTax", raw)
    by_number = {line.line_number: line for line in answer.lines or ()}
    lines = []
    for line in document.lines:
        taxed = by_number.get(str(line.number), LineIn())
        amount = _money(taxed.line_amount, document.currency, f"lineAmount of line {line.number}", raw)
        if amount != line.amount:
            raise _differs(f"line {line.number} was sent with {line.amount} and came back with {amount}", raw)
        lines.append(TaxLine(number=line.number, tax=_money(taxed.tax, document.currency, f"tax of line {line.number}", raw)))
    if answer.currency_code != document.currency:
        raise _differs(f"the document is in {answer.currency_code}, not in {document.currency}", raw)
    if len(by_number) != len(lines) or Money.total((line.tax for line in lines), document.currency) != total:
        raise _differs(f"the taxes of {len(by_number)} lines do not sum up to totalTax {total} of {len(lines)} lines", raw)
    return total, tuple(lines)


def committed(call: Call, document: TaxDocument, answer: TransactionIn, raw: str) -> TaxCommitted:
    """The recorded document as our reply. Raises `Broken` where it is not the one that was asked for."""
    code = vendor_key(document.code, CODE_LENGTH_MAX)
    if (answer.code, answer.type, answer.status) != (code, "SalesInvoice", "Committed"):
        raise _differs(f"expected SalesInvoice {code} Committed, got {answer.type} {answer.code} {answer.status}", raw)
    if answer.reference_code not in {None, document.code}:
        raise _differs(f"the document with our code belongs to {answer.reference_code}", raw)
    total, lines = taxes(document, answer, raw)
    reference = ExternalId(connection=call.connection, kind="transaction", id=code, number=code)
    return TaxCommitted(code=document.code, total=total, lines=lines, tax_ref=reference)


def _money(number: Decimal | None, currency: str, what: str, raw: str) -> Money:
    if number is None:
        raise _differs(f"{what} is missing", raw)
    if not number.is_finite() or abs(number.adjusted()) > _EXPONENT_MAX:
        raise Broken("unreadable_answer", f"{what} is no amount", raw=raw)
    try:
        return Money.of(number, currency)
    except ValueError as error:
        raise Broken("unreadable_answer", f"{what}: {error}", raw=raw) from error


def _differs(detail: str, raw: str) -> Broken:
    return Broken("read_back_differs", detail, raw=raw)


def _written(response: Response) -> TransactionIn:
    """The answer to a write; one that nobody can read leaves the outcome unknown, because `find` can tell."""
    try:
        answer: TransactionIn = response.decode(TransactionIn)
    except Broken as failure:
        raise OutcomeUnknown(failure.code, failure.detail, raw=failure.raw) from failure
    if answer.code is None and answer.status is None:
        raise OutcomeUnknown("unreadable_answer", "the answer names no document", raw=response.text)
    return answer


# --------------------------------------------------------------------------------------------------- operations


async def estimate(call: Call, command: EstimateTax) -> TaxEstimated:
    """Calculate the tax of a quote as a SalesOrder, which AvaTax does not keep."""
    response: Response = await call.client.calculate(transaction(call, command.document, commit=False))
    total, lines = taxes(command.document, response.decode(TransactionIn), response.text)
    return TaxEstimated(total=total, lines=lines)


async def commit(call: Call, command: CommitTax) -> TaxCommitted:
    """Record the document, or bring the one with the same code to the same content.

    AvaTax refuses to touch a document that was reported to the authorities; if that one says what we want to say, it is ours.
    """
    model = CreateOrAdjustOut(
        create_transaction_model=transaction(call, command.document, commit=True), adjustment_description=f"sent again by {call.key}"
    )
    try:
        response: Response = await call.client.create_or_adjust(model)
    except Rejected as refusal:
        if refusal.code == CLOSED_PERIOD and (found := await find_committed(call, command)):
            return found
        raise
    return committed(call, command.document, _written(response), response.text)


async def find_committed(call: Call, command: CommitTax) -> TaxCommitted | None:
    """The committed document, if it has our content; a void, uncommitted or different one is answered by committing again."""
    document = command.document
    found = await _current(call, document.entity, document.code)
    if found is None or found[0].status != "Committed":
        return None
    try:
        return committed(call, document, *found)
    except Broken as failure:
        if failure.code == "read_back_differs":
            return None
        raise


async def void(call: Call, command: VoidTax) -> TaxVoided:
    """Void the document. One that is void already is a success, and so is one that was never recorded: there is nothing to void.

    (Whoever voids has committed before, so a wrong company would have shown itself there and is not mistaken for "never recorded".)
    """
    company = company_of(call.settings, command.entity)
    try:
        response: Response = await call.client.void_sales_invoice(company.code, vendor_key(command.code, CODE_LENGTH_MAX))
    except Rejected as refusal:
        if refusal.code in {ALREADY_VOID, NOT_FOUND}:
            return TaxVoided(code=command.code)
        raise
    answer = _written(response)
    if answer.status != "Cancelled":
        raise _differs(f"the document was to be Cancelled and is {answer.status}", response.text)
    return TaxVoided(code=command.code)


async def find_voided(call: Call, command: VoidTax) -> TaxVoided | None:
    """Whether the document counts no more: it is Cancelled, or was never recorded."""
    found = await _current(call, command.entity, command.code)
    return TaxVoided(code=command.code) if found is None or found[0].status == "Cancelled" else None


async def _current(call: Call, entity: str, code: str) -> tuple[TransactionIn, str] | None:
    company = company_of(call.settings, entity)
    try:
        response: Response = await call.client.get_sales_invoice(company.code, vendor_key(code, CODE_LENGTH_MAX))
    except Rejected as refusal:
        if refusal.code == NOT_FOUND:
            return None
        raise
    return response.decode(TransactionIn), response.text
