"""Mark the version that stores colour signatures, which need no other table."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_2020"
down_revision = "2026_11_30_1812"
branch_labels = None
depends_on = None

COLOURS = "colour:oklab64"
"""Stands for a model in rows of colour signatures."""


def upgrade() -> None:
    """Change nothing: a job computes the signatures of stored pictures."""


def downgrade() -> None:
    # The version before would not delete these rows with their pictures.
    for name in ("codes", "unencoded"):
        table = sa.table(name, sa.column("model"))
        op.execute(sa.delete(table).where(table.c.model == COLOURS))
    # Nor would it read this outcome of an import's items.
    items = sa.table("job_items", sa.column("status"))
    op.execute(sa.update(items).where(items.c.status == "near_duplicate").values(status="unchanged"))
