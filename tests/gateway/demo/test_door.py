"""A patient caller: the same key again while the gateway is away, and no further when it says no."""

import asyncio
from typing import Any

import msgspec
import pytest

from canonical.failures import Failure, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.messages import Accepted
from gateway.demo.door import Addresses, Door, Refusal, TooLate
from runtime.clock import SetClock
from runtime.http.client import Response

ACCEPTED = Response(202, {}, msgspec.json.encode(Accepted(process="order_booking", key="ORD-1", correlation_id="q2c-1")))
ADDRESSES = Addresses(process="http://process", experience="http://experience", system="http://system")


class Answers:
    """Plays the connection to one layer: gives the planned answers, and keeps what it was asked."""

    def __init__(self, *planned: Response | Failure) -> None:
        self.planned = list(planned)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def send(self, method: str, path: str, **options: Any) -> Response:
        self.asked.append((method, path, options))
        answer = self.planned.pop(0) if self.planned else Unavailable("unreachable", "no connection")
        if isinstance(answer, Failure):
            raise answer
        return answer


class Hasty(SetClock):
    """A clock whose sleepers wake at once; the time passes all the same."""

    async def sleep(self, seconds: float) -> None:
        self.move(seconds)
        await asyncio.sleep(0)


def door(**layers: Answers) -> tuple[Door, Hasty]:
    clock = Hasty()
    made = Door(ADDRESSES, lambda name: f"token of {name}", clock, patience_s=30)
    made._clients = {f"http://{layer}": answers for layer, answers in layers.items()}  # type: ignore[misc]
    return made, clock


def refused(status: int, code: str) -> Rejected:
    problem = {"type": f"urn:q2c:problem:{code}", "status": status, "detail": "no", "title": "No"}
    return Rejected("rejected_by_vendor", "no", raw=msgspec.json.encode(problem).decode())


async def test_what_got_no_answer_is_asked_again_under_the_same_key() -> None:
    """Away, busy, broken off, or still at work on the first request: the same body and key go out again until there is an answer."""
    answers = Answers(
        Unavailable("unreachable", "no connection"),
        OutcomeUnknown("no_answer", "broken off"),
        Throttled("throttled", "slowly", retry_after_s=2.0),
        refused(409, "idempotency-key-in-flight"),
        refused(409, "conflict"),
        ACCEPTED,
    )
    made, clock = door(process=answers)
    found = await made.post("/process/v1/orders", {"order": 1}, Accepted, by="webshop", key="k-1")
    assert found == Accepted(process="order_booking", key="ORD-1", correlation_id="q2c-1")
    assert len(answers.asked) == 6
    assert len({msgspec.json.encode(options["content"]) for _, _, options in answers.asked}) == 1
    assert {options["headers"]["Idempotency-Key"] for _, _, options in answers.asked} == {"k-1"}
    assert clock.monotonic_s() >= 2.0


async def test_a_no_is_a_no() -> None:
    """A refusal comes back as its problem document, and nobody asks again."""
    answers = Answers(refused(422, "quote-not-valid"), ACCEPTED)
    made, _ = door(process=answers)
    found = await made.post("/process/v1/quotes", b"{}", Accepted)
    assert isinstance(found, Refusal)
    assert (found.status, found.code, found.detail) == (422, "quote-not-valid", "no")
    assert len(answers.asked) == 1


async def test_a_refusal_that_is_no_problem_document_is_still_one() -> None:
    """Something in between may answer with a page of its own."""
    made, _ = door(process=Answers(Rejected("rejected_by_vendor", "<html>", raw="<html>")))
    found = await made.post("/process/v1/quotes", b"{}", Accepted)
    assert found == Refusal(detail="<html>")


async def test_patience_ends() -> None:
    """A gateway that stays away is given up, with what it said last."""
    made, clock = door(process=Answers())
    with pytest.raises(TooLate, match="POST /process/v1/orders: no connection"):
        await made.post("/process/v1/orders", b"{}", Accepted)
    assert clock.monotonic_s() >= 30


async def test_each_path_goes_to_its_layer() -> None:
    """Where the layers are served apart, each request finds its own, and speaks with the token of whoever asks."""
    layers = {name: Answers(Response(200, {}, b"[]")) for name in ("process", "experience", "system")}
    made, _ = door(**layers)
    for path in ("/process/v1/cases", "/experience/v1/finance/allocations", "/system/v1/netsuite/invoices"):
        await made.get(path, list[str])
    assert [answers.asked[0][1] for answers in layers.values()] == [
        "/process/v1/cases",
        "/experience/v1/finance/allocations",
        "/system/v1/netsuite/invoices",
    ]
    assert layers["process"].asked[0][2]["headers"] == {"Authorization": "Bearer token of demo"}
