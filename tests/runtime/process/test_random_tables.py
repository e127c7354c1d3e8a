"""Whatever table, whatever fails, whenever the process dies: each effect is made once, and what is undone is exactly what was done."""

import asyncio
import datetime as dt
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.messages import Command, Event
from runtime.clock import SetClock
from runtime.context import Context
from runtime.effects import Attempt, EffectsLedger
from runtime.process.asking import Answer, Asker
from runtime.process.declare import PATIENT, Ask, Process, Step, point_of_no_return, tell
from runtime.store.contract import ENDED, Instance, JournalLine
from runtime.store.engine import open_store
from tests.runtime.process.tables import deciding, doing, doing_each, finished, nod, table
from tests.runtime.process.vendor import After, Begin, Death, Do, Done, Nodded, TakeBack, Taken, Vendor
from tests.runtime.process.world import TENANT, Mortal, World

SETTLES_IN = dt.timedelta(seconds=5)
FAILURES: dict[str, Any] = {
    "throttled": Throttled("slow_down", retry_after_s=3.0),
    "unavailable": Unavailable("away"),
    "lost before": OutcomeUnknown("no_answer"),
    "lost after": After(OutcomeUnknown("no_answer")),
    "rejected": Rejected("no", "not today"),
    "misconfigured": Misconfigured("bad_key"),
    "unreadable after": After(Broken("unreadable")),
    "dead before": Death(),
    "dead after": After(Death()),
}
TROUBLE = st.tuples(st.sampled_from([4, 3, 5, 2, 1, 0]), st.booleans(), st.sampled_from(["rejected", "rejected", *sorted(FAILURES)]))
MAKES: dict[str, Any] = {
    "do": doing,
    "keep": lambda name, retry: doing(name, undo=False, retry=retry),
    "each": doing_each,
    "wait": lambda name, retry: nod(name),
    "decide": lambda name, retry: deciding(name),
    "tell": lambda name, retry: tell(name, finished),
}


class Careless(Vendor):
    """A vendor that does a thing as often as it is asked: only the ledger and `find` keep it single."""

    def _make(self, command: Command[Any], key: str) -> Event:
        self.books.append(key)
        return self.reply(command)

    def reply(self, command: Command[Any]) -> Event:
        return Done(what=command.what, ref=f"R-{command.what}") if isinstance(command, Do) else Taken(ref=_ref(command))


def _ref(command: Command[Any]) -> str:
    assert isinstance(command, TakeBack)
    return command.ref


class ThroughLedger:
    """Asks the careless vendor through the ledger of one process."""

    def __init__(self, vendor: Careless, store: Mortal, clock: SetClock) -> None:
        self._vendor = vendor
        self._ledger = EffectsLedger(store, clock)

    async def ask(self, command: Command[Any], context: Context, *, within_s: float | None = None) -> Answer:
        async def run() -> Event:
            return (await self._vendor.ask(command, context)).reply

        async def find() -> Event | None:
            return self._vendor.reply(command) if context.key in self._vendor.books else None

        attempt = Attempt(connection="workbench", command=command, handle=False, settles_in=SETTLES_IN, run=run, find=find)
        return await self._ledger.perform(attempt, context)


class LedgerWorld(World):
    """A world in which every process asks through a ledger of its own."""

    def asker_of(self, store: Mortal) -> Asker:
        return ThroughLedger(self.asker, store, self.clock)  # type: ignore[arg-type]


def steps_of(kinds: list[str], pivot: int) -> tuple[Step, ...]:
    """A table of these kinds of steps, with the point of no return at a place."""
    made = [MAKES[kind](f"s{number}", retry=PATIENT) for number, kind in enumerate(kinds)]
    return (*made[:pivot], point_of_no_return(), *made[pivot:])


