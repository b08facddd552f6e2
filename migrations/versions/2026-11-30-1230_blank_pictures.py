"""Mark blank pictures, whose distances do not identify copies."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1230"
down_revision = "2026_11_30_1210"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("is_blank", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_images_blank",
        "images",
        ["collection_pk", "number"],
        sqlite_where=sa.text("is_blank"),
        postgresql_where=sa.text("is_blank"),
    )


def downgrade() -> None:
    op.drop_index("ix_images_blank", "images")
    op.drop_column("images", "is_blank")
