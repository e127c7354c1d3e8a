"""Invoices as NetSuite has posted them: what is open, and what is new since the last look."""

import datetime as dt
import re
from decimal import Decimal

import msgspec

from canonical.failures import Broken, Rejected
from canonical.invoice import FindOpenInvoices, FindPostedInvoices, Invoice, InvoicePosted, InvoicesFound, InvoiceStatus
from canonical.provenance import ExternalId, Provenance
from system_apis.connector import Call, Translated
from system_apis.netsuite.client import PAGE_ROWS_MAX, NetSuiteClient, subsidiary
from system_apis.netsuite.wire import listed, money, our_id, quoted

RECORD = "invoice"
_STAMP = "YYYY-MM-DD HH24:MI:SS"
_CURSOR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_BEGINNING = "1970-01-01 00:00:00"

# wire shapes ---------------------------------------------------------------------------------------------------------


class InvoiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in a query. NetSuite leaves out what is empty."""

    id: str
    tranid: str
    status: str = ""
    trandate: dt.date
    duedate: dt.date | None = None
    total: str
    unpaid: str = "0"
    tax: str | None = None
    memo: str = ""
    reference: str = ""
    changed: str
    currency: str
    customerid: str = ""
    customername: str = ""
    orderid: str = ""


_COLUMNS = (
    "t.id, t.tranid, t.status, TO_CHAR(t.trandate, 'YYYY-MM-DD') AS trandate, TO_CHAR(t.duedate, 'YYYY-MM-DD') AS duedate, "
    "t.foreigntotal AS total, t.foreignamountunpaid AS unpaid, t.memo, t.otherrefnum AS reference, "
    f"TO_CHAR(t.lastmodifieddate, '{_STAMP}') AS changed, cur.symbol AS currency, c.externalid AS customerid, "
    "c.companyname AS customername, o.externalid AS orderid"
)
# an invoice knows its order and its subsidiary on its main line only
_TABLES = (
    "transaction t JOIN transactionline l ON l.transaction = t.id AND l.mainline = 'T' "
    "JOIN currency cur ON cur.id = t.currency JOIN customer c ON c.id = t.entity "
    "LEFT JOIN transaction o ON o.id = l.createdfrom"
)

# mapping -------------------------------------------------------------------------------------------------------------


def status(row: InvoiceRow, open_amount: Decimal, total: Decimal) -> InvoiceStatus:
    """The letter that NetSuite keeps, and for an open invoice whether something was paid. An unknown letter goes by the amounts."""
    known: dict[str, InvoiceStatus] = {"V": "void", "D": "draft"}  # A (open) and B (paid in full) follow from the amounts
    by_amount: InvoiceStatus = "paid" if not open_amount else "partially_paid" if open_amount != total else "posted"
    return known.get(row.status[-1:], by_amount)


def to_invoice(row: InvoiceRow, call: Call) -> Invoice:
    """A row as our invoice. Its number is what customers quote; the order's external id is our order id."""
    total, unpaid = money(row.total, row.currency), money(row.unpaid, row.currency)
    return Invoice(
        id=row.tranid,
        order_id=our_id(row.orderid),
        customer_id=our_id(row.customerid),
        customer_name=row.customername,
        issued_on=row.trandate,
        due_on=row.duedate,
        currency=row.currency,
        total=total,
        tax_total=None if row.tax is None else money(row.tax, row.currency),
        open_amount=unpaid,
        status=status(row, unpaid.number, total.number),
        reference=row.reference,
        external_id=ExternalId(connection=call.connection, kind=RECORD, id=row.id, number=row.tranid),
        provenance=Provenance(
            source_system="netsuite",
            connection=call.connection,
            correlation_id=_correlation_id(row),
            observed_at=call.now.isoformat(),
        ),
    )


def _correlation_id(row: InvoiceRow) -> str:
    """NetSuite copies the order's memo to its invoice: our order id, then the name of the deal."""
    words = row.memo.split()
    return words[1] if len(words) > 1 and row.orderid and words[0] == our_id(row.orderid) else ""


