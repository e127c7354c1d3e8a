"""The desk: a command for a connection, and only the six words come back."""

import asyncio
import datetime as dt
from typing import Any

import msgspec
import pytest

from canonical.customer import Customer, CustomerFound, EnsureCustomer, FindCustomer, TaxRegistration
from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.invoice import FindPostedInvoices, InvoicesFound
from runtime.bus.wire import envelope
from runtime.clock import SetClock
from runtime.context import Context
from runtime.store.contract import PutEffect
from runtime.store.engine import SqlStore
from system_apis.connector import Once, Operation
from system_apis.desk import Connection, Desk
from system_apis.worker import _answered
from tests.runtime.conftest import clock, migrated, store
from tests.system_apis.card import ENSURE, ENSURED, Client, OwnSettings, card, ensure

__all__ = ["clock", "migrated", "store"]

HERE = Context(tenant="acme", entity="DE01", correlation_id="q2c-1", key="jobs/J-1/one")
READ = FindPostedInvoices()


class Made:
    """A desk with one connection, and the vendor behind it."""

    def __init__(self, store: SqlStore, clock: SetClock, **fields: Any) -> None:
        connection = {key: fields.pop(key) for key in ("strict", "settles_in", "entities") if key in fields}
        self.client = Client()
        made = card(client=lambda _: self.client, **fields)
        self.store = store
        self.clock = clock
        self.desk = Desk([Connection(name="made-up", card=made, settings=OwnSettings(), **connection)], store=store, clock=clock)

    async def ask(self, command: Any = ENSURE, context: Context = HERE) -> Any:
        answer = await self.desk.ask("made-up", command, context)
        await self.store.commit(answer.writes)
        return answer.reply


@pytest.fixture
def made(store: SqlStore, clock: SetClock) -> Made:
    return Made(store, clock)


async def test_a_command_runs_with_the_connections_own_client_and_the_step_key(made: Made) -> None:
    """The operation is given client, settings, keys and the moment, and the client is made once."""
    assert await made.ask() == ENSURED
    await made.ask(READ)
    first, second = made.client.calls
    assert (first.key, first.correlation_id, first.entity, first.connection, first.now) == (
        "jobs/J-1/one",
        "q2c-1",
        "DE01",
        "made-up",
        made.clock.now(),
    )
    assert first.client is second.client


async def test_a_write_is_made_once(made: Made) -> None:
    """The same key again is answered from the ledger; a read is asked every time."""
    for _ in range(3):
        await made.ask()
        await made.ask(READ)
    assert [call.client for call in made.client.calls] == [made.client] * 4


async def test_what_is_not_there_is_misconfigured(made: Made) -> None:
    """A connection that this process does not hold, a command that is not on the card, a write without a key."""
    with pytest.raises(Misconfigured, match="unknown_connection"):
        await made.desk.ask("nobody", ENSURE, HERE)
    with pytest.raises(Misconfigured, match="not_on_card"):
        await made.ask(FindCustomer(customer_id="C-1"))
    with pytest.raises(Misconfigured, match="no_key"):
        await made.ask(ENSURE, msgspec.structs.replace(HERE, key=""))
    assert (made.desk.serves("made-up"), made.desk.serves("nobody")) == (True, False)


@pytest.mark.parametrize(
    "bug", [ValueError("x"), TypeError("x"), KeyError("x"), AttributeError("x"), IndexError("x"), ZeroDivisionError()], ids=repr
)
async def test_a_mapping_that_stumbles_is_broken(made: Made, bug: Exception) -> None:
    """Whatever a vendor's code throws over an answer, only a word gets out, and the write counts as uncertain."""
    made.client.next.append(bug)
    with pytest.raises(Broken, match="mapping_failed"):
        await made.ask()
    effect = await made.store.effect("acme", HERE.key)
    assert effect is not None
    assert effect.state == "uncertain"


async def test_a_reply_of_another_kind_is_broken(made: Made) -> None:
    """An operation that answers with another event than the command names is a bug that is said."""
    made.client.next.append(InvoicesFound(invoices=()))
    with pytest.raises(Broken, match="wrong_reply"):
        await made.ask()


