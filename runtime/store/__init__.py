"""The store: one contract, kept by PostgreSQL and SQLite from one implementation."""
