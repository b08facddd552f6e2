"""Let a collection have its index on another server, and let one process write to that server."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1810"
down_revision = "2026_11_30_1740"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collections", sa.Column("index_kind", sa.String(16), nullable=False, server_default="local"))
    op.create_table(
        "task_leases",
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task", name="pk_task_leases"),
    )


def downgrade() -> None:
    op.drop_table("task_leases")
    op.drop_column("collections", "index_kind")