async def test_an_unknown_outcome_is_found(made: Made) -> None:
    """After an unknown outcome the card's `find` says what the vendor has, and the write is not sent again."""
    made.client.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await made.ask()
    made.client.there = ENSURED
    assert await made.ask() == ENSURED
    assert len(made.client.calls) == 1


@pytest.mark.parametrize(("settles_in", "waits_s"), [(None, 60.0), (dt.timedelta(seconds=7), 7.0), (dt.timedelta(0), None)])
async def test_the_settle_time_is_the_cards_or_the_connections(
    store: SqlStore, clock: SetClock, settles_in: dt.timedelta | None, waits_s: float | None
) -> None:
    """How long a no is no answer stands on the card, and a connection may know it better."""
    operation = Operation(ensure, once=Once.LOCK_AND_PROBE, find=_nothing, settles_in=dt.timedelta(minutes=1))
    made = Made(store, clock, does={EnsureCustomer: operation}, settles_in=settles_in)
    made.client.next.append(OutcomeUnknown("no_answer"))
    with pytest.raises(OutcomeUnknown):
        await made.ask()
    if waits_s is None:
        assert await made.ask() == ENSURED
        return
    with pytest.raises(OutcomeUnknown, match="settling") as waiting:
        await made.ask()
    assert waiting.value.retry_after_s == waits_s


async def _nothing(*_: object) -> None:
    return None


TWO = EnsureCustomer(
    customer=Customer(
        id="C-1",
        legal_name="Acme",
        tax_registrations=(TaxRegistration(country="DE", number="1"), TaxRegistration(country="FR", number="2")),
    )
)


@pytest.mark.parametrize(
    ("path", "command", "lost"),
    [
        ("customer.email", ENSURE, False),
        ("customer.legal_name", ENSURE, True),
        ("customer.bill_to.city", ENSURE, False),
        ("customer.tax_registrations", ENSURE, False),
        ("customer.tax_registrations", TWO, True),
        ("customer.tax_registrations[1:]", TWO, True),
        ("customer.tax_registrations[2:]", TWO, False),
        ("customer.tax_registrations.number", TWO, True),
        ("customer.no_such_field", TWO, False),
    ],
)
async def test_what_the_vendor_would_drop_is_refused(store: SqlStore, clock: SetClock, path: str, command: Any, lost: bool) -> None:
    """In strict mode a filled field that the vendor silently drops is refused before anything is sent; else it is dropped."""
    strict = Made(store, clock, loses={EnsureCustomer: (path,)})
    if lost:
        with pytest.raises(Rejected, match="field_would_be_lost") as refused:
            await strict.ask(command)
        assert (refused.value.pointer, strict.client.calls) == ("/" + path.replace(".", "/"), [])
    else:
        assert await strict.ask(command) == ENSURED
    lenient = Made(store, clock, loses={EnsureCustomer: (path,)}, strict=False)
    assert await lenient.ask(command) == ENSURED


async def test_the_minutes_budget_holds_back(made: Made) -> None:
    """Beyond the calls of a minute the vendor is not reached, and the failure says when it will be (V1)."""
    for _ in range(9):
        await made.ask(READ)
    made.clock.move(20)
    with pytest.raises(Throttled, match="budget_spent") as spent:
        await made.ask(READ)
    assert (spent.value.retry_after_s, len(made.client.calls)) == (40.0, 9)
    made.clock.move(40)
    await made.ask(READ)


async def test_a_write_held_back_by_the_budget_did_nothing(made: Made) -> None:
    """A write that found no budget is planned, not uncertain: it is not waited for."""
    for _ in range(9):
        await made.ask(READ)
    await made.ask(context=msgspec.structs.replace(HERE, key="jobs/J-0/one"))
    with pytest.raises(Throttled):
        await made.ask()
    effect = await made.store.effect("acme", HERE.key)
    assert effect is not None
    assert effect.state == "planned"


