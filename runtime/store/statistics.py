"""Tells PostgreSQL early what it cannot know: how its plans should look when a new table has grown.

A prepared statement keeps the plan that it was given when its table was all but empty, where every index looks as good as any other;
after ten thousand rows the wrong one makes a look-up by key read the whole tenant. PostgreSQL corrects that by itself only when its own
housekeeping comes round, a minute later. Measured: within half a minute a new store fell to a quarter of its speed.
"""

import structlog
from sqlalchemy import Connection, text

from runtime.store.tables import METADATA

log = structlog.get_logger("q2c.store")

# Below that a plan that reads the whole table is the right one, and would be kept as well.
PAGES_MIN = 64
# After so many units, and whenever their number has doubled: often while a store is new, hardly ever later.
FIRST_LOOK = 64

_GROWN = text("""
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND reltuples <= 0
        AND pg_relation_size(oid) >= :pages * current_setting('block_size')::int
""")


def analyse_grown(connection: Connection) -> tuple[str, ...]:
    """Have PostgreSQL look at our tables that have grown and that it has not looked at since they were empty; returns which."""
    ours = set(METADATA.tables)
    grown = tuple(name for (name,) in connection.execute(_GROWN, {"pages": PAGES_MIN}) if name in ours)
    for name in grown:
        connection.exec_driver_sql(f'ANALYZE "{name}"')
    if grown:
        log.info("store_analysed", tables=grown)
    return grown
