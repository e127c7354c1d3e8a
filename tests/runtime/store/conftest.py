"""The stores that the contract suites run on."""

from tests.contracts.stores import clock, migrated_database, migrated_file, opened, store, store_kind, store_url

__all__ = ["clock", "migrated_database", "migrated_file", "opened", "store", "store_kind", "store_url"]
