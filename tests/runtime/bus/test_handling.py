"""What becomes of a message, decided without a broker."""

import datetime as dt
from typing import Any

import pytest

from canonical.failures import Broken, Rejected, Unavailable
from runtime.bus.contract import Queue
from runtime.bus.handling import Fate, Handling, Verdict, judge
from runtime.bus.layout import laid_out
from runtime.bus.parcel import REASON_LENGTH_MAX, Parcel, Posting
from runtime.bus.wire import Envelope
from runtime.clock import SetClock
from tests.contracts.buses import letter

NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)


class Handed:
    """A delivery that remembers what it was told."""

    answer_to = token = ""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.told: list[str] = []

    async def done(self) -> None:
        self.told.append("done")

    async def back(self) -> None:
        self.told.append("back")


FATES = [
    (None, 0, Verdict(Fate.DONE, 0)),
    (ValueError("no"), 0, Verdict(Fate.AGAIN, 1)),
    (ValueError("no"), 3, Verdict(Fate.AGAIN, 4)),
    (ValueError("no"), 4, Verdict(Fate.BURIED, 5)),
    (Rejected("no"), 9, Verdict(Fate.BURIED, 10)),
    (Unavailable("away"), 0, Verdict(Fate.AGAIN, 0)),
    (Unavailable("away"), 99, Verdict(Fate.AGAIN, 99)),
    (Broken("unreadable_message"), 0, Verdict(Fate.BURIED, 1)),
    (Broken("unknown_message_type"), 2, Verdict(Fate.BURIED, 3)),
    (Broken("our_bug"), 0, Verdict(Fate.AGAIN, 1)),
]


@pytest.mark.parametrize(("outcome", "attempts", "verdict"), FATES, ids=repr)
def test_the_end_of_the_handler_decides(outcome: BaseException | None, attempts: int, verdict: Verdict) -> None:
    """Of five attempts the last one buries; being away counts as none; what nobody can read is not tried again."""
    assert judge(outcome, attempts=attempts, attempts_max=5) == verdict


async def test_a_message_is_acknowledged_only_when_it_lies_elsewhere() -> None:
    """A failed message is first laid into the pause and then acknowledged; where that is not possible it is handed back after a pause."""
    clock, sent, away = SetClock(NOW), list[Posting](), False

    async def send(posting: Posting) -> None:
        if away:
            raise Unavailable("bus_away")
        sent.append(posting)

    async def fail(_: Envelope) -> None:
        raise ValueError("no")

    handling = Handling("q", fail, send=send, clock=clock, attempts_max=2, pause_s=0.0)
    first, second, third = Handed(Parcel.of(letter())), Handed(Parcel.of(letter()).after(1)), Handed(Parcel.of(letter()))
    await handling(first)
    await handling(second)
    away = True
    await handling(third)
    assert [one.told for one in (first, second, third)] == [["done"], ["done"], ["back"]]
    assert [(posting.to, posting.parcel.attempts, posting.parcel.reason) for posting in sent] == [
        ("q.pause", 1, ""),
        ("q.dead", 2, "ValueError: no"),
    ]
    assert [posting.parcel.id for posting in sent] == [first.parcel.id, second.parcel.id]
    assert sent[1].parcel.buried_at_ms == int(NOW.timestamp() * 1000)


STRANGE: list[dict[str, Any]] = [
    {"q2c-attempts": "many", "q2c-reason": 7, "q2c-correlation-id": b"\xff", "traceparent": None, "x-death": "no list"},
    {"q2c-attempts": -1, "x-death": []},
    {"q2c-attempts": 1.5, "x-death": ["nothing"]},
    {"q2c-attempts": None, "q2c-buried-at-ms": "yesterday"},
]


@pytest.mark.parametrize("headers", STRANGE, ids=range(len(STRANGE)))
def test_a_strangers_headers_do_no_harm(headers: dict[str, Any]) -> None:
    """Whatever stands in the headers of a message that somebody else put there, it is taken for one that nobody has tried."""
    found = Parcel.found(b"{}", message_id=None, wire_type=None, correlation_id=None, headers=headers)
    assert (found.attempts, found.reason, found.correlation_id, found.traceparent, found.buried_at_ms) == (0, "", "", "", 0)
    assert found.id


def test_a_parcel_is_found_as_it_was_sent() -> None:
    """What is written on the outside of a parcel is read there again, and a long reason is cut."""
    told = letter(traceparent="00-ab")
    parcel = Parcel.of(told).buried(3, "x" * 2000, NOW)
    found = Parcel.found(parcel.body, message_id=parcel.id, wire_type=parcel.type, correlation_id="", headers=parcel.headers())
    assert found == parcel
    assert (len(found.reason), found.attempts, found.letter()) == (REASON_LENGTH_MAX, 3, told)
    ours = {name: value for name, value in Parcel.of(told).headers().items() if not name.startswith("cloudEvents:")}
    assert ours == {"q2c-correlation-id": told.correlation_id, "traceparent": "00-ab"}


def test_a_queue_of_questions_is_not_durable_work() -> None:
    """A queue of questions is one classic queue; a queue of work is three quorum queues, and the events are bound to the first alone."""
    assert [laid.arguments["x-queue-type"] for laid in laid_out(Queue(name="ask.q", asks=True))] == ["classic"]
    work = laid_out(Queue(name="q", events=("Paid",)))
    assert {laid.name: laid.events for laid in work} == {"q": ("Paid",), "q.dead": (), "q.pause": ()}
    assert {laid.arguments["x-queue-type"] for laid in work} == {"quorum"}
