"""The same key with the same request gets the stored answer; nothing happens twice, and nothing by halves."""

import asyncio

import httpx
import msgspec
import pytest

from canonical.failures import OutcomeUnknown, Rejected, Unavailable
from policies.idempotency import fingerprint, read_key
from policies.problems import Problem
from runtime.clock import SetClock
from tests.policies.shop import Shop, business_record, problem

DAY_S = 24 * 3600


def replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("idempotency-replayed") == "true")


async def outbox(shop: Shop) -> int:
    """How many messages were committed, whether sent or not."""
    rows = await shop.store.unsent(older_than=shop.clock.now().replace(year=2100))
    return len(rows)


async def test_replay(shop: Shop) -> None:
    """The same request again gets the same answer, marked as replayed, and its effect is there once."""
    first, second = await shop.buy("k-1"), await shop.buy("k-1")
    assert (first.status_code, replayed(first)) == (202, False)
    assert (second.status_code, replayed(second)) == (202, True)
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-correlation-id"] != first.headers["x-correlation-id"]
    assert shop.journal.done == ["chair"]
    assert len(shop.publisher.sent) == await outbox(shop) == 1


async def test_a_key_in_quotes(shop: Shop) -> None:
    """A key is the same with and without quotes."""
    await shop.buy('"k-1"')
    assert replayed(await shop.buy("k-1"))
    assert replayed(await shop.buy('"k-1"'))


async def test_layout_is_no_difference(shop: Shop) -> None:
    """Blanks, the order of fields and escapes make no other request."""
    await shop.buy("k-1", b'{"item":"ch\xc3\xa4r","kind":"new"}')
    assert replayed(await shop.buy("k-1", b'{ "kind" : "new",\n "item": "ch\\u00e4r" }'))


@pytest.mark.parametrize("body", [{"item": "throne"}, {"item": "chair", "kind": "new"}, {"item": "chair", "lines": []}])
async def test_another_request_under_the_same_key(shop: Shop, body: dict[str, str]) -> None:
    """Another body under a known key is 422, and the first effect is untouched."""
    first = await shop.buy("k-1")
    problem(await shop.buy("k-1", body), 422, "idempotency_key_reused")
    assert (await shop.buy("k-1")).content == first.content
    assert shop.journal.done == ["chair"]


async def test_another_path_under_the_same_key(shop: Shop) -> None:
    """The key is the operation's, whatever ids its path has: another id is another request, another operation another key."""
    await shop.buy("k-1", path="/purchases/P-1/returns")
    problem(await shop.buy("k-1", path="/purchases/P-2/returns"), 422, "idempotency_key_reused")
    problem(await shop.buy("k-1", path="/purchases/P-1/returns?really=1"), 422, "idempotency_key_reused")
    assert replayed(await shop.buy("k-1", path="http://shop//purchases/P-1//returns/"))
    assert (await shop.buy("k-1")).status_code == 202
    assert shop.journal.done == ["return of P-1", "chair"]


async def test_keys_of_others(shop: Shop) -> None:
    """A client that guesses another one's key gets its own answer, not the other's."""
    first, other = await shop.buy("k-1", by="crm"), await shop.buy("k-1", by="cpq")
    assert (first.json()["by"], other.json()["by"], replayed(other)) == ("crm", "cpq", False)


@pytest.mark.parametrize("key", ["", '""', "a b", "a" * 256, "schlüssel".encode().decode("latin-1"), "a\x7f"])
async def test_keys_that_are_none(shop: Shop, key: str) -> None:
    """A key that is empty, too long or of other characters is 400, also where a key is optional."""
    async with shop.caller() as client:
        for path in ("/purchases", "/purchases/P-1/returns"):
            headers = [(b"idempotency-key", key.encode("latin-1")), (b"content-type", b"application/json")]
            answer = await client.post(path, content=b'{"item":"chair"}', headers=headers)
            problem(answer, 400, "idempotency_key_invalid")
    assert shop.journal.done == []


async def test_two_keys_in_one_request(shop: Shop) -> None:
    """A request with two keys is 400: nobody could say which one holds."""
    async with shop.caller() as client:
        headers = [("idempotency-key", "k-1"), ("idempotency-key", "k-2"), ("content-type", "application/json")]
        problem(await client.post("/purchases", content=b'{"item":"chair"}', headers=headers), 400, "idempotency_key_invalid")


