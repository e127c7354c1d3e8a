"""A made-up vendor on a card: it does one write and one read, pushes and is polled, and does what the test tells it."""

import datetime as dt
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from canonical.customer import Customer, CustomerEnsured, EnsureCustomer
from canonical.failures import Rejected
from canonical.invoice import FindPostedInvoices, Invoice, InvoicePosted, InvoicesFound
from canonical.messages import Event
from canonical.money import Money
from canonical.provenance import ExternalId
from runtime.http.failure_table import FailureTable
from system_apis.connector import Call, Connector, Limit, Once, Operation, Poll, Translated, Webhooks

ENSURED = CustomerEnsured(customer=ExternalId(connection="made-up", kind="customer", id="7"), created=True)
ENSURE = EnsureCustomer(customer=Customer(id="C-1", legal_name="Acme"))


class OwnSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to set."""


class Client:
    """The vendor: what it answers next, and what it was asked."""

    def __init__(self) -> None:
        self.next: deque[Any] = deque()
        self.calls: list[Call] = []
        self.closed = 0
        self.there: Event | None = None

    def answer(self, call: Call, usual: Any) -> Any:
        self.calls.append(call)
        said = self.next.popleft() if self.next else usual
        if isinstance(said, BaseException):
            raise said
        return said

    async def aclose(self) -> None:
        self.closed += 1


async def ensure(call: Call, command: EnsureCustomer) -> Event:
    return call.client.answer(call, ENSURED)  # type: ignore[no-any-return]


async def find(call: Call, command: EnsureCustomer) -> Event | None:
    return call.client.there  # type: ignore[no-any-return]


async def posted(call: Call, command: FindPostedInvoices) -> Event:
    return call.client.answer(call, InvoicesFound(invoices=(), cursor=command.cursor))  # type: ignore[no-any-return]


def invoice(number: str, order_id: str = "") -> Invoice:
    """A posted invoice."""
    return Invoice(
        id=number,
        order_id=order_id,
        issued_on=dt.date(2026, 1, 15),
        currency="EUR",
        total=Money("10.00", "EUR"),
        open_amount=Money("10.00", "EUR"),
        status="posted",
        external_id=ExternalId(connection="made-up", kind="invoice", id=number),
    )


def found(one: Invoice, entity: str = "") -> Translated:
    return Translated(id=f"invoice/{one.id}", event=InvoicePosted(invoice=one, entity=entity), order_id=one.order_id)


def translate_poll(reply: InvoicesFound) -> tuple[tuple[Translated, ...], str]:
    return tuple(found(one) for one in reply.invoices), reply.cursor


def verify(settings: Any, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> None:
    if headers.get("x-signature") != "right":
        raise Rejected("signature_invalid", "the signature is not right")


async def translate_webhook(call: Call, body: bytes) -> tuple[Translated, ...]:
    said = call.client.answer(call, msgspec.json.decode(body))
    return tuple(found(invoice(number)) for number in said["invoices"])


def card(once: Once = Once.LOCK_AND_PROBE, **fields: Any) -> Connector:
    """The card."""
    given: dict[str, Any] = {
        "name": "made-up",
        "title": "Made Up",
        "settings": OwnSettings,
        "client": lambda _: Client(),
        "failures": FailureTable({}),
        "does": {EnsureCustomer: Operation(ensure, once=once, find=find), FindPostedInvoices: Operation(posted)},
        "limit": Limit(in_flight_max=2, per_minute_max=10),
        "polls": (Poll(name="invoices", every_s=60, command=lambda cursor: FindPostedInvoices(cursor=cursor), translate=translate_poll),),
        "webhooks": Webhooks(verify=verify, identify=lambda body: msgspec.json.decode(body)["id"], translate=translate_webhook),
        **fields,
    }
    return Connector(**given)
