"""Bind keys to collections, let them expire and rotate, and remember which sessions have ended."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1300"
down_revision = "2026_11_30_1230"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("keys", sa.Column("collections", sa.JSON()))
    op.add_column("keys", sa.Column("originals", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("keys", sa.Column("expires_at", sa.DateTime(timezone=True)))
    op.add_column("keys", sa.Column("previous_hash", sa.String(64)))
    op.add_column("keys", sa.Column("previous_until", sa.DateTime(timezone=True)))
    # The scope that has the rights which "search" had.
    op.execute("UPDATE keys SET scope = 'read' WHERE scope = 'search'")
    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ended_sessions"),
    )


def downgrade() -> None:
    op.drop_table("ended_sessions")
    # The version before would give these keys more rights than they were made with, or for longer.
    op.execute(
        "UPDATE keys SET revoked_at = COALESCE(revoked_at, CURRENT_TIMESTAMP) "
        "WHERE scope IN ('metrics', 'search') OR CAST(collections AS TEXT) <> 'null' OR expires_at IS NOT NULL"
    )
    op.execute("UPDATE keys SET scope = 'search' WHERE scope IN ('read', 'metrics')")
    for column in ("previous_until", "previous_hash", "expires_at", "originals", "collections"):
        op.drop_column("keys", column)
