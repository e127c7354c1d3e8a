"""A body about which two systems could disagree is refused; what does not fit its shape is refused with the place."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical.messages import Accepted
from canonical.quote import SubmitQuote
from experience_apis.sales_portal.routes import SalesPortal
from policies import bodies
from policies.problems import Problem
from runtime.bus.wire import envelope
from runtime.clock import SetClock
from runtime.store.engine import SqlStore
from tests.policies.shop import Purchase, Shop, pointers, problem
from tests.policies.test_any_body import QUOTE

MALFORMED = {
    "nothing": b"",
    "half": b'{"item": "chair"',
    "no json": b"item=chair",
    "single quotes": b"{'item': 'chair'}",
    "invalid utf-8": b'{"item": "\xff"}',
    "invalid utf-8 in a key": b'{"item\xff": "chair"}',
    "utf-8 of a surrogate": b'{"item": "\xed\xa0\x80"}',
    "utf-16": '{"item": "chair"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"item": "chair"}',
    "deep": b'{"item": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"item":' * 100_000,
    "a key twice": b'{"item": "chair", "item": "throne"}',
    "a key twice, disguised": b'{"item": "chair", "\\u0069tem": "throne"}',
    "a key twice, further down": b'{"item": "chair", "lines": [{"total": {"amount": "1", "amount": "2", "currency": "EUR"}}]}',
    "two documents": b'{"item": "chair"}{"item": "throne"}',
    "trailing comma": b'{"item": "chair",}',
    "trailing text": b'{"item": "chair"} and more',
    "trailing NUL": b'{"item": "chair"}\0',
    "first half of a surrogate pair": b'{"item": "\\ud800 chair"}',
    "second half of a surrogate pair": b'{"item": "\\uDC00"}',
    "a half in a key": b'{"item": "chair", "\\ud800": 1}',
    "NaN": b'{"item": "chair", "lines": [{"total": {"amount": NaN, "currency": "EUR"}}]}',
    "Infinity": b'{"item": -Infinity}',
    "raw control character": b'{"item": "a\nb"}',
    "raw NUL": b'{"item": "a\0b"}',
}

MONEY = '{"item": "chair", "lines": [{"total": {"amount": "1.00", "currency": "EUR"}}, {"total": %s}]}'
UNFIT = {
    "unknown field": ('{"item": "chair", "status": "PAID"}', "/status"),
    "unknown field further down": (MONEY % '{"amount": "1", "currency": "EUR", "a/b~c": 1}', "/lines/1/total/a~1b~0c"),
    "missing field": ("{}", ""),
    "missing field further down": (MONEY % '{"amount": "1"}', "/lines/1/total"),
    "wrong type": ('{"item": 5}', "/item"),
    "text for a number": ('{"item": "chair", "lines": [{"total": {"amount": "1", "currency": "EUR"}, "count": "2"}]}', "/lines/0/count"),
    "truth for a number": ('{"item": "chair", "lines": [{"total": {"amount": "1", "currency": "EUR"}, "count": true}]}', "/lines/0/count"),
    "null": ('{"item": null}', "/item"),
    "another document": ("[]", ""),
    "not one of the words": ('{"item": "chair", "kind": "stolen"}', "/kind"),
    "NUL": ('{"item": "a\\u0000b"}', "/item"),
    "NUL in a key": ('{"item": "chair", "a\\u0000": 1}', ""),
    "NUL further down": ('{"item": "chair", "lines": ["x", {"y": "\\u0000"}]}', "/lines/1/y"),
    "number for money": (MONEY % '{"amount": 1.5, "currency": "EUR"}', "/lines/1/total/amount"),
    "endless number for money": (MONEY % '{"amount": 1e999999, "currency": "EUR"}', "/lines/1/total/amount"),
    "NaN for money": (MONEY % '{"amount": "NaN", "currency": "EUR"}', "/lines/1/total"),
    "Infinity for money": (MONEY % '{"amount": "-Infinity", "currency": "EUR"}', "/lines/1/total"),
    "an exponent for money": (MONEY % '{"amount": "1e999999", "currency": "EUR"}', "/lines/1/total"),
    "grouped digits for money": (MONEY % '{"amount": "1_000", "currency": "EUR"}', "/lines/1/total"),
    "Arabic digits for money": (MONEY % '{"amount": "١٢", "currency": "EUR"}', "/lines/1/total"),
    "too many decimals": (MONEY % '{"amount": "1.005", "currency": "EUR"}', "/lines/1/total"),
    "decimals where there are none": (MONEY % '{"amount": "1.5", "currency": "JPY"}', "/lines/1/total"),
    "unknown currency": (MONEY % '{"amount": "1", "currency": "XQX"}', "/lines/1/total"),
    "in a free-form object": ('{"item": "chair", "notes": {"a": {"amount": "x", "currency": "EUR"}}}', "/notes"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed(shop: Shop, name: str) -> None:
    """A body that is not beyond doubt is 400, and nothing was done or stored under its key."""
    answer = await shop.buy("malformed", MALFORMED[name])
    problem(answer, 400, "malformed_body")
    assert shop.journal.done == []
    assert (await shop.buy("malformed")).status_code == 202


@pytest.mark.parametrize("name", UNFIT)
async def test_unfit(shop: Shop, name: str) -> None:
    """A body that does not fit is 422 with the pointer to the place, and nothing was done or stored under its key (M13)."""
    body, pointer = UNFIT[name]
    answer = await shop.buy("unfit", body.encode())
    assert [error["detail"] for error in problem(answer, 422, "invalid_body")["errors"]] == [answer.json()["detail"]]
    assert pointers(answer) == [pointer]
    assert shop.journal.done == []
    assert (await shop.buy("unfit")).status_code == 202


async def test_too_many_digits(shop: Shop) -> None:
    """A number with more digits than any parser takes is 422."""
    for digits in (30, 5000):
        problem(await shop.buy(body=b'{"item": %s}' % (b"9" * digits)), 422, "invalid_body")


async def test_text_in_all_its_ways(shop: Shop) -> None:
    """Escapes, pairs of surrogates and every script are text."""
    for item in ('"Stuhl \\u00fc \\ud83e\\ude91 \\\\u0000 \\n"', '"🪑"', '"كرسي"', '"\\\\ud800"'):
        assert (await shop.buy(body=f'{{"item": {item}}}'.encode())).status_code == 202
    assert shop.journal.done == ["Stuhl ü 🪑 \\u0000 \n", "🪑", "كرسي", "\\ud800"]


async def test_a_body_that_is_nobodys_json(shop: Shop) -> None:
    """A route for raw bytes gets them as they came, whatever they are."""
    async with shop.caller() as client:
        for body in (b"", b"\xff\0", b'{"a":1,"a":2}'):
            assert (await client.post("/hooks", content=body)).json() == {"bytes": len(body)}


@pytest.mark.parametrize(
    "field", ["tenant", "tenant_id", "status", "approved", "submitted_by", "actor", "correlation_id", "__proto__", "__class__", "id"]
)
async def test_mass_assignment(shop: Shop, field: str) -> None:
    """A field that the shape does not have is refused by name, at the top and further down."""
    top = await shop.buy(body={"item": "chair", field: "PAID"})
    problem(top, 422, "invalid_body")
    assert pointers(top) == [f"/{field}"]
    assert field in top.json()["detail"]
    below = await shop.buy(body={"item": "chair", "lines": [{"total": {"amount": "1", "currency": "EUR"}, field: True}]})
    assert pointers(below) == [f"/lines/0/{field}"]
    assert shop.journal.done == []


async def test_who_submits_is_who_holds_the_token(store: SqlStore, clock: SetClock, tmp_path: Path) -> None:
    """A quote is submitted by whoever holds the token, whatever the body says."""
    shop = Shop(store, tmp_path, clock, handlers=[SalesPortal])
    shop.names[SubmitQuote.wire_name()] = "process.reception"
    shop.bus.answers = lambda letter: envelope(Accepted(process="quote_approval", key="Q-1.v1"), letter.context, now=clock.now())
    body = msgspec.json.encode({"quote": QUOTE, "submitted_by": "the boss"})
    async with shop.caller("ines", "quotes:write") as client:
        headers = {"content-type": "application/json", "idempotency-key": "k-1"}
        assert (await client.post("/experience/v1/sales/quotes", content=body, headers=headers)).status_code == 202
    (letter,) = shop.bus.asked
    command = letter.open()
    assert isinstance(command, SubmitQuote)
    assert command.submitted_by == letter.actor == "ines"


def test_values_put_together_are_checked_as_bodies_are() -> None:
    """A value made of a body and of something from the path is refused with the pointer; one of a query with the parameter."""
    with pytest.raises(Problem) as refused:
        bodies.converted({"item": "chair", "lines": [{"total": {"amount": "x", "currency": "EUR"}}]}, Purchase)
    assert (refused.value.status, refused.value.extra["errors"][0]["pointer"]) == (422, "/lines/0/total")
    with pytest.raises(Problem) as asked:
        bodies.asked({"item": "chair", "colour": "red"}, Purchase)
    assert (asked.value.status, asked.value.extra["errors"][0]["parameter"]) == (400, "colour")


def test_both_ways_of_parsing_agree() -> None:
    """The short way for what most programs write and the careful way give the same, and refuse the same."""
    for body in (*MALFORMED.values(), *(text.replace(": ", ":").encode() for text, _ in UNFIT.values()), msgspec.json.encode(QUOTE)):
        told = []
        for way in (bodies.parsed, bodies._parsed_with_care):
            try:
                told.append(("read", way(body)))
            except Problem as refusal:
                told.append((refusal.detail, refusal.extra))
        assert told[0] == told[1]
    assert bodies.parsed(msgspec.json.encode(QUOTE)) == QUOTE


def test_parsing_agrees_with_itself() -> None:
    """What is let through is what a plain parser reads, and what JSON does not have is not let through."""
    document: Any = {"a": [1, 2.5, None, True, {"b": "ü", "": []}], "z": {}}
    for constant in (b"NaN", b"Infinity", b"[-Infinity]"):
        with pytest.raises(Problem, match="is not JSON"):
            bodies.parsed(constant)
    assert bodies.parsed(b'\n {"a": [1, 2.5, null, true, {"b": "\\u00fc", "": []}], "z": {}} \t') == document
