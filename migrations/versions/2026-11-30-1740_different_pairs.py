"""Add pairs of pictures that a user called different."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1740"
down_revision = "2026_11_30_1500"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "different_pairs",
        sa.Column("collection_pk", number, autoincrement=False, nullable=False),
        sa.Column("first", number, autoincrement=False, nullable=False),
        sa.Column("second", number, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("collection_pk", "first", "second", name="pk_different_pairs"),
    )
    op.create_index("ix_different_pairs_first", "different_pairs", ["first"])
    op.create_index("ix_different_pairs_second", "different_pairs", ["second"])


def downgrade() -> None:
    op.drop_table("different_pairs")
