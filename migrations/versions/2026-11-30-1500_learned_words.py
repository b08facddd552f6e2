"""Add words that are learned from the metadata of pictures."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1500"
down_revision = "2026_11_30_1300"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "learned_words",
        sa.Column("collection_pk", number, autoincrement=False, nullable=False),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("word", sa.String(64), nullable=False),
        sa.Column("pictures", number, nullable=False),
        sa.Column("precision_at_10", sa.Double(), nullable=False),
        sa.Column("average_precision", sa.Double(), nullable=False),
        sa.Column("uses_names", sa.Boolean(), nullable=False),
        sa.Column("is_offered", sa.Boolean(), nullable=False),
        sa.Column("offset", sa.Double(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("collection_pk", "model", "word", name="pk_learned_words"),
    )


def downgrade() -> None:
    op.drop_table("learned_words")
    # The version before cannot read jobs of this kind.
    jobs = sa.table("jobs", sa.column("id"), sa.column("kind"))
    learning = sa.select(jobs.c.id).where(jobs.c.kind == "learn_words")
    for name in ("job_items", "job_parts"):
        table = sa.table(name, sa.column("job_id"))
        op.execute(sa.delete(table).where(table.c.job_id.in_(learning)))
    op.execute(sa.delete(jobs).where(jobs.c.kind == "learn_words"))
