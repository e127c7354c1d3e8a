"""Alembic runs this file. The connection, and the transaction in which all versions run, come from `migrate`."""

from alembic import context

from runtime.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True)
context.run_migrations()
