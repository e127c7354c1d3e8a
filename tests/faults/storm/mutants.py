"""Bugs to plant, each one that somebody has shipped: the oracle has to turn red over every one of them.

A mutant is put into a process of the gateway before it starts (see `part`). Where the harm needs a rare moment, ``acts`` says which faults
bring it about. A pause in a mutant makes a window wider that is there without it.
"""

import asyncio
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from canonical.money import Money
from process_apis.order_booking import steps
from runtime import effects
from runtime.bus import handling
from runtime.process import engine, run, undoing
from runtime.store import engine as store_engine
from runtime.store import relay
from runtime.store.contract import OutboxRow, PutEffect, Seen

WINDOW_S = 0.05
KILLS = {"worker": 1}
BROKER = {"broker": 1, "worker": 2}
DATABASE = {"database": 1}

replace = msgspec.structs.replace


class Mutant(msgspec.Struct, frozen=True):
    """A planted bug: what it is, how it gets in, and which faults show it."""

    what: str
    plant: Callable[[], None]
    acts: Mapping[str, int] = msgspec.field(default_factory=lambda: KILLS)


def ack_before_work() -> None:
    """The message is acknowledged, then worked on."""
    work = handling.Handling.__call__

    async def call(self: Any, delivery: Any) -> None:
        await delivery.done()
        await work(self, delivery)

    handling.Handling.__call__ = call  # type: ignore[method-assign]


def random_vendor_key() -> None:
    """Each try has a key of its own."""

    def fresh(process: str, key: str, step: str) -> str:
        return f"{process}/{key}/{step}/{uuid.uuid4()}"

    run.step_key = fresh  # type: ignore[attr-defined]


def mark_sent_before_publish() -> None:
    """The outbox says sent, and then it is sent."""
    publish = relay.Relay._publish

    async def publish_marked(self: Any, messages: Any) -> bool:
        await self._store.mark_sent([message.letter.id for message in messages])
        await publish(self, messages)
        return True

    relay.Relay._publish = publish_marked  # type: ignore[method-assign]


def cursor_by_id() -> None:
    """The relay reads on from the last row that it has seen, and never looks back."""
    left_behind = relay.Relay._left_behind

    async def after_cursor(self: Any) -> Any:
        rows = await left_behind(self)
        seen = getattr(self, "cursor", "")
        self.cursor = max([seen, *(row.letter.sent_at for row in rows)])
        return [row for row in rows if row.letter.sent_at > seen]

    relay.Relay._left_behind = after_cursor  # type: ignore[method-assign]


def inbox_apart() -> None:
    """That a message was seen is committed by itself."""
    commit = store_engine.SqlStore.commit

    async def in_two(self: Any, unit: Any) -> None:
        seen = [write for write in unit if isinstance(write, Seen)]
        if seen:
            await commit(self, seen)
            await asyncio.sleep(WINDOW_S)
        await commit(self, [write for write in unit if not isinstance(write, Seen)])

    store_engine.SqlStore.commit = in_two  # type: ignore[method-assign]


def swallowed_exception() -> None:
    """Whatever goes wrong in a handler: it is done."""
    handler = engine.Engine.handler

    def swallowing(self: Any, process: Any) -> Any:
        handle = handler(self, process)

        async def swallow(letter: Any) -> None:
            try:
                await handle(letter)
            except Exception:
                return

        return swallow

    engine.Engine.handler = swallowing  # type: ignore[method-assign]


def new_message_id() -> None:
    """What is sent again is sent under a new id."""
    publish = relay.Relay._publish

    async def renamed(self: Any, messages: Any) -> bool:
        again = [replace(m, letter=replace(m.letter, id=str(uuid.uuid4()))) if isinstance(m, OutboxRow) else m for m in messages]
        working: bool = await publish(self, again)
        await self._store.mark_sent([message.letter.id for message in messages])
        return working

    relay.Relay._publish = renamed  # type: ignore[method-assign]


def one_compensation_dropped() -> None:
    """Of what was done one thing is not taken back."""
    open_undos = undoing.open_undos
    undoing.open_undos = lambda lines: [line for line in open_undos(lines) if line.step != "commit_tax"]


def float_money() -> None:
    """An amount goes through a binary float."""
    exact = steps._sum

    def rough(lines: Any, currency: str) -> Money:
        total = exact(lines, currency)
        short = struct.unpack("f", struct.pack("f", float(total.amount)))[0]
        digits = len(total.amount.partition(".")[2])
        return Money(f"{short:.{digits}f}", currency)

    steps._sum = rough


def no_settle_wait() -> None:
    """A no of the vendor's counts at once."""

    async def found(_self: Any, attempt: Any, _known: Any) -> Any:
        return await attempt.find()

    effects.EffectsLedger._found = found  # type: ignore[method-assign,assignment]


def intent_not_committed() -> None:
    """A write is sent without its intent having been committed."""
    commit = store_engine.SqlStore.commit

    async def without_intents(self: Any, unit: Any) -> None:
        await commit(self, [w for w in unit if not (isinstance(w, PutEffect) and w.effect.state == "sent")])

    store_engine.SqlStore.commit = without_intents  # type: ignore[method-assign]


MUTANTS: Mapping[str, Mutant] = {
    "ack_before_work": Mutant("the acknowledgement goes out before the work", ack_before_work),
    "random_vendor_key": Mutant("each try has a vendor key of its own", random_vendor_key),
    "mark_sent_before_publish": Mutant("the outbox says sent before it is", mark_sent_before_publish, BROKER),
    "cursor_by_id": Mutant("the relay reads on by a cursor", cursor_by_id, BROKER),
    "inbox_apart": Mutant("the inbox is in a transaction of its own", inbox_apart),
    "swallowed_exception": Mutant("an exception is swallowed", swallowed_exception, DATABASE),
    "new_message_id": Mutant("what is sent again has a new id", new_message_id),
    "one_compensation_dropped": Mutant("one compensation is dropped", one_compensation_dropped, {}),
    "float_money": Mutant("money goes through a float", float_money, {}),
    "no_settle_wait": Mutant("nobody waits for the vendor to settle", no_settle_wait, {}),
    "intent_not_committed": Mutant("a write is sent without its intent committed", intent_not_committed),
}
