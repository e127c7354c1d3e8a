"""The roof migrates the database by itself."""

import alembic.command