async def test_a_missing_key(shop: Shop) -> None:
    """Without a key, what shall happen once is 400; where it is optional it happens each time."""
    async with shop.caller() as client:
        kind = {"content-type": "application/json"}
        problem(await client.post("/purchases", content=b'{"item":"chair"}', headers=kind), 400, "idempotency_key_missing")
        for _ in range(2):
            assert (await client.post("/purchases/P-1/returns", content=b'{"item":"chair"}', headers=kind)).status_code == 202
    assert shop.journal.done == ["return of P-1"] * 2


def test_the_longest_key() -> None:
    """255 characters are a key, in quotes as well; one more is none."""
    assert read_key("k" * 255, required=True) == read_key(f'"{"k" * 255}"', required=True) == "k" * 255
    for wrong in ("k" * 256, "k\n"):
        with pytest.raises(Problem):
            read_key(wrong, required=False)


async def test_in_flight(shop: Shop) -> None:
    """While the first request is at work, the second is told to come again, and then gets its answer."""
    shop.journal.gate.clear()
    first = asyncio.create_task(shop.buy("k-1"))
    await shop.journal.entered.wait()
    busy = await shop.buy("k-1")
    problem(busy, 409, "idempotency_key_in_flight")
    assert busy.headers["retry-after"] == "1"
    assert (await shop.buy("k-2", by="cpq", path="/purchases/P-1/returns")).status_code == 202, "others are not held up"
    shop.journal.gate.set()
    assert (await first).status_code == 202
    assert replayed(await shop.buy("k-1"))
    assert shop.journal.done == ["return of P-1", "chair"]


async def test_many_at_once(shop: Shop) -> None:
    """Of many requests with one key at one time the route does the work once, and every answer is the first or says to come again."""
    answers = await asyncio.gather(*(shop.buy("k-1") for _ in range(20)))
    assert sorted({answer.status_code for answer in answers}) in ([202], [202, 409])
    assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
    assert shop.journal.done == ["chair"]
    assert await outbox(shop) == 1


async def test_two_processes(shop: Shop, twin: Shop) -> None:
    """Two processes that work on one key at the same time: what one has done is there once, and both give the same answer."""
    for process in (shop, twin):
        process.journal.gate.clear()
    tasks = [asyncio.create_task(process.buy("k-1")) for process in (shop, twin)]
    for process in (shop, twin):
        await process.journal.entered.wait()
        process.journal.gate.set()
    answers = await asyncio.gather(*tasks)
    assert [answer.status_code for answer in answers] == [202, 202]
    assert sorted(map(replayed, answers)) == [False, True]
    assert answers[0].content == answers[1].content
    assert len(shop.publisher.sent) + len(twin.publisher.sent) == await outbox(shop) == 1


async def test_two_processes_and_two_requests(shop: Shop, twin: Shop) -> None:
    """Two processes that work on two requests under one key: one wins, the other is 422 and without effect."""
    for process in (shop, twin):
        process.journal.gate.clear()
    tasks = [asyncio.create_task(process.buy("k-1", {"item": item})) for process, item in ((shop, "chair"), (twin, "throne"))]
    for process in (shop, twin):
        await process.journal.entered.wait()
        process.journal.gate.set()
    answers = await asyncio.gather(*tasks)
    assert sorted(answer.status_code for answer in answers) == [202, 422]
    problem(next(answer for answer in answers if answer.status_code == 422), 422, "idempotency_key_reused")
    assert await outbox(shop) == 1


async def test_refusals_are_not_stored(shop: Shop) -> None:
    """After a refusal or a bug the same key is free, and of what the route had begun nothing was kept."""
    for failure, status in ((Rejected("not_now", "no"), 422), (Problem(409, "not_parked", "no"), 409), (KeyError("bug"), 500)):
        shop.journal.failure = failure
        assert (await shop.buy("k-1")).status_code == status
        assert await outbox(shop) == 0
    shop.journal.failure = None
    good = await shop.buy("k-1")
    assert (good.status_code, replayed(good)) == (202, False)
    assert await outbox(shop) == 1


