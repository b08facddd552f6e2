"""Add leases to idempotency keys, so that the request of a dead process can be taken over."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1210"
down_revision = "2026_11_30_1200"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for requests in flight of the previous version, whose processes have ended.
    op.add_column("idempotency", sa.Column("claim", sa.String(length=32)))
    op.add_column("idempotency", sa.Column("lease_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("idempotency", "lease_until")
    op.drop_column("idempotency", "claim")
