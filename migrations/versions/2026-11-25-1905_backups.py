"""Add backups; the sweeper keeps the files of their pictures."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_1905"
down_revision = "2026_11_25_1740"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
    )


def downgrade() -> None:
    op.drop_table("backups")
