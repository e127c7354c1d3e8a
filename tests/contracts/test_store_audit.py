"""The promise of the store about the audit trail (14), and its examination: what was changed behind the store's back is named."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Connection, text

from runtime.audit import verify
from runtime.context import Context, working_in
from runtime.store.auditing import GENESIS, link
from runtime.store.contract import AddLine, AuditHead, AuditRow, Duplicate, PutCase, PutEffect, Seen, SetCursor, StartInstance, Write
from runtime.store.database import parse, writing_engine
from runtime.store.engine import SqlStore
from tests.contracts.stores import ACME, OpenStore, case, effect, instance, line

PAST_THE_TRIGGER = {
    "postgresql": ("SET LOCAL session_replication_role = replica",),
    "sqlite": ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"),
}


async def five_orders(store: SqlStore) -> tuple[AuditRow, ...]:
    """Five instances, a unit each: their trail."""
    for number in range(1, 6):
        key = f"ORD-{number}"
        await store.commit([StartInstance(instance(key)), AddLine(line(key)), PutEffect(effect(key=f"order_booking/{key}/book_in_erp"))])
    return await store.audit(ACME)


async def tampered(url: str, *statements: str) -> None:
    """What somebody does who owns the database."""

    def do(connection: Connection) -> None:
        for statement in (*PAST_THE_TRIGGER[connection.dialect.name], *statements):
            connection.execute(text(statement))

    engine = writing_engine(parse(url))
    async with engine.begin() as connection:
        await connection.run_sync(do)
    await engine.dispose()


async def findings(store: SqlStore, *signed: AuditHead) -> list[tuple[int, str]]:
    """Row and word of each finding."""
    return [(finding.seq, finding.what) for finding in (await verify(store, ACME, signed=signed)).findings]


async def test_a_unit_leaves_one_row(store: SqlStore) -> None:
    """14: A unit that changes states leaves one row: who, about what, each change with its table, key, word and digest (I9)."""
    with working_in(Context(tenant=ACME, actor="dana", correlation_id="q2c-1")):
        await store.commit([StartInstance(instance("ORD-1")), AddLine(line("ORD-1")), PutEffect(effect())])
    [row] = await store.audit(ACME)
    assert (row.seq, row.actor, row.subject) == (1, "dana", "order_booking/ORD-1")
    assert [(table, key) for table, key, _, _ in row.named] == [
        ("journal", "order_booking/ORD-1#0"),
        ("effect", "order_booking/ORD-1/book_in_erp"),
    ]
    assert row.hash == link(GENESIS, row.cells)
    assert await store.audit_heads() == (AuditHead(tenant=ACME, seq=1, hash=row.hash),)


async def test_what_changes_no_state_leaves_no_row(store: SqlStore) -> None:
    """14: A mark of the inbox and a cursor are no changes of state."""
    await store.commit([Seen("worker", "m-1"), SetCursor("poll", "7")])
    assert await store.audit(ACME) == ()
    assert await store.audit_heads() == ()


async def test_a_refused_unit_leaves_no_row(store: SqlStore) -> None:
    """14: A unit that is refused is not in the trail, the others of its commit are."""
    await five_orders(store)
    again: list[Write] = [StartInstance(instance("ORD-3")), AddLine(line("ORD-3"))]
    new: list[list[Write]] = [[StartInstance(instance(f"ORD-{n}")), AddLine(line(f"ORD-{n}"))] for n in (8, 9)]
    outcomes = await asyncio.gather(*map(store.commit, (new[0], again, new[1])), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Duplicate, type(None)]
    assert [row.subject for row in (await store.audit(ACME))[5:]] == ["order_booking/ORD-8", "order_booking/ORD-9"]
    assert await findings(store) == []


async def test_many_workers_make_one_chain(opened: OpenStore) -> None:
    """14: The rows of three stores that commit at the same time are one chain without gaps, per tenant."""
    stores = [await opened() for _ in range(3)]
    units = [
        store.commit([PutCase(case(f"c-{place}-{number}")), PutCase(msgspec.structs.replace(case(f"o-{place}-{number}"), tenant="other"))])
        for place, store in enumerate(stores)
        for number in range(30)
    ]
    await asyncio.gather(*units)
    for tenant in (ACME, "other"):
        verdict = await verify(stores[0], tenant)
        assert (verdict.rows, verdict.findings) == (90, ())


async def test_the_database_itself_refuses(store: SqlStore, store_url: str) -> None:
    """Rows of the trail cannot be changed or removed by a plain statement."""
    await five_orders(store)
    engine = writing_engine(parse(store_url))
    for statement in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"):
        with pytest.raises(Exception, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(text(statement))
    await engine.dispose()
    assert await findings(store) == []


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE audit SET actor = 'somebody else' WHERE seq = 3"], [(3, "edited")]),
        (["DELETE FROM audit WHERE seq = 3"], [(3, "removed")]),
        (["DELETE FROM audit WHERE seq IN (2, 3)"], [(2, "removed"), (3, "removed")]),
        (["DELETE FROM audit WHERE seq > 3"], [(4, "cut_off")]),
        (["DELETE FROM audit"], [(1, "cut_off")]),
        (
            [
                "UPDATE audit SET seq = 99 WHERE seq = 2",
                "UPDATE audit SET seq = 2 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 99",
            ],
            [(2, "edited"), (3, "edited"), (4, "edited")],
        ),
        (["UPDATE journal SET detail = 'nothing happened' WHERE key = 'ORD-2'"], [(2, "journal_edited")]),
        (["DELETE FROM journal WHERE key = 'ORD-5'"], [(5, "journal_removed")]),
        (["UPDATE audit SET changes = 'rubbish' WHERE seq = 4"], [(4, "edited")]),
        (["DELETE FROM audit_heads"], [(0, "cut_off")]),
    ],
    ids=["edited", "removed", "two removed", "cut off", "all gone", "swapped", "journal edited", "journal removed", "rubbish", "head gone"],
)
async def test_tampering_is_named(store: SqlStore, store_url: str, statements: list[str], expected: list[tuple[int, str]]) -> None:
    """An edited, removed, swapped or cut-off row is named, and so is a journal line that was edited or removed (S14, W15, EX5)."""
    await five_orders(store)
    assert await findings(store) == []
    await tampered(store_url, *statements)
    assert await findings(store) == expected


async def test_an_unaudited_journal_line_is_seen(store: SqlStore, store_url: str) -> None:
    """A line that somebody adds to the journal past the store is named by no row, and that is said."""
    await five_orders(store)
    columns = ", ".join(name for name in line().__struct_fields__ if name != "seq")
    copied = f"INSERT INTO journal ({columns}, seq) SELECT {columns}, 77 FROM journal WHERE key = 'ORD-1'"  # noqa: S608 - our own names
    await tampered(store_url, copied)
    assert await findings(store) == [(0, "journal_unaudited")]


def rewritten(rows: tuple[AuditRow, ...], change: Callable[[AuditRow], AuditRow]) -> list[AuditRow]:
    """The trail as a careful forger leaves it: changed, and every hash made anew."""
    before, forged = GENESIS, []
    for row in rows:
        cells = change(row)
        before = link(before, cells.cells)
        forged.append(msgspec.structs.replace(cells, hash=before))
    return forged


def update(row: AuditRow) -> str:
    """The statement that puts a forged row in its place."""
    return f"UPDATE audit SET actor = '{row.actor}', hash = '{row.hash}' WHERE seq = {row.seq}"  # noqa: S608 - our own values


def moved(row: AuditRow) -> str:
    """The statement that makes a row the head."""
    return f"UPDATE audit_heads SET seq = {row.seq}, hash = '{row.hash}'"  # noqa: S608 - our own values


async def test_a_rewritten_trail_differs_from_its_signed_heads(store: SqlStore, store_url: str) -> None:
    """Whoever makes all hashes anew is found by a head that was signed and kept elsewhere; so is whoever cuts off the head, too (S14)."""
    rows = await five_orders(store)
    signed = AuditHead(tenant=ACME, seq=4, hash=rows[3].hash)
    forged = rewritten(rows, lambda row: msgspec.structs.replace(row, actor="nobody") if row.seq == 2 else row)
    await tampered(store_url, *map(update, forged), moved(forged[-1]))
    assert await findings(store) == []
    assert await findings(store, signed) == [(4, "rewritten")]


async def test_a_cut_with_its_head_is_seen_by_a_signed_one(store: SqlStore, store_url: str) -> None:
    """A trail whose tail is gone, head and all, ends before the head that was signed."""
    rows = await five_orders(store)
    signed = AuditHead(tenant=ACME, seq=5, hash=rows[4].hash)
    lines = ["DELETE FROM journal WHERE key IN ('ORD-4', 'ORD-5')", "DELETE FROM audit WHERE seq > 3"]
    await tampered(store_url, *lines, moved(rows[2]))
    assert await findings(store) == []
    assert await findings(store, signed) == [(4, "cut_off")]
