"""The contract suites run on every implementation."""

from tests.contracts.buses import bench, bus, bus_maker
from tests.contracts.stores import clock, migrated_database, migrated_file, opened, store, store_kind, store_url

__all__ = ["bench", "bus", "bus_maker", "clock", "migrated_database", "migrated_file", "opened", "store", "store_kind", "store_url"]
