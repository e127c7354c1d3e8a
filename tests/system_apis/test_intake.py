"""From outside facts to events: a webhook is verified, kept, answered and then translated; a poll tells each fact once."""

import asyncio
from typing import Any

import pytest

from canonical.failures import Broken, Misconfigured, Rejected, Unavailable
from canonical.invoice import InvoicePosted, InvoicesFound
from canonical.messages import Accepted
from runtime.bus.wire import Envelope, envelope
from runtime.clock import SetClock
from runtime.context import Context
from runtime.house import House
from runtime.store.contract import Instance, Received, Send, StartInstance
from runtime.store.engine import SqlStore
from system_apis.desk import Connection, Desk
from system_apis.intake import Intake, Poller
from system_apis.webhooks import receive
from system_apis.worker import poll_for_ever
from tests.runtime.conftest import clock, migrated, store
from tests.system_apis.card import Client, OwnSettings, card, found, invoice

__all__ = ["clock", "migrated", "store"]

RIGHT = {"x-signature": "right", "content-type": "application/json", "cookie": "secret"}


class Made:
    """An intake with a made-up vendor, and what was published."""

    def __init__(self, store: SqlStore, clock: SetClock, **fields: Any) -> None:
        self.store = store
        self.clock = clock
        self.client = Client()
        made = card(client=lambda _: self.client, **fields)
        self.connection = Connection(name="made-up", card=made, settings=OwnSettings(), entities=("US01", "DE01"), tenant="acme")
        self.desk = Desk([self.connection], store=store, clock=clock)
        self.posted: list[Envelope] = []
        self.house = House(store, None, self, clock, routes={}, desks={})  # type: ignore[arg-type]
        self.intake = Intake(self.desk, self.house, clock)
        self.poller = Poller(self.desk, self.intake, clock)

    async def publish_now(self, sends: list[Send]) -> None:
        self.posted.extend(send.letter for send in sends)

    def told(self) -> list[str]:
        """The invoices that were told, by number."""
        return [event.invoice.id for letter in self.posted if isinstance(event := letter.open(), InvoicePosted)]

    async def push(self, body: bytes, headers: dict[str, str] = RIGHT) -> bool:
        """A webhook comes."""
        return await receive(self.house, self.connection, headers, body, self.clock)

    async def kept(self, event_id: str = "evt_1") -> Received | None:
        return await self.store.received_one("acme", "made-up", event_id)

    async def translate(self) -> None:
        """The inbox is worked off."""
        letters, self.posted = self.posted, []
        for letter in letters:
            await self.intake.translate(letter)


@pytest.fixture
def made(store: SqlStore, clock: SetClock) -> Made:
    return Made(store, clock)


BODY = b'{"id": "evt_1", "invoices": ["INV-1", "INV-2"]}'


async def test_a_webhook_is_kept_before_it_is_answered(made: Made) -> None:
    """What came in is kept as it came, without what nobody needs, and a message to translate it is sent (W7)."""
    assert await made.push(BODY)
    kept = await made.kept()
    assert kept is not None
    assert (kept.body, kept.headers, kept.state) == (BODY, {"content-type": "application/json"}, "new")
    assert [letter.type for letter in made.posted] == ["runtime.Translate"]
    assert made.client.calls == []


async def test_a_webhook_with_a_wrong_signature_leaves_nothing(made: Made) -> None:
    """Refused, not kept, nobody is asked (W2)."""
    with pytest.raises(Rejected, match="signature_invalid"):
        await made.push(BODY, {"x-signature": "wrong"})
    assert (await made.kept(), made.posted) == (None, [])


async def test_a_webhook_that_comes_again_is_answered_and_not_kept_twice(made: Made) -> None:
    """The vendor gets its success, whatever it sends again; the first body stays (W1, W4)."""
    await made.push(BODY)
    assert not await made.push(b'{"id": "evt_1", "invoices": []}')
    kept = await made.kept()
    assert kept is not None
    assert (kept.body, len(made.posted)) == (BODY, 1)


async def test_a_vendor_that_does_not_push_has_no_door(store: SqlStore, clock: SetClock) -> None:
    """A webhook for a connection without webhooks is refused."""
    with pytest.raises(Misconfigured, match="no_webhooks"):
        await Made(store, clock, webhooks=None).push(BODY)


async def test_a_kept_webhook_is_translated_once(made: Made) -> None:
    """Its events are told with the mark that it is done; the message that comes again tells nothing."""
    await made.push(BODY)
    message = list(made.posted)
    await made.translate()
    assert made.told() == ["INV-1", "INV-2"]
    kept = await made.kept()
    assert kept is not None
    assert kept.state == "translated"
    made.posted = message
    await made.translate()
    assert made.posted == []


@pytest.mark.parametrize("bug", [KeyError("invoices"), Broken("unreadable"), Rejected("gone")], ids=repr)
async def test_a_webhook_that_cannot_be_translated_stays_with_its_reason(made: Made, bug: Exception) -> None:
    """A mapping that fails loses nothing: the event is kept as failed, and is translated when the message comes after the fix."""
    await made.push(BODY)
    message = list(made.posted)
    made.client.next.append(bug)
    await made.translate()
    kept = await made.kept()
    assert kept is not None
    assert (kept.state, made.posted) == ("failed", [])
    assert kept.reason
    made.posted = message
    await made.translate()
    assert made.told() == ["INV-1", "INV-2"]


