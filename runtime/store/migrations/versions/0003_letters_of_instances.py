"""An instance knows the message that started it, so that it can be delivered again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("letter_id", sa.Text(), nullable=False, server_default=sa.text("''")))
