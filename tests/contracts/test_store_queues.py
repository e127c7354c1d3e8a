"""What the store keeps for the embedded bus and for the budgets of all workers."""

import asyncio

from runtime.store.engine import SqlStore
from tests.contracts.stores import (
    NOW,
    OpenStore,
    later,
)

# the queues of the embedded bus


async def test_a_queue_keeps_its_order(store: SqlStore) -> None:
    """Messages of a queue come oldest first, after a number, and each queue has its own."""
    for n in range(3):
        await store.enqueue("q", f"m-{n}", str(n).encode())
    await store.enqueue("other", "m-9", b"9", attempts=2)
    first, second, third = await store.queued("q", after_seq=0)
    assert [message.data for message in (first, second, third)] == [b"0", b"1", b"2"]
    assert await store.queued("q", after_seq=first.seq, limit=1) == (second,)
    assert [message.attempts for message in await store.queued("other", after_seq=0)] == [2]


async def test_a_number_is_never_given_twice(store: SqlStore) -> None:
    """When the newest message is done, the next one gets a higher number: who reads on does not miss it."""
    await store.enqueue("q", "m-1", b"1")
    (first,) = await store.queued("q", after_seq=0)
    await store.dequeue(first.seq)
    await store.dequeue(first.seq)
    await store.enqueue("q", "m-2", b"2")
    assert [message.data for message in await store.queued("q", after_seq=first.seq)] == [b"2"]


async def test_attempts_are_counted(store: SqlStore) -> None:
    """Each attempt is counted and the count is kept."""
    await store.enqueue("q", "m-1", b"1")
    (message,) = await store.queued("q", after_seq=0)
    assert [await store.count_attempt(message.seq) for _ in range(3)] == [1, 2, 3]
    assert (await store.queued("q", after_seq=0))[0].attempts == 3
    assert await store.count_attempt(999) == 0


async def test_a_dead_letter_comes_back_once(store: SqlStore) -> None:
    """A buried message lies apart with its reason and its attempts; it is exhumed once, fresh and behind all others."""
    await store.enqueue("q", "m-1", b"\x00")
    await store.enqueue("q", "m-2", b"2")
    first, second = await store.queued("q", after_seq=0)
    await store.count_attempt(first.seq)
    await store.bury(first.seq, "unreadable: \x00")
    await store.bury(first.seq, "again")
    assert await store.queued("q", after_seq=0) == (second,)
    ((buried, reason),) = await store.buried("q")
    assert (buried.seq, buried.data, buried.attempts, reason) == (first.seq, b"\x00", 1, "unreadable: \ufffd")
    assert sorted(await asyncio.gather(*(store.exhume(first.seq) for _ in range(3)))) == [False, False, True]
    assert await store.buried("q") == ()
    back = (await store.queued("q", after_seq=second.seq))[0]
    assert (back.data, back.attempts) == (b"\x00", 0)


# leases


async def test_a_budget_has_so_many_slots(store: SqlStore) -> None:
    """A slot is taken, kept by who holds it, free again when it was released or has expired; budgets do not share."""

    async def take(holder: str, at: float = 0, name: str = "netsuite") -> bool:
        return await store.lease(name, holder, slots=2, until=later(at + 60), now=later(at))

    assert [await take("a"), await take("b"), await take("c"), await take("a", 30)] == [True, True, False, True]
    assert await take("c", name="stripe")
    await store.release("netsuite", "b")
    await store.release("netsuite", "nobody")
    assert [await take("c"), await take("d")] == [True, False]
    assert [await take("d", 60), await take("e", 60), await take("e", 90)] == [True, False, True]


async def test_two_workers_never_share_the_last_slot(opened: OpenStore) -> None:
    """Two workers that ask twenty times each at the same moment get five slots of five between them."""
    workers = [await opened(), await opened()]
    answers = await asyncio.gather(
        *(worker.lease("erp", f"{w}-{n}", slots=5, until=later(60), now=NOW) for n in range(20) for w, worker in enumerate(workers))
    )
    assert sum(answers) == 5
