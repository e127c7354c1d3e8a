"""Made-up tables over the made-up vendor, and their pure functions."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from canonical.failures import FailureRecord
from canonical.messages import Event
from runtime.process.declare import (
    Ask,
    CaseDraft,
    Process,
    Retry,
    Step,
    Wait,
    ask,
    ask_each,
    decide,
    hours,
    point_of_no_return,
    tell,
    wait,
)
from tests.runtime.process.vendor import Begin, Begin2, Do, Done, JobDone, JobGivenUp, Nodded, TakeBack

ONE_HOUR = hours(1)
CALM = Retry(attempts_max=5, wait_s=1.0, wait_s_max=60.0, within=hours(2))


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the job has learned: what was done under which reference, and who agreed."""

    job: str
    size: int = 0
    refs: dict[str, str] = {}
    nods: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


def begin(message: Begin) -> Memory:
    return Memory(job=message.job, size=message.size)


def job_of(message: Any) -> str:
    return str(message.job)


def do(name: str) -> Callable[[Memory], Do]:
    def command(m: Memory) -> Do:
        return Do(what=name)

    return command


def keep(m: Memory, reply: Done) -> Memory:
    return msgspec.structs.replace(m, refs={**m.refs, reply.what: reply.ref})


def take_back(name: str) -> Callable[[Memory], TakeBack]:
    def command(m: Memory) -> TakeBack:
        return TakeBack(ref=m.refs[name])

    return command


def doing(name: str, *, undo: bool = True, retry: Retry = CALM, when: Callable[[Memory], bool] | None = None) -> Ask:
    """A step that does something; and how it is taken back."""
    return ask(name, do(name), learn=keep, undo=take_back(name) if undo else None, retry=retry, when=when)


def doing_each(name: str, retry: Retry = CALM) -> Ask:
    """A step that does `size` things of the same kind."""

    def commands(m: Memory) -> Sequence[Do]:
        return [Do(what=f"{name}-{number}") for number in range(1, m.size + 1)]

    return ask_each(name, commands, learn=keep, retry=retry)


def nod(name: str, within: dt.timedelta = ONE_HOUR, *, case: bool = True, when: Callable[[Memory], bool] | None = None) -> Wait:
    """A step that waits until somebody agrees."""

    def key(m: Memory) -> str:
        return f"{m.job}:{name}"

    def event_key(event: Nodded) -> str:
        return f"{event.job}:{event.about}"

    def learn(m: Memory, event: Nodded) -> Memory:
        return msgspec.structs.replace(m, nods=(*m.nods, event.about))

    def late(m: Memory) -> Memory:
        return msgspec.structs.replace(m, late=(*m.late, name))

    def draft(m: Memory) -> CaseDraft:
        return CaseDraft(kind="nod", title=f"Agree to {m.job}", amount="10.00", currency="EUR", owner="boss", document={"job": m.job})

    return wait(name, Nodded, key=key, event_key=event_key, learn=learn, within=within, late=late, case=draft if case else None, when=when)


def never(m: Memory) -> bool:
    return False


def always(m: Memory) -> bool:
    return True


def too_small(m: Memory) -> str:
    return f"{m.job} is too small"


def big_enough(m: Memory) -> bool:
    return m.size >= 0


def deciding(name: str = "big_enough", test: Callable[[Memory], bool] = big_enough) -> Step:
    return decide(name, test, otherwise=too_small)


def finished(m: Memory) -> JobDone:
    return JobDone(job=m.job)


def hand_over(m: Memory) -> Begin2:
    return Begin2(job=m.job)


def given_up(m: Memory, failure: FailureRecord) -> Event:
    return JobGivenUp(job=m.job, reason=failure.detail)


def shows(m: Memory) -> CaseDraft:
    return CaseDraft(kind="job", title=f"Job {m.job}", amount="10.00", currency="EUR", document=m)


def table(*steps: Step, **fields: Any) -> Process:
    """A process of these steps."""
    given: dict[str, Any] = {
        "name": "jobs",
        "starts_on": Begin,
        "memory": Memory,
        "begin": begin,
        "key": job_of,
        "finish_within": hours(4),
        "if_undone": given_up,
        "shows": shows,
        **fields,
    }
    return Process(steps=steps, **given)


PLAIN = (
    doing("one"),
    deciding(),
    doing("two"),
    doing("three", undo=False),
    doing("four"),
    point_of_no_return(),
    doing("five", undo=False),
    tell("finished", finished),
)
