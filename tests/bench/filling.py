"""A store with many finished transactions, made by PostgreSQL itself."""

from collections.abc import Callable

import asyncpg

BATCH = 100_000
MEMORY = b'{"order_id":"OLD","amount":"12.00","refs":["R-1","R-1","R-1","R-1","R-1"]}'
LETTER = b'{"id":"x","type":"process.BookBench","body":{"order_id":"OLD","amount":"12.00"},"correlation_id":"q2c-old"}' + b" " * 300

STATEMENTS = (
    """
    INSERT INTO instances (tenant, process, key, version, position, status, memory, entity, correlation_id, traceparent, actor, started_by,
        waiting_for, due_at, attempts, first_failed_at, reason, fence, created_at, updated_at)
    SELECT 'default', 'bench_booking', 'OLD-' || n, 1, 7, 'done', $3, 'E', 'q2c-old-' || n, '', '', 'BookBench', '', NULL, 0, NULL, NULL, 1,
        1700000000000000 + n, 1700000000000000 + n FROM generate_series($1::bigint, $2::bigint) n
    """,
    """
    INSERT INTO journal (tenant, process, key, seq, step, kind, asked, answered, connection, detail, duration_ms, undo_type, undo,
        correlation_id, at)
    SELECT 'default', 'bench_booking', 'OLD-' || n, s, 'step', 'ask', 'erp.ErpStep', 'Referenced', 'bench', '', 1, '', $3, 'q2c-old-' || n,
        1700000000000000 + n FROM generate_series($1::bigint, $2::bigint) n, generate_series(0, 8) s
    """,
    """
    INSERT INTO effects (tenant, key, connection, command, state, correlation_id, reply, failure, attempts, sent_at, updated_at)
    SELECT 'default', 'bench_booking/OLD-' || n || '/' || s, 'bench', 'erp.ErpStep', 'confirmed', 'q2c-old-' || n, $3, NULL, 1, 1, 1
    FROM generate_series($1::bigint, $2::bigint) n, generate_series(1, 5) s
    """,
    """
    INSERT INTO chain (tenant, correlation_id, process, key)
    SELECT 'default', 'q2c-old-' || n, 'bench_booking', 'OLD-' || n FROM generate_series($1::bigint, $2::bigint) n
    WHERE $3::bytea IS NOT NULL
    """,
    """
    INSERT INTO inbox (consumer, message_id, at)
    SELECT 'process.bench_booking', md5('in' || n), 1 FROM generate_series($1::bigint, $2::bigint) n WHERE $3::bytea IS NOT NULL
    """,
    """
    INSERT INTO audit (tenant, seq, at, actor, subject, correlation_id, changes, hash)
    SELECT 'default', 1000000 + (n - 1) * 6 + s, 1700000000000000, '', 'bench_booking/OLD-' || n, 'q2c-old-' || n,
        convert_from($3, 'UTF8'), repeat('0', 64)
    FROM generate_series($1::bigint, $2::bigint) n, generate_series(1, 6) s
    """,
    """
    INSERT INTO outbox (message_id, queue, data, created_at, place, sent_at)
    SELECT md5('out' || n), '', $3, 1, 0, 2 FROM generate_series($1::bigint, $2::bigint) n
    """,
)


async def fill(url: str, count: int, tell: Callable[[str], None]) -> None:
    """Add so many finished transactions, each with nine journal lines, five effects, six audit rows, a message in and one out."""
    connection = await asyncpg.connect(url, command_timeout=600)
    try:
        await connection.execute("SET synchronous_commit = off")
        for start in range(0, count, BATCH):
            for statement in STATEMENTS:
                document = LETTER if "outbox" in statement else MEMORY
                await connection.execute(statement, start + 1, min(start + BATCH, count), document)
            tell(f"  {min(start + BATCH, count):,} finished transactions")
        if count:  # the next row follows the last one of these
            head = "INSERT INTO audit_heads VALUES ('default', $1, repeat('0', 64)) ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq"
            await connection.execute("DELETE FROM audit_heads")
            await connection.execute(head, count * 6 + 10_000_000)
        await connection.execute("CHECKPOINT")
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
