"""The simulator's records as SuiteQL tables: which columns there are, and by what a table can be joined."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from system_apis.simulation import Simulation

Value = str | Decimal | None
Row = Callable[[str], Value]
Record = dict[str, Any]
Column = Callable[[Record], Value]

_ITEM_TYPES = {"inventoryItem": "InvtPart", "serviceSaleItem": "Service", "nonInventorySaleItem": "NonInvtPart"}
_STATUS = {"open": "A", "paidInFull": "B", "voided": "V"}
_TRANSACTIONS = {"invoice": "CustInvc", "salesOrder": "SalesOrd", "customerPayment": "CustPymt"}


def _text(name: str) -> Column:
    return lambda record: record.get(name) or None


def _number(name: str) -> Column:
    return lambda record: None if record.get(name) is None else Decimal(record[name])


def _flag(name: str) -> Column:
    return lambda record: "T" if record.get(name) else "F"


def _ref(name: str) -> Column:
    return lambda record: Decimal(record[name]["id"]) if record.get(name) else None


def _moment(record: Record) -> Value:
    return str(record["lastModifiedDate"]).replace("T", " ").rstrip("Z")


COLUMNS: dict[str, dict[str, Column]] = {
    "currency": {"id": _number("id"), "symbol": _text("symbol"), "name": _text("name")},
    "customer": {
        "id": _number("id"),
        "entityid": _text("entityId"),
        "externalid": _text("externalId"),
        "companyname": _text("companyName"),
        "email": _text("email"),
        "vatregnumber": _text("vatRegNumber"),
        "isinactive": _flag("isInactive"),
    },
    "item": {
        "id": _number("id"),
        "itemid": _text("itemId"),
        "displayname": _text("displayName"),
        "itemtype": lambda record: _ITEM_TYPES[record["recordType"]],
        "isinactive": _flag("isInactive"),
    },
    "aggregateitemlocation": {"item": _number("id"), "quantityavailable": _number("quantityAvailable")},
    "transaction": {
        "id": _number("id"),
        "tranid": _text("tranId"),
        "externalid": _text("externalId"),
        "type": lambda record: _TRANSACTIONS[record["recordType"]],
        "status": lambda record: _STATUS.get(record["status"]["id"], record["status"]["id"]) if record.get("status") else None,
        "posting": lambda record: "F" if record["recordType"] == "salesOrder" else "T",
        "entity": lambda record: Decimal((record.get("entity") or record["customer"])["id"]),
        "currency": _ref("currency"),
        "trandate": _text("tranDate"),
        "duedate": _text("dueDate"),
        "foreigntotal": _number("total"),
        "foreignamountunpaid": _number("amountRemaining"),
        "memo": _text("memo"),
        "otherrefnum": _text("otherRefNum"),
        "lastmodifieddate": _moment,
        "custbody_q2c_tax_total": _number("custbody_q2c_tax_total"),
    },
    "transactionline": {
        "transaction": _number("id"),
        "mainline": lambda _record: "T",  # the only line of a transaction that is shown here: the one with its head
        "createdfrom": _ref("createdFrom"),
        "subsidiary": _ref("subsidiary"),
    },
}


def _row(table: str, record: Record) -> Row:
    columns = COLUMNS[table]
    return lambda column: columns[column](record)


def _transactions(simulation: Simulation) -> Iterator[Record]:
    for collection in _TRANSACTIONS:
        yield from simulation.all(collection)


_SOURCES: dict[str, Callable[[Simulation], Iterator[Record]]] = {
    "currency": lambda s: iter(s.all("currency")),
    "customer": lambda s: iter(s.all("customer")),
    "item": lambda s: iter(s.all("item")),
    "aggregateitemlocation": lambda s: (r for r in s.all("item") if r.get("quantityAvailable") is not None),
    "transaction": _transactions,
    "transactionline": _transactions,
}


class _Tables(dict[str, Callable[[Simulation], Iterator[Row]]]):
    """The tables by name."""

    def columns(self, table: str) -> frozenset[str]:
        return frozenset(COLUMNS[table])


def _scan(table: str) -> Callable[[Simulation], Iterator[Row]]:
    return lambda simulation: (_row(table, record) for record in _SOURCES[table](simulation))


TABLES = _Tables({table: _scan(table) for table in COLUMNS})


def _by_id(table: str, *collections: str) -> Callable[[Simulation, Value], Row | None]:
    def find(simulation: Simulation, key: Value) -> Row | None:
        for collection in collections:
            record = None if key is None else simulation.get(collection, f"{key}")
            if record is not None:
                return _row(table, record)
        return None

    return find


JOINS: dict[tuple[str, str], Callable[[Simulation, Value], Row | None]] = {
    ("currency", "id"): _by_id("currency", "currency"),
    ("customer", "id"): _by_id("customer", "customer"),
    ("transaction", "id"): _by_id("transaction", *_TRANSACTIONS),
    ("transactionline", "transaction"): _by_id("transactionline", *_TRANSACTIONS),
}
