"""The gateway as the next release would be: orders are booked by version 2 of the table, and version 1 is there for what runs on it."""

from unittest import mock

from msgspec.structs import replace

from gateway import compose
from gateway.cli import main
from gateway.roster import processes
from process_apis.quote_approval.rules import Rules
from runtime.process.declare import Process


def both(rules: Rules) -> tuple[Process, ...]:
    """Every table of this release, and the next version of one of them."""
    tables = processes(rules)
    return (*tables, *(replace(table, version=2) for table in tables if table.name == "order_booking"))


if __name__ == "__main__":
    with mock.patch.object(compose, "processes", both):
        main()
