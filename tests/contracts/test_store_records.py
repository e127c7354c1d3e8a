"""The promises of the store about what it keeps: text (9), amounts (10), effects (11), the journal (12)."""

from collections.abc import Callable

import pytest

from canonical.failures import FailureRecord, Rejected
from canonical.money import Money
from runtime.store.contract import (
    AddLine,
    Chain,
    Duplicate,
    EffectState,
    Fenced,
    Keep,
    MarkReceived,
    PutCase,
    PutEffect,
    PutIdempotency,
    PutLink,
    PutTransaction,
    Seen,
    Send,
    SetCursor,
    StartInstance,
    Write,
)
from runtime.store.engine import SqlStore
from tests.contracts.stores import ACME, NOW, ORDER, QUEUE, case, effect, instance, later, letter, line, link, received, record, transaction

# 9 text


NUL = "a\x00b"


@pytest.mark.parametrize(
    "write",
    [
        StartInstance(instance(NUL)),
        StartInstance(instance(entity=NUL)),
        AddLine(line(detail=NUL)),
        Chain(ACME, NUL, "p", "k"),
        Send(QUEUE, letter(NUL)),
        Seen("worker", NUL),
        PutEffect(effect(command=NUL)),
        PutLink(link(NUL)),
        PutIdempotency(record(fingerprint=NUL)),
        PutCase(case(title=NUL)),
        PutTransaction(transaction(customer=NUL)),
        Keep(received(NUL)),
        MarkReceived(ACME, "stripe", "evt_1", "failed", NUL),
        SetCursor("poll", NUL),
        SetCursor("poll", "half a character: \ud83d"),
    ],
    ids=lambda write: type(write).__name__,
)
async def test_text_that_cannot_be_stored_is_refused(store: SqlStore, write: Write) -> None:
    """9: Text with a NUL character (or half a surrogate pair) is refused, and nothing of its unit is written (D14)."""
    with pytest.raises(Rejected):
        await store.commit([Seen("worker", "beside it"), write])
    assert not await store.seen("worker", "beside it")


QUESTIONS: list[Callable[[SqlStore], object]] = [
    lambda store: store.instance(ACME, "order_booking", NUL),
    lambda store: store.claim(ACME, "order_booking", NUL),
    lambda store: store.waiting_for(ACME, NUL),
    lambda store: store.seen("worker", NUL),
    lambda store: store.lease(NUL, "me", slots=1, until=NOW, now=NOW),
    lambda store: store.queued(NUL, after_seq=0),
]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_questions_with_such_text_are_refused(store: SqlStore, question: Callable[[SqlStore], object]) -> None:
    """9: A question with a NUL character is refused, not answered with an error of the database."""
    with pytest.raises(Rejected):
        await question(store)  # type: ignore[misc]


async def test_documents_may_hold_anything(store: SqlStore) -> None:
    """9: Bytes are kept as they are, NUL and broken UTF-8 included; so are the quoted words of a failure."""
    failure = FailureRecord(word="broken", code="unreadable", raw=NUL)
    await store.commit([Keep(received()), PutEffect(effect("refused", reply=b"\x00\xff", failure=failure))])
    assert (await store.received())[0] == received()
    assert await store.effect(ACME, effect().key) == effect("refused", reply=b"\x00\xff", failure=failure)


# 10 amounts


@pytest.mark.parametrize("amount", ["0.10", "12345678901234567.89", "1.005", "-0.01", "100", "0.30000000000000004"])
async def test_amounts_come_back_as_they_were(store: SqlStore, amount: str) -> None:
    """10: An amount is the same text when it comes back, whatever its size and number of decimals."""
    await store.commit([PutCase(case(amount=amount)), PutTransaction(transaction(amount=amount))])
    assert (await store.case(ACME, "c-1") or case()).amount == amount
    assert (await store.transaction(ACME, "q2c-1") or transaction()).amount == amount


async def test_money_comes_back_as_it_was(store: SqlStore) -> None:
    """10: Money that went in as amount and currency comes out as equal money."""
    money = Money("99999999999999999.99", "EUR")
    await store.commit([PutCase(case(amount=money.amount, currency=money.currency))])
    there = await store.case(ACME, "c-1")
    assert there is not None
    assert Money(there.amount, there.currency) == money


# 11 effects


OPEN: tuple[EffectState, ...] = ("planned", "sent", "uncertain", "refused")


