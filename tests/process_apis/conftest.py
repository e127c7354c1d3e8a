"""The reception on a real store, with a validation that says what the test wants."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from canonical.failures import Failure
from canonical.quote import Finding, QuoteValidated, ValidateQuote
from process_apis.cash_application.process import CASH_APPLICATION
from process_apis.invoicing.process import INVOICING
from process_apis.order_booking.process import ORDER_BOOKING
from process_apis.quote_approval.process import QUOTE_APPROVAL
from process_apis.reception import Reception
from runtime.bus.wire import Envelope, envelope
from runtime.clock import SetClock
from runtime.context import Context, working_in
from runtime.house import House
from runtime.process.layout import routes
from runtime.store.contract import Send
from runtime.store.engine import SqlStore
from tests.runtime.conftest import clock, migrated, store

__all__ = ["clock", "migrated", "store"]

TABLES = (QUOTE_APPROVAL, ORDER_BOOKING, INVOICING, CASH_APPLICATION)
HERE = Context(tenant="acme", correlation_id="q2c-first", actor="dana")


class Validation:
    """Answers a question to validate a quote."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.findings: tuple[Finding, ...] = ()
        self.failure: Failure | None = None
        self.asked = 0

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        self.asked += 1
        question: Any = letter.open()
        assert isinstance(question, ValidateQuote)
        if self.failure is not None:
            raise self.failure
        valid = not any(finding.severity == "error" for finding in self.findings)
        reply = QuoteValidated(quote_id=question.quote.id, version=question.quote.version, valid=valid, findings=self.findings)
        return envelope(reply, letter.context, now=self.clock.now())


class Post:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.sent: list[Envelope] = []

    async def publish_now(self, sends: list[Send]) -> None:
        self.sent.extend(send.letter for send in sends)


@pytest.fixture
def validation(clock: SetClock) -> Validation:
    return Validation(clock)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def house(store: SqlStore, clock: SetClock, validation: Validation, post: Post) -> House:
    desks = {ValidateQuote.wire_name(): "ask.process.quote_validation"}
    return House(store, validation, post, clock, routes=routes(TABLES), desks=desks, entities=("US01", "DE01"))  # type: ignore[arg-type]


@pytest.fixture
async def reception(house: House) -> AsyncIterator[Reception]:
    """The reception, within a request of Dana's."""
    with working_in(HERE):
        yield Reception(house)