async def test_the_last_calls_of_a_minute_are_for_writes(made: Made) -> None:
    """Where reads have used up what is theirs a write still goes through: money does not starve behind a backfill (V4)."""
    for _ in range(9):
        await made.ask(READ)
    with pytest.raises(Throttled):
        await made.ask(READ)
    assert await made.ask() == ENSURED


async def test_a_resting_connection_uses_up_no_budget(made: Made) -> None:
    """What an open circuit refuses is no call of the minute: when the vendor is back there is budget for the work that waited (V20)."""
    made.client.next += [Unavailable("away", "not reachable")] * 5
    codes = []
    for n in range(30):
        with pytest.raises(Unavailable) as refused:
            await made.ask(READ)
        codes.append(refused.value.code)
        made.clock.move(0.01 * (n < 5))
    assert codes == ["away"] * 5 + ["circuit_open"] * 25
    made.clock.move(3)
    await made.ask(READ)


async def test_only_so_many_calls_at_once(store: SqlStore, clock: SetClock) -> None:
    """Of three calls at the same time the vendor sees two (V4)."""
    gate, inside, most = asyncio.Event(), [0], [0]

    async def slowly(*_: object) -> InvoicesFound:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        await gate.wait()
        inside[0] -= 1
        return InvoicesFound(invoices=())

    made = Made(store, clock, does={FindPostedInvoices: Operation(slowly)})
    tasks = [asyncio.create_task(made.ask(READ)) for _ in range(3)]
    while inside[0] < 2:  # noqa: ASYNC110 - the vendor's own count says when
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    assert most == [2]


async def test_the_entity_is_the_contexts_or_the_connections_first(store: SqlStore, clock: SetClock) -> None:
    """Where nobody has said for whom, the first entity that uses the connection is meant."""
    made = Made(store, clock, entities=("US01", "DE01"))
    await made.ask(READ, msgspec.structs.replace(HERE, entity=""))
    assert made.client.calls[0].entity == "US01"


async def test_closing_closes_each_client_once(made: Made) -> None:
    """Clients are closed when the desk is, and only those that were made."""
    await made.desk.aclose()
    assert made.client.closed == 0
    await made.ask(READ)
    await made.desk.aclose()
    await made.desk.aclose()
    assert made.client.closed == 1


# for other processes --------------------------------------------------------------------------------------------------


async def asked_over_the_bus(made: Made, command: Any = ENSURE) -> Any:
    letter = envelope(command, HERE, now=made.clock.now())
    return await _answered(made.desk, "made-up", letter, made.store, made.clock)


async def test_an_ask_of_another_process_is_answered_when_the_ledger_knows_it(made: Made) -> None:
    """The effect is confirmed before the answer goes back, so that asking again is answered alike."""
    assert (await asked_over_the_bus(made)).open() == ENSURED
    effect = await made.store.effect("acme", HERE.key)
    assert effect is not None
    assert effect.state == "confirmed"
    assert (await asked_over_the_bus(made)).open() == ENSURED
    assert len(made.client.calls) == 1


async def test_a_failure_goes_back_as_its_word(made: Made) -> None:
    """The other process raises the failure as if it had asked itself."""
    made.client.next.append(Unavailable("away", "not reachable", retry_after_s=3.0))
    with pytest.raises(Unavailable, match="away") as said:
        (await asked_over_the_bus(made)).open()
    assert said.value.retry_after_s == 3.0
    with pytest.raises(Broken, match="misaddressed"):
        (await asked_over_the_bus(made, CustomerFound())).open()


async def test_an_effect_that_another_worker_confirmed_is_answered_all_the_same(store: SqlStore, clock: SetClock) -> None:
    """Of two workers that were asked the same at once, the one that comes late answers, too."""
    made = Made(store, clock, once=Once.NATIVE_KEY)
    late = await made.desk.ask("made-up", ENSURE, HERE)

    async def meanwhile(call: Any, command: Any) -> Any:
        await store.commit([write for write in late.writes if isinstance(write, PutEffect)])
        return ENSURED

    slow = Made(store, clock, does={EnsureCustomer: Operation(meanwhile, once=Once.NATIVE_KEY)})
    assert (await asked_over_the_bus(slow)).open() == ENSURED
