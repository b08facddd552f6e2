"""Add pairs of pictures that a user called different."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1740"
down_revision = "2026_11_30_1500"
branch_labels = None
depends_on = None

HASHES = "perceptual:pdq"
"""Stands for a model in rows of perceptual hashes, which came with this revision and needed no other table."""


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
    # The version before would neither delete these rows with their pictures, nor read these jobs.
    for name in ("codes", "unencoded"):
        table = sa.table(name, sa.column("model"))
        op.execute(sa.delete(table).where(table.c.model == HASHES))
    jobs = sa.table("jobs", sa.column("id"), sa.column("kind"))
    of_hashes = sa.select(jobs.c.id).where(jobs.c.kind == "hash")
    for name in ("job_items", "job_parts"):
        table = sa.table(name, sa.column("job_id"))
        op.execute(sa.delete(table).where(table.c.job_id.in_(of_hashes)))
    op.execute(sa.delete(jobs).where(jobs.c.kind == "hash"))
