"""Payments in NetSuite: entered under our payment id, applied to invoices, proven by reading back."""

from decimal import Decimal
from typing import Any

import msgspec

from canonical.failures import Broken, Rejected
from canonical.money import Money
from canonical.payment import ApplyPayment, Payment, PaymentApplied
from canonical.provenance import ExternalId
from system_apis.connector import Call
from system_apis.netsuite.client import NetSuiteClient, subsidiary
from system_apis.netsuite.wire import Ref, Sublist, external_id, listed, memo, money, quoted

RECORD = "customerPayment"

# wire shapes ---------------------------------------------------------------------------------------------------------


class ApplyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the payment: NetSuite lists every open invoice of the customer, applied or not."""

    doc: Ref = Ref()
    apply: bool = False
    amount: Decimal | None = None


class PaymentRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What we read of a payment."""

    id: str
    tran_id: str = ""
    customer: Ref = Ref()
    currency: Ref = Ref()
    payment: Decimal | None = None
    apply: Sublist[ApplyRecord] = Sublist()


class EntityRow(msgspec.Struct, frozen=True, kw_only=True):
    """Whose invoice it is."""

    id: str
    entity: str


class CustomerIdRow(msgspec.Struct, frozen=True, kw_only=True):
    """A customer found by name."""

    id: str


# mapping -------------------------------------------------------------------------------------------------------------


def to_record(command: ApplyPayment, call: Call, customer_id: str, currency_id: str) -> dict[str, Any]:
    """The payment as NetSuite wants it: applied as we say and not otherwise, the rest stays on the customer's account."""
    payment, account = command.payment, call.settings.deposit_account
    return {
        "customer": {"id": customer_id},
        "subsidiary": {"id": subsidiary(call.settings, payment.entity)},
        "currency": {"id": currency_id},
        "tranDate": payment.received_on.isoformat(),
        "payment": payment.amount.number,
        "memo": memo(payment.id, call.correlation_id, _note(payment)),
        "autoApply": False,
        **({"account": {"id": account}, "undepFunds": {"id": "F"}} if account else {"undepFunds": {"id": "T"}}),
        "apply": {"items": [{"doc": {"id": doc}, "apply": True, "amount": amount.number} for doc, amount in _by_invoice(command).items()]},
    }


def _note(payment: Payment) -> str:
    """What NetSuite has no field for: a person at the vendor may need it. A long remittance text is cut at the memo's length."""
    facts = {
        "refs": ", ".join(payment.references),
        "from": payment.payer_account,
        "fee": str(payment.fee or ""),
        "text": payment.remittance,
    }
    return " ".join(f"{name}: {fact}" for name, fact in facts.items() if fact)


def _by_invoice(command: ApplyPayment) -> dict[str, Money]:
    """What each invoice gets: NetSuite has one line per invoice, so parts of the same one are added up."""
    parts: dict[str, Money] = {}
    for allocation in command.allocations:
        already = parts.get(allocation.invoice.id, Money.zero(command.payment.amount.currency))
        parts[allocation.invoice.id] = already + allocation.amount
    return parts


def prove(record: PaymentRecord, command: ApplyPayment, currency_id: str) -> None:
    """Compare what NetSuite keeps with what was meant. Raises `Broken` where they differ."""
    amount = command.payment.amount
    meant: dict[str, Any] = {"amount": amount, "currency": currency_id, "applied": _by_invoice(command)}
    kept: dict[str, Any] = {
        "amount": money(record.payment, amount.currency),
        "currency": record.currency.id,
        "applied": {line.doc.id: money(line.amount, amount.currency) for line in record.apply.items if line.apply},
    }
    differences = [f"{name}: {kept[name]} instead of {meant[name]}" for name in meant if kept[name] != meant[name]]
    if differences:
        raise Broken("read_back_differs", f"payment {record.tran_id or record.id} in NetSuite: {'; '.join(differences)}")


def to_applied(record: PaymentRecord, command: ApplyPayment, connection: str) -> PaymentApplied:
    """The reply, for a record that was proven."""
    amount = command.payment.amount
    return PaymentApplied(
        payment_id=command.payment.id,
        erp_ref=ExternalId(connection=connection, kind=RECORD, id=record.id, number=record.tran_id),
        allocations=command.allocations,
        unapplied=amount - Money.total(_by_invoice(command).values(), amount.currency),
    )


# operations ----------------------------------------------------------------------------------------------------------


async def apply(call: Call, command: ApplyPayment) -> PaymentApplied:
    """Enter the payment and apply it, once: a payment that is there already is never written over."""
    client: NetSuiteClient = call.client
    if any(allocation.amount.currency != command.payment.amount.currency for allocation in command.allocations):
        raise Rejected("currency_differs", "an allocation is in another currency than the payment", pointer="/allocations")
    known = await find_by_key(call, command)
    if known is not None:
        return known
    currency_id = await client.currency_id(command.payment.amount.currency)
    customer_id = await _payer(client, command)
    await client.upsert(RECORD, command.payment.id, to_record(command, call, customer_id, currency_id), lines="apply")
    made = await client.read_back(RECORD, f"eid:{external_id(command.payment.id)}", PaymentRecord)
    prove(made, command, currency_id)
    return to_applied(made, command, call.connection)


async def find_by_key(call: Call, command: ApplyPayment) -> PaymentApplied | None:
    """The payment under our id."""
    client: NetSuiteClient = call.client
    found = await client.read(RECORD, f"eid:{external_id(command.payment.id)}", PaymentRecord)
    if found is None:
        return None
    prove(found, command, await client.currency_id(command.payment.amount.currency))
    return to_applied(found, command, call.connection)


async def _payer(client: NetSuiteClient, command: ApplyPayment) -> str:
    """The customer whose invoices are paid; without any, the one whose exact name is the payer's."""
    docs = tuple(dict.fromkeys(allocation.invoice.id for allocation in command.allocations))
    if not docs:
        same_name = f"LOWER(companyname) = LOWER({quoted(command.payment.payer)})"
        query = f"SELECT id FROM customer WHERE {same_name} AND isinactive = 'F' ORDER BY id"  # noqa: S608 - SuiteQL has no parameters; `quoted` doubles the quotes
        named = await client.rows(query, CustomerIdRow, limit=2)
        if len(named) != 1:
            raise Rejected("payer_unknown", f"{command.payment.payer!r} is not the name of exactly one customer", pointer="/payment/payer")
        return named[0].id
    query = f"SELECT t.id, t.entity FROM transaction t WHERE t.type = 'CustInvc' AND t.id IN {listed(docs)} ORDER BY t.id"  # noqa: S608 - SuiteQL has no parameters; `listed` doubles the quotes
    rows = await client.rows(query, EntityRow)
    if missing := sorted(set(docs) - {row.id for row in rows}):
        raise Rejected("invoice_unknown", f"NetSuite has no invoice with id {', '.join(missing)}", pointer="/allocations")
    if len({row.entity for row in rows}) > 1:
        raise Rejected("payment_spans_customers", "these invoices are of several customers", pointer="/allocations")
    return rows[0].entity
