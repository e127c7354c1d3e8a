"""The contract suites run on every implementation."""

from tests.contracts.stores import clock, migrated_database, migrated_file, opened, store, store_kind, store_url

__all__ = ["clock", "migrated_database", "migrated_file", "opened", "store", "store_kind", "store_url"]