class RandomTables(RuleBasedStateMachine):
    """One job on one random table, and everything that can happen to it."""

    def __init__(self, migrated: Path) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(migrated, self.folder / "q2c.db")
        self.runner = asyncio.Runner()
        self.clock = SetClock()
        self.vendor = Careless()
        self.store = self.runner.run(self._open())
        self.world: LedgerWorld | None = None

    async def _open(self) -> Any:
        store = open_store(f"sqlite:///{self.folder / 'q2c.db'}", self.clock)
        await store.start()
        return store

    @initialize(
        kinds=st.lists(st.sampled_from(["do", "do", "do", "do", "do", *sorted(MAKES)]), min_size=5, max_size=6),
        pivot=st.sampled_from([6, 6, 6, 4, 1]),
        troubles=st.lists(TROUBLE, min_size=3, max_size=8),
    )
    def begin(self, kinds: list[str], pivot: int, troubles: list[tuple[int, bool, str]]) -> None:
        self.process: Process = table(*steps_of(kinds, pivot))
        self.world = LedgerWorld(self.store, self.clock, self.vendor, self.process)
        self.letter = self.world.letter(Begin(job="J-1", size=2))
        self.nods = [self.world.letter(Nodded(job="J-1", about=f"s{number}")) for number in range(len(kinds))]
        for trouble in troubles:
            self.something_will_fail(trouble)
        self.the_start_message_comes()

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something happen; a process that dies over it is followed by another, a message that is refused is the bus's business."""
        assert self.world is not None
        try:
            self.runner.run(work)
        except Death:
            self.world.new_worker()
        except Failure:
            pass

    @rule()
    def the_start_message_comes(self) -> None:
        self.do(self.world.worker.handle(self.letter))  # type: ignore[union-attr]

    @rule(number=st.integers(0, 5))
    def somebody_nods(self, number: int) -> None:
        if number < len(self.nods):
            self.do(self.world.worker.handle(self.nods[number]))  # type: ignore[union-attr]

    @rule(trouble=TROUBLE)
    def something_will_fail(self, trouble: tuple[int, bool, str]) -> None:
        number, undo, what = trouble
        parts = [f"s{number}/undo"] if undo else [f"s{number}", f"s{number}.2"]
        for part in parts:
            self.vendor.plan(part, FAILURES[what])

    @rule(commits=st.integers(1, 4), side=st.sampled_from(["before", "after"]))
    def the_process_will_die(self, commits: int, side: str) -> None:
        store = self.world.worker.store  # type: ignore[union-attr]
        setattr(store, f"dies_{side}", store.commits + commits)

    @rule(seconds=st.sampled_from([1, 10, 200, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.do(self.world.later(seconds))  # type: ignore[union-attr]

    @rule()
    def the_post_comes(self) -> None:
        self.do(self.world.deliver())  # type: ignore[union-attr]

    @rule()
    def a_person_resumes(self) -> None:
        self.do(self.world.worker.engine.resume(TENANT, "jobs", "J-1", by="eve"))  # type: ignore[union-attr]

    @rule()
    def a_person_cancels(self) -> None:
        self.do(self.world.worker.engine.cancel(TENANT, "jobs", "J-1", by="eve", reason="a mistake"))  # type: ignore[union-attr]

    def look(self) -> tuple[Instance | None, tuple[JournalLine, ...]]:
        async def read() -> tuple[Instance | None, tuple[JournalLine, ...]]:
            return await self.store.instance(TENANT, "jobs", "J-1"), await self.store.journal(TENANT, "jobs", "J-1")

        return self.runner.run(read())

    @invariant()
    def each_effect_is_made_once(self) -> None:
        assert len(set(self.vendor.books)) == len(self.vendor.books), self.vendor.books

    @invariant()
    def the_journal_is_true(self) -> None:
        row, lines = self.look()
        asked = [line.step for line in lines if line.kind == "ask"]
        undone = [line.step for line in lines if line.kind == "undo"]
        books = [key.removeprefix("jobs/J-1/") for key in self.vendor.books]
        assert len(set(asked)) == len(asked)
        assert len(set(undone)) == len(undone)
        assert set(asked) <= set(books)
        assert {f"{step}/undo" for step in undone} <= set(books)
        assert set(undone) <= {line.step for line in lines if line.undo_type}
        if row is not None and row.status == "done":
            assert not undone
            assert set(books) == set(asked)
        if row is not None and row.status == "undone":
            assert not any(line.kind == "pivot" for line in lines)
            undoable = {step.name for step in self.process.steps if isinstance(step, Ask) and step.undo}
            made = {step for step in books if step in undoable}
            assert set(undone) == made
            assert undone == [step for step in reversed(asked) if step in undoable]

    def teardown(self) -> None:
        """Left to itself, with a person who resumes what is parked, the job comes to its end."""
        if self.world is not None:
            for _ in range(80):
                row, _ = self.look()
                if row is not None and row.status in ENDED:
                    break
                self.the_start_message_comes()
                for number in range(len(self.nods)):
                    self.somebody_nods(number)
                self.a_person_resumes()
                self.the_post_comes()
                self.time_passes(400)
            row, _ = self.look()
            assert row is not None
            assert row.status in ENDED, row
            self.each_effect_is_made_once()
            self.the_journal_is_true()
        self.runner.run(self.store.stop())
        self.runner.close()
        shutil.rmtree(self.folder)


def test_random_tables(migrated: Path) -> None:
    """Random tables under random trouble keep their promises; the trouble is the same in every run."""
    found = settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True, database=None)

    class OnThisStore(RandomTables):
        def __init__(self) -> None:
            super().__init__(migrated)

    run_state_machine_as_test(OnThisStore, settings=found)
