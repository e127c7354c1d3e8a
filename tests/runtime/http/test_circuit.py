"""The circuit of a connection: a vendor that is away rests, and comes back to a trickle."""

import pytest

from canonical.failures import Failure, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.clock import SetClock
from runtime.http.circuit import OPENS_AFTER, RAMP_FROM, REST_S, REST_S_MAX, Circuit

AWAY = Unavailable("unreachable", "no connection could be made")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def circuit(clock: SetClock) -> Circuit:
    return Circuit("erp", 100, clock, jitter=lambda: 0.0)


def call(circuit: Circuit, outcome: Failure | None = None) -> str:
    """One call that ends like this; what became of it."""
    try:
        with circuit:
            if outcome is not None:
                raise outcome
    except Failure as failure:
        return failure.code
    return "done"


def opened(circuit: Circuit) -> Circuit:
    """After so many failures in a row."""
    for _ in range(OPENS_AFTER):
        call(circuit, AWAY)
    return circuit


def test_failures_in_a_row_open_it(circuit: Circuit) -> None:
    """After the last of them nothing is sent any more, and the caller is told when to come back (V20, W10)."""
    for _ in range(OPENS_AFTER):
        assert call(circuit, AWAY) == "unreachable"
    with pytest.raises(Unavailable) as refused, circuit:
        pytest.fail("it was called")
    assert (refused.value.code, refused.value.retry_after_s, circuit.state) == ("circuit_open", REST_S, "open")


@pytest.mark.parametrize("outcome", [None, Rejected("no"), Throttled("slow_down")], ids=str)
def test_an_answer_of_any_kind_is_one(circuit: Circuit, outcome: Failure | None) -> None:
    """A vendor that refuses or asks for patience is there: only failures in a row count."""
    for _ in range(3):
        for _ in range(OPENS_AFTER - 1):
            call(circuit, AWAY)
        call(circuit, outcome)
    assert circuit.state == "closed"


def test_calls_that_were_under_way_do_not_prolong_the_rest(circuit: Circuit, clock: SetClock) -> None:
    """Of twenty calls that fail together the fifth opens it, and the others say nothing new: the first probe comes as soon (V20)."""
    for _ in range(20):
        circuit.__enter__()
    for _ in range(20):
        circuit.__exit__(Unavailable, AWAY, None)
    clock.move(REST_S)
    assert (circuit.state, call(circuit)) == ("half open", "done")


def test_silence_counts_as_being_away(circuit: Circuit) -> None:
    """Time-outs open it, too, although nobody knows what became of those calls."""
    for _ in range(OPENS_AFTER):
        call(circuit, OutcomeUnknown("no_answer", "no complete answer within 30 s"))
    assert circuit.state == "open"


def test_one_call_probes(circuit: Circuit, clock: SetClock) -> None:
    """When the rest is over one call goes through, and the others wait for what becomes of it (V20)."""
    opened(circuit)
    clock.move(REST_S)
    assert circuit.state == "half open"
    with circuit:
        assert call(circuit) == "circuit_open"
    assert circuit.state == "recovering"


def test_a_probe_that_fails_makes_the_rest_longer(circuit: Circuit, clock: SetClock) -> None:
    """An outage of hours is a probe a minute and no more: no storm of retries (V20, O4)."""
    opened(circuit)
    calls = 0
    for _ in range(3600):
        clock.move(1)
        calls += call(circuit, AWAY) == "unreachable"
    assert calls <= 3600 / REST_S_MAX + 6


def test_work_comes_back_as_a_trickle(circuit: Circuit, clock: SetClock) -> None:
    """After an outage two calls at a time are let through, a second later four, and so on until all are (W10, O4)."""
    opened(circuit)
    clock.move(REST_S)
    assert call(circuit) == "done"
    through = []
    for _ in range(8):
        at_once = 0
        held = []
        while at_once < 200:
            try:
                circuit.__enter__()
            except Unavailable:
                break
            held.append(1)
            at_once += 1
        through.append(at_once)
        for _ in held:
            circuit.__exit__(None, None, None)
        clock.move(1)
    assert through[:6] == [RAMP_FROM * 2**n for n in range(6)]
    assert (through[-1], circuit.state) == (200, "closed")
