"""The oracle sees each way to be wrong: on logs and books that were made up for it."""

from typing import Any

import pytest

from tests.faults.storm.oracle import Line, Oracle, Verdict

TOTAL = {"amount": "10.00", "currency": "EUR"}
ZERO = {"amount": "0.00", "currency": "EUR"}
EFFECTS: dict[str, Any] = {"customer": None, "sales_order": TOTAL, "tax_document": ZERO, "project": TOTAL, "opportunity_won": TOTAL}


def sent(order: str = "O-1", *, refused: bool = False) -> Line:
    return {"send": {"order": order, "customer": "C-1", "refused": refused, "effects": EFFECTS}}


def answered(order: str = "O-1", status: int = 202) -> Line:
    return {"answer": order, "key": f"key-{order}", "status": status, "said": "", "at": 1.0}


def effect(kind: str, ref: str = "O-1", act: str = "make", number: int = 1, money: Line | None = None) -> Line:
    known = EFFECTS.get(kind) or {"amount": "", "currency": ""}
    return {"seq": 1, "at": 1.0, "kind": kind, "ref": ref, "id": f"{kind}-{ref}-{number}", "act": act, "key": "k", **known, **(money or {})}


def booked(order: str = "O-1") -> list[Line]:
    """The books after an order was booked as it should be."""
    return [effect("customer", "C-1"), *(effect(kind, order) for kind in (*list(EFFECTS)[1:], "OrderBooked"))]


def refused(order: str = "O-1") -> list[Line]:
    """The books after an order was refused and taken back as it should be."""
    there = [effect(kind, order) for kind in ("tax_document", "sales_order")]
    back = [effect(kind, order, "undo") for kind in ("tax_document", "sales_order")]
    return [effect("customer", "C-1"), *there, *back, effect("OrderRejected", order)]


def judged(log: list[Line], books: list[Line]) -> Verdict:
    return Oracle(log, books).judge()


def counts(verdict: Verdict) -> tuple[int, int, int, int, int]:
    return verdict.lost, verdict.duplicated, verdict.ghost, verdict.stuck, verdict.recovered


def test_what_is_as_it_should_be_is_green() -> None:
    """A booked order and a refused one, each with its effects, are green."""
    verdict = judged([sent(), answered(), sent("O-2", refused=True), answered("O-2")], [*booked(), *refused("O-2")[1:]])
    assert (verdict.green, verdict.accepted, verdict.effects) == (True, 2, 11)


@pytest.mark.parametrize("kind", ["sales_order", "tax_document", "project", "opportunity_won", "OrderBooked"])
def test_a_missing_effect_is_lost(kind: str) -> None:
    """An effect of an accepted order that is in nobody's books is lost; without any end the order is stuck."""
    verdict = judged([sent(), answered()], [line for line in booked() if line["kind"] != kind])
    assert counts(verdict) == ((0, 0, 0, 1, 0) if kind == "OrderBooked" else (1, 0, 0, 0, 0))


def test_an_order_of_which_nothing_is_there_is_lost() -> None:
    """An accepted order without any effect is lost with everything that it had to leave."""
    assert judged([sent(), answered()], []).lost == 6


@pytest.mark.parametrize("kind", ["sales_order", "tax_document", "project", "opportunity_won", "OrderBooked"])
def test_a_second_effect_is_duplicated(kind: str) -> None:
    """An effect that is there twice is duplicated, whatever keys it came with."""
    verdict = judged([sent(), answered()], [*booked(), effect(kind, number=2)])
    assert counts(verdict) == (0, 1, 0, 0, 0)


def test_a_customer_is_made_once_for_all_orders() -> None:
    """The customer of several orders is there once; a second one is duplicated."""
    log = [sent(), answered(), sent("O-2"), answered("O-2")]
    assert judged(log, [*booked(), *booked("O-2")[1:]]).green
    assert judged(log, [*booked(), *booked("O-2")]).duplicated == 1


def test_an_effect_without_a_cause_is_a_ghost() -> None:
    """What nobody has sent, and what was refused at the door, must not be in anybody's books."""
    assert judged([sent(), answered()], [*booked(), effect("sales_order", "O-9")]).ghost == 1
    assert judged([sent(), answered(status=422)], [effect("sales_order")]).ghost == 1


def test_a_wrong_amount_is_a_ghost() -> None:
    """An effect over another amount or in another currency is not the one that was ordered."""
    for money in ({"amount": "10.01"}, {"currency": "USD"}):
        books = [line for line in booked() if line["kind"] != "project"]
        assert judged([sent(), answered()], [*books, effect("project", money=money)]).ghost == 1


def test_what_still_stands_of_a_refused_order_is_a_ghost() -> None:
    """A refused order whose tax document was not voided has a ghost."""
    books = [line for line in refused() if (line["kind"], line["act"]) != ("tax_document", "undo")]
    assert counts(judged([sent(refused=True), answered()], books)) == (0, 0, 1, 0, 0)


def test_a_refused_order_has_been_made_before_it_was_taken_back() -> None:
    """What comes before the refusal has to be in the books: an order that was refused without it went another way."""
    for kind in ("tax_document", "sales_order"):
        books = [line for line in refused() if line["kind"] != kind]
        assert counts(judged([sent(refused=True), answered()], books)) == (1, 0, 0, 0, 0)


def test_what_is_taken_back_twice_or_too_early_is_seen() -> None:
    """A second taking back, and one before there was anything, are each one too many, and what was made after it still stands."""
    twice = [*refused(), effect("tax_document", act="undo")]
    assert counts(judged([sent(refused=True), answered()], twice)) == (0, 1, 0, 0, 0)
    early = [effect("tax_document", act="undo"), *(line for line in refused() if (line["kind"], line["act"]) != ("tax_document", "undo"))]
    assert judged([sent(refused=True), answered()], early).duplicated == 1
    assert judged([sent(), answered()], [*booked(), effect("sales_order", "O-9", "undo")]).ghost == 1


def test_a_wrong_amount_is_seen_on_what_was_taken_back_too() -> None:
    """A refused order's effects were over what was ordered, though they do not stand any more."""
    books = [{**line, "amount": "10.01"} if line["kind"] == "sales_order" and line["act"] == "make" else line for line in refused()]
    assert counts(judged([sent(refused=True), answered()], books)) == (0, 0, 1, 0, 0)


def test_one_order_is_one_transaction_whatever_the_key() -> None:
    """An order that was sent again under another key is told as the transaction that it is already."""
    again = {**answered(), "key": "again-O-1"}
    assert judged([sent(), answered(), again], booked()).green
    assert judged([sent(), answered(), {**again, "said": "q2c-other"}], booked()).duplicated == 1


def test_what_is_done_without_an_answer_is_recovered() -> None:
    """A request whose answer was lost may have been carried out, wholly; the client learns it by asking again."""
    assert counts(judged([sent()], booked())) == (0, 0, 0, 0, 1)
    assert judged([sent()], []).green
    assert judged([sent()], booked()[:-2]).stuck == 1


def test_the_history_names_both_sides() -> None:
    """The history of an order holds what was expected, what was answered, and each effect with its key."""
    told = "\n".join(Oracle([sent(), answered()], booked()).history("O-1"))
    assert all(word in told for word in ("expected", "answered 202", "sales_order", "key k", "10.00 EUR"))