async def test_a_commit_that_fails(shop: Shop) -> None:
    """The answer and what it sends are one commit: where it fails the caller is told so, nothing is there, and a retry does it (P1)."""
    shop.store.failures = [Unavailable("store_down", "gone")]
    problem(await shop.buy("k-1"), 503, "store_down")
    assert (await outbox(shop), shop.publisher.sent) == (0, [])
    again = await shop.buy("k-1")
    assert (again.status_code, replayed(again), await outbox(shop)) == (202, False, 1)


async def test_a_commit_of_which_nobody_knows(shop: Shop) -> None:
    """A commit that went through but could not say so is told as uncertain, and a retry gets the stored answer (P2)."""
    shop.store.after = [OutcomeUnknown("commit_in_doubt", "cut off")]
    problem(await shop.buy("k-1"), 504, "commit_in_doubt")
    again = await shop.buy("k-1")
    assert (again.status_code, replayed(again), await outbox(shop)) == (202, True, 1)
    assert shop.journal.done == ["chair"]


async def test_a_crash_before_the_commit(shop: Shop, twin: Shop) -> None:
    """A process that dies before its commit leaves nothing; another one does the work under the same key (P1)."""
    shop.journal.gate.clear()
    dying = asyncio.create_task(shop.buy("k-1"))
    await shop.journal.entered.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert await outbox(shop) == 0
    answer = await twin.buy("k-1")
    assert (answer.status_code, replayed(answer), await outbox(shop)) == (202, False, 1)
    shop.journal.gate.set()
    assert replayed(await shop.buy("k-1")), "the key is not held by the dead request"


async def test_a_business_key_that_another_request_took(shop: Shop) -> None:
    """Where a business key in the same unit was taken in the same moment, nothing is written, and the caller is told to ask again."""
    shop.journal.business_key = "ORD-1"
    assert (await shop.buy("k-1")).status_code == 202
    late = await shop.buy("k-2")
    problem(late, 409, "conflict")
    assert late.headers["retry-after"] == "1"
    assert await shop.store.idempotency("default", "crm POST /purchases", "k-2", shop.clock.now()) is None
    assert await outbox(shop) == 1
    shop.journal.business_key = ""
    assert (await shop.buy("k-2")).status_code == 202, "the key of the refused request is free"


async def test_expiry(shop: Shop, clock: SetClock) -> None:
    """A key is remembered for thirty days; then it is new again, while a business key holds for good."""
    shop.journal.business_key = "ORD-1"
    first = await shop.buy("k-1")
    clock.move(30 * DAY_S - 1)
    assert (await shop.buy("k-1")).content == first.content
    clock.move(1)
    problem(await shop.buy("k-1"), 409, "conflict")
    known = await shop.store.idempotency("default", "business:purchase", "ORD-1", clock.now())
    assert known == business_record("ORD-1")


def test_what_is_in_a_fingerprint() -> None:
    """A fingerprint tells apart whatever identifies a request, and sees no layout."""
    same = fingerprint("POST", "/a", "", "t", "s", body=b"1", tree={"a": 1, "b": [1.5, None]})
    assert same == fingerprint("POST", "/a", "", "t", "s", body=b"2", tree={"b": [1.5, None], "a": 1})
    others = [
        fingerprint("POST", "/a", "", "t", "s", body=b"", tree={"a": 1, "b": [1.5]}),
        fingerprint("PUT", "/a", "", "t", "s", body=b"", tree={"a": 1, "b": [1.5, None]}),
        fingerprint("POST", "/a", "", "ts", "", body=b"", tree={"a": 1, "b": [1.5, None]}),
        fingerprint("POST", "/a", "", "t", "s", body=b"x"),
        fingerprint("POST", "/a", "", "t", "s", body=b"y"),
        fingerprint("POST", "/a", "", "t", "s", body=b"9" * 30, tree=10**29),
    ]
    assert len({same, *others}) == 7


async def test_what_is_stored(shop: Shop) -> None:
    """The record has the operation's template and the client in its scope, and of the headers only what is the answer's own."""
    await shop.buy("k-1", path="/purchases/P-1/returns")
    record = await shop.store.idempotency("default", "crm POST /purchases/{purchase_id}/returns", "k-1", shop.clock.now())
    assert record is not None
    assert (record.status, record.headers) == (202, {"content-type": "application/json"})
    assert msgspec.json.decode(record.body) == {"purchase": "P-1"}