@pytest.mark.parametrize("before", OPEN)
@pytest.mark.parametrize("after", [*OPEN, "confirmed"])
async def test_an_effect_moves_while_nothing_is_certain(store: SqlStore, before: EffectState, after: EffectState) -> None:
    """11: An effect that is not confirmed moves freely, and keeps what was written last."""
    await store.commit([PutEffect(effect(before, attempts=1))])
    moved = effect(after, attempts=2, sent_at=later(1), updated_at=later(2), reply=b"{}")
    await store.commit([PutEffect(moved)])
    assert await store.effect(ACME, moved.key) == moved


@pytest.mark.parametrize("after", [*OPEN, "confirmed"])
@pytest.mark.parametrize("certain", ["confirmed", "compensated"])
async def test_what_is_certain_stays(store: SqlStore, certain: EffectState, after: EffectState) -> None:
    """11: A confirmed or compensated effect does not move back, and the rest of the unit is not written either."""
    await store.commit([PutEffect(effect(certain, reply=b"kept"))])
    with pytest.raises(Fenced):
        await store.commit([PutEffect(effect(after)), Seen("worker", "beside it")])
    assert await store.effect(ACME, effect().key) == effect(certain, reply=b"kept")
    assert not await store.seen("worker", "beside it")


async def test_a_confirmed_effect_can_be_compensated_once(store: SqlStore) -> None:
    """11: Confirmed becomes compensated, and that is the end."""
    await store.commit([PutEffect(effect("confirmed"))])
    await store.commit([PutEffect(effect("compensated"))])
    with pytest.raises(Fenced):
        await store.commit([PutEffect(effect("compensated"))])


async def test_a_late_failure_of_an_earlier_attempt_does_not_overwrite_a_later_one(store: SqlStore) -> None:
    """11: A late failure of an earlier attempt does not take the place of what is known of a later one; a late yes does (P11)."""
    later_one = effect("sent", attempts=2, sent_at=later(2))
    await store.commit([PutEffect(later_one)])
    with pytest.raises(Fenced):
        await store.commit([PutEffect(effect("planned", attempts=1, sent_at=later(1)))])
    assert await store.effect(ACME, later_one.key) == later_one
    certain = effect("confirmed", attempts=1, sent_at=later(1), reply=b"{}")
    await store.commit([PutEffect(certain)])
    assert await store.effect(ACME, later_one.key) == certain


async def test_two_moves_of_an_effect_in_one_unit(store: SqlStore) -> None:
    """11: A unit that plans and confirms the same effect leaves it confirmed."""
    await store.commit([PutEffect(effect("planned")), PutEffect(effect("confirmed", reply=b"{}"))])
    assert await store.effect(ACME, effect().key) == effect("confirmed", reply=b"{}")


async def test_effects_are_found_by_state_and_transaction(store: SqlStore) -> None:
    """11: Effects are listed by state and correlation id, the longest untouched first."""
    await store.commit(
        [
            PutEffect(effect("uncertain", "b", updated_at=later(2))),
            PutEffect(effect("sent", "a", updated_at=later(1))),
            PutEffect(effect("confirmed", "c", correlation_id="q2c-other")),
        ]
    )
    assert [e.key for e in await store.effects(ACME)] == ["c", "a", "b"]
    assert [e.key for e in await store.effects(ACME, state=("sent", "uncertain"))] == ["a", "b"]
    assert [e.key for e in await store.effects(ACME, state=("sent", "confirmed"))] == ["c", "a"]
    assert [e.key for e in await store.effects(ACME, correlation_id="q2c-other")] == ["c"]
    assert [e.key for e in await store.effects(ACME, limit=1)] == ["c"]
    assert await store.effects("other") == ()


# 12 the journal


async def test_a_line_of_the_journal_never_changes(store: SqlStore) -> None:
    """12: A second line with the same number is refused, and the first one stays."""
    await store.commit([AddLine(line(detail="as it was"))])
    with pytest.raises(Duplicate, match="journal"):
        await store.commit([AddLine(line(detail="as somebody wishes"))])
    assert await store.journal(*ORDER) == (line(detail="as it was"),)


async def test_the_journal_is_read_in_its_order(store: SqlStore) -> None:
    """12: Lines come in the order of their numbers, with everything that was written in them."""
    lines = [line(seq=n, undo=b"\x00{}", undo_type="erp.Cancel", duration_ms=n, at=later(n / 1_000_000), answered="é") for n in range(12)]
    await store.commit([AddLine(one) for one in reversed(lines)])
    await store.commit([AddLine(line("ORD-2"))])
    assert await store.journal(*ORDER) == tuple(lines)