async def test_a_vendor_that_is_away_while_translating_is_asked_again(made: Made) -> None:
    """The message is handed back and the event stays new."""
    await made.push(BODY)
    made.client.next.append(Unavailable("away"))
    with pytest.raises(Unavailable):
        await made.translate()
    kept = await made.kept()
    assert kept is not None
    assert kept.state == "new"


async def test_a_stray_in_the_inbox_is_refused(made: Made) -> None:
    """A message that the inbox does not understand goes to the dead letters."""
    with pytest.raises(Broken, match="misaddressed"):
        await made.intake.translate(envelope(Accepted(process="x", key="y"), Context(tenant="acme"), now=made.clock.now()))


# polls ----------------------------------------------------------------------------------------------------------------


async def test_a_poll_goes_on_from_its_cursor(made: Made) -> None:
    """Events and cursor are one commit; the next question starts where the last answer ended."""
    made.client.next.append(InvoicesFound(invoices=(invoice("INV-1"),), cursor="c1"))
    assert await made.poller.turn() == 1
    made.clock.move(60)
    assert await made.poller.turn() == 0
    assert (made.told(), await made.store.cursor("acme/made-up/invoices")) == (["INV-1"], "c1")


async def test_a_poll_keeps_its_rhythm(made: Made) -> None:
    """Before its time a poll is not asked, however often it is looked at."""
    for _ in range(3):
        await made.poller.turn()
        made.clock.move(29)
    assert len(made.client.calls) == 1
    made.clock.move(29)
    await made.poller.turn()
    assert len(made.client.calls) == 2


async def test_what_a_poll_sees_again_is_not_told_again(made: Made) -> None:
    """A poll looks back behind its cursor; a fact that was told counts once, a new one beside it is told."""
    made.client.next.extend(
        [
            InvoicesFound(invoices=(invoice("INV-1"),), cursor="c1"),
            InvoicesFound(invoices=(invoice("INV-1"), invoice("INV-2")), cursor="c1"),
        ]
    )
    await made.poller.turn()
    made.clock.move(60)
    assert await made.poller.turn() == 1
    assert made.told() == ["INV-1", "INV-2"]


async def test_two_workers_poll_in_turns(made: Made, store: SqlStore, clock: SetClock) -> None:
    """Of two workers one polls in each interval."""
    other = Made(store, clock)
    await made.poller.turn()
    await other.poller.turn()
    assert len(made.client.calls) + len(other.client.calls) == 1


async def test_a_poll_that_fails_costs_its_own_turn_only(made: Made) -> None:
    """A vendor that is away is asked again at its next time; the cursor stays."""
    made.client.next.append(Unavailable("away"))
    assert await made.poller.turn() == 0
    made.clock.move(60)
    made.client.next.append(InvoicesFound(invoices=(invoice("INV-1"),), cursor="c1"))
    assert await made.poller.turn() == 1


async def test_polling_outlives_a_broken_card(made: Made) -> None:
    """A translation that throws is logged, and the polling goes on until it is stopped."""
    made.client.next.append(InvoicesFound(invoices=(None,), cursor="c1"))  # type: ignore[arg-type]
    task = asyncio.create_task(poll_for_ever(made.poller, made.clock))
    for _ in range(400):
        await asyncio.sleep(0.005)
        made.clock.move(61)
        if len(made.client.calls) > 1:
            break
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(made.client.calls) > 1


# events ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def booked(store: SqlStore, clock: SetClock) -> None:
    """An order of which the installation knows."""
    row = Instance(
        tenant="acme", process="order_booking", key="ORD-1", correlation_id="q2c-deal", created_at=clock.now(), updated_at=clock.now()
    )
    await store.commit([StartInstance(row)])


async def test_an_event_joins_the_transaction_of_its_order(made: Made, booked: None) -> None:
    """A fact about a known order bears the correlation id of its deal, any other a new one."""
    await made.intake.tell(made.connection, [found(invoice("INV-1", "ORD-1")), found(invoice("INV-2", "ORD-404"))])
    first, second = made.posted
    assert first.correlation_id == "q2c-deal"
    assert second.correlation_id.startswith("q2c-")
    assert second.correlation_id != "q2c-deal"


async def test_an_event_knows_its_entity(made: Made) -> None:
    """The entity that the event names counts; else the first one that uses the connection."""
    await made.intake.tell(made.connection, [found(invoice("INV-1"), "DE01"), found(invoice("INV-2"))])
    assert [letter.entity for letter in made.posted] == ["DE01", "US01"]


async def test_a_fact_in_two_files_is_one(made: Made) -> None:
    """A line that was in an earlier file is not told again; the answer counts the new ones."""
    assert await made.intake.tell(made.connection, [found(invoice("INV-1"))]) == 1
    assert await made.intake.tell(made.connection, [found(invoice("INV-1")), found(invoice("INV-2"))]) == 1
    assert made.told() == ["INV-1", "INV-2"]


async def test_the_same_fact_has_the_same_message_id(made: Made, store: SqlStore, clock: SetClock) -> None:
    """The id of a told event follows from connection and fact, so that its readers can tell a repetition."""
    await made.intake.tell(made.connection, [found(invoice("INV-1"))])
    letters = await made.intake._told(made.connection, [found(invoice("INV-1")), found(invoice("INV-2"))])
    ids = [write.letter.id for write in letters if isinstance(write, Send)]
    assert ids[0] == made.posted[0].id != ids[1]
