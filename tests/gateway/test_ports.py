"""From a port to the connection that an entity has bound to it: here on the spot, or over the bus."""

from typing import Any

import pytest

from canonical.customer import Customer, EnsureCustomer
from canonical.failures import Misconfigured, Rejected, Unavailable
from canonical.tax import CommitTax, TaxDocument
from gateway.ports import ASK_WITHIN_S, BoundAsker
from gateway.settings import EntitySettings
from runtime.bus.wire import Envelope, envelope, failure_envelope
from runtime.clock import SetClock
from runtime.context import Context
from runtime.process.asking import Answer
from tests.process_apis.deals import ACME, DAY
from tests.system_apis.card import ENSURE, ENSURED

HERE = Context(tenant="acme", entity="US01", correlation_id="q2c-1", key="jobs/J-1/one")


class Here:
    """A desk that serves one connection."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[tuple[str, Context]] = []

    def serves(self, name: str) -> bool:
        return name in self.names

    async def ask(self, name: str, command: Any, context: Context) -> Answer:
        self.asked.append((name, context))
        return Answer(ENSURED, name)


class Elsewhere:
    """A bus with somebody at the other end."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.failure: Unavailable | None = None
        self.asked: list[tuple[str, Envelope, float]] = []

    async def ask(self, queue: str, letter: Envelope, *, within_s: float) -> Envelope:
        self.asked.append((queue, letter, within_s))
        if self.failure is not None:
            return failure_envelope(self.failure, letter, now=self.clock.now())
        return envelope(ENSURED, letter.context, now=self.clock.now())


class Made:
    """An asker with two entities: US01 is served here, DE01 elsewhere."""

    def __init__(self) -> None:
        clock = SetClock()
        self.here, self.elsewhere = Here("netsuite"), Elsewhere(clock)
        entities = {
            name: EntitySettings(name=name, country="US", currency="USD", bindings={"erp": erp, "tax": "avalara"})
            for name, erp in (("US01", "netsuite"), ("DE01", "tryton"))
        }
        self.asker = BoundAsker(entities, self.here, self.elsewhere, clock)  # type: ignore[arg-type]


async def test_a_connection_of_this_process_is_asked_on_the_spot() -> None:
    """No message is sent; the context goes with the command as it is."""
    made = Made()
    answer = await made.asker.ask(ENSURE, HERE)
    assert (answer.reply, answer.connection) == (ENSURED, "netsuite")
    assert (made.here.asked, made.elsewhere.asked) == ([("netsuite", HERE)], [])


async def test_a_connection_elsewhere_is_asked_over_the_bus() -> None:
    """The letter bears tenant, entity, correlation id and step key; the answer names the connection."""
    made = Made()
    answer = await made.asker.ask(ENSURE, Context(tenant="acme", entity="DE01", correlation_id="q2c-1", key="k"))
    ((queue, letter, within_s),) = made.elsewhere.asked
    assert (answer.reply, answer.connection, answer.writes) == (ENSURED, "tryton", ())
    assert (queue, letter.key, letter.entity, letter.correlation_id, within_s) == (
        "ask.connection.tryton",
        "k",
        "DE01",
        "q2c-1",
        ASK_WITHIN_S,
    )


async def test_a_time_budget_goes_over_the_bus() -> None:
    """Whoever has less time than usual says so."""
    made = Made()
    await made.asker.ask(ENSURE, Context(entity="DE01", correlation_id="q2c-1"), within_s=2.5)
    assert made.elsewhere.asked[0][2] == 2.5


async def test_a_failure_elsewhere_is_raised_here() -> None:
    """The word of the other side is raised as if it had been asked here."""
    made = Made()
    made.elsewhere.failure = Unavailable("away", retry_after_s=7.0)
    with pytest.raises(Unavailable, match="away") as said:
        await made.asker.ask(ENSURE, Context(entity="DE01", correlation_id="q2c-1"))
    assert said.value.retry_after_s == 7.0


async def test_a_document_that_names_its_entity_goes_to_that_one() -> None:
    """What a command itself says of its entity counts more than where it came from."""
    made = Made()
    document = TaxDocument(code="ORD-1", entity="DE01", customer=ACME, currency="USD", date=DAY, ship_to=None, lines=())
    await made.asker.ask(CommitTax(document=document), HERE)
    ((queue, letter, _),) = made.elsewhere.asked
    assert queue == "ask.connection.avalara"
    assert isinstance(letter.open(), CommitTax)


async def test_an_unknown_entity_is_rejected() -> None:
    """A legal entity that is not set up is a refusal, not a guess."""
    with pytest.raises(Rejected, match="no legal entity is called 'XX99'"):
        await Made().asker.ask(ENSURE, Context(entity="XX99", correlation_id="q2c-1"))


async def test_a_port_that_is_not_bound_is_misconfigured() -> None:
    """A port without a connection is said with its entity."""
    made = Made()

    class Strange(EnsureCustomer, frozen=True, kw_only=True):
        port = "strange_of_the_tests"

    with pytest.raises(Misconfigured, match="US01 has bound no connection to the port strange_of_the_tests"):
        await made.asker.ask(Strange(customer=Customer(id="C-1", legal_name="Acme")), HERE)