def open_query(command: FindOpenInvoices, select: str, where: tuple[str, ...]) -> str:
    """The SuiteQL for open invoices with the command's filters, oldest first."""
    conditions = ["t.type = 'CustInvc'", "t.posting = 'T'", "t.foreignamountunpaid > 0", *where]
    if command.currency:
        conditions.append(f"cur.symbol = {quoted(command.currency)}")
    if command.customer_name:
        conditions.append(f"INSTR(LOWER(c.companyname), LOWER({quoted(command.customer_name)})) > 0")
    if command.references:
        names = listed(command.references)
        conditions.append(f"(t.tranid IN {names} OR t.otherrefnum IN {names} OR o.externalid IN {names})")
    return f"SELECT {select} FROM {_TABLES} WHERE {' AND '.join(conditions)} ORDER BY t.trandate, t.id"  # noqa: S608 - SuiteQL has no parameters; `quoted` doubles the quotes


def posted_query(after: str, after_id: int, select: str, where: tuple[str, ...]) -> str:
    """The SuiteQL for invoices changed after a moment (and, within the same second, after an id), in that order."""
    moment = f"TO_TIMESTAMP({quoted(after)}, '{_STAMP}')"
    newer = f"(t.lastmodifieddate > {moment} OR (t.lastmodifieddate = {moment} AND t.id > {after_id}))"
    conditions = " AND ".join(("t.type = 'CustInvc'", "t.posting = 'T'", newer, *where))
    return f"SELECT {select} FROM {_TABLES} WHERE {conditions} ORDER BY t.lastmodifieddate, t.id"  # noqa: S608 - the cursor is checked against its pattern


def translate(found: InvoicesFound) -> tuple[tuple[Translated, ...], str]:
    """What a poll means: each state of an invoice is told once, however often it is seen; the overlap repeats ids, not events."""
    events = [
        Translated(
            id=f"{invoice.external_id.connection}/invoice/{invoice.external_id.id}/{invoice.status}/{invoice.open_amount.amount}",
            event=InvoicePosted(invoice=invoice),
            order_id=invoice.order_id,
        )
        for invoice in found.invoices
        if invoice.status not in {"void", "draft"}
    ]
    return tuple(events), found.cursor


# operations ----------------------------------------------------------------------------------------------------------


async def find_open(call: Call, command: FindOpenInvoices) -> InvoicesFound:
    """Open invoices of the entity that asks."""
    client: NetSuiteClient = call.client
    rows = await client.rows(open_query(command, _columns(call), _of_entity(call)), InvoiceRow, limit=command.limit)
    return InvoicesFound(invoices=tuple(to_invoice(row, call) for row in rows))


async def find_posted(call: Call, command: FindPostedInvoices) -> InvoicesFound:
    """Invoices changed since the cursor, and again those of the overlap before it.

    A transaction becomes visible only when NetSuite commits it, which may be later than its time stamp says, so a poll that starts exactly
    where the last one ended loses invoices. Pages follow one another by (time stamp, id), never by offset, which shifts under changes.
    """
    client: NetSuiteClient = call.client
    if command.cursor and not _CURSOR.fullmatch(command.cursor):
        raise Rejected("cursor_invalid", "the cursor is not one that this connection has given", pointer="/cursor")
    after, after_id = _overlapping(command.cursor, call.settings.overlap_s), 0
    rows: list[InvoiceRow] = []
    while True:
        query = posted_query(after, after_id, _columns(call), _of_entity(call))
        page = await client.rows(query, InvoiceRow, limit=PAGE_ROWS_MAX)
        rows.extend(page)
        new = [index for index, row in enumerate(rows) if row.changed > command.cursor]
        if len(new) >= command.limit:
            rows = rows[: new[command.limit - 1] + 1]
            break
        if len(page) < PAGE_ROWS_MAX:
            break
        after, after_id = _checked(page[-1].changed), int(page[-1].id)
    cursor = max([command.cursor, *(_checked(row.changed) for row in rows)])
    return InvoicesFound(invoices=tuple(to_invoice(row, call) for row in rows), cursor=cursor)


def _overlapping(cursor: str, overlap_s: int) -> str:
    if not cursor:
        return _BEGINNING
    return str(dt.datetime.fromisoformat(cursor) - dt.timedelta(seconds=overlap_s))


def _checked(stamp: str) -> str:
    if not _CURSOR.fullmatch(stamp):
        raise Broken("unreadable_answer", f"{stamp[:40]!r} is not a time stamp of NetSuite", raw=stamp)
    return stamp


def _columns(call: Call) -> str:
    field = call.settings.tax_total_field
    return f"{_COLUMNS}, t.{field} AS tax" if field else _COLUMNS


def _of_entity(call: Call) -> tuple[str, ...]:
    """Invoices of other legal entities in the same account do not concern who asks; without an entity all are meant."""
    return (f"l.subsidiary = {quoted(subsidiary(call.settings, call.entity))}",) if call.entity else ()
