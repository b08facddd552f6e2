"""Add the packages that a worker lacks for training."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_2105"
down_revision = "2026_11_25_1905"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("processes", sa.Column("training_lacks", sa.Text()))


def downgrade() -> None:
    op.drop_column("processes", "training_lacks")
