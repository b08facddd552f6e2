"""Add a collection's next and warming model, encoding failures, and the models that processes can serve."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_1740"
down_revision = "2026_11_24_2215"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("collections", sa.Column("next_model", sa.String(length=63)))
    op.add_column("collections", sa.Column("warming_model", sa.String(length=63)))
    op.create_table(
        "unencoded",
        sa.Column("collection_pk", NUMBER, nullable=False, autoincrement=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("number", NUMBER, nullable=False, autoincrement=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("collection_pk", "model", "number", name="pk_unencoded"),
        sqlite_with_rowid=False,
    )
    # Every process fills this table again when it starts.
    op.drop_table("process_models")
    _create_process_models(sa.Column("collection_pk", NUMBER, nullable=False, autoincrement=False))


def downgrade() -> None:
    op.drop_table("process_models")
    _create_process_models()
    op.drop_table("unencoded")
    op.drop_column("collections", "warming_model")
    op.drop_column("collections", "next_model")


def _create_process_models(*more: sa.Column) -> None:
    op.create_table(
        "process_models",
        sa.Column("process_id", sa.String(length=64), nullable=False),
        *more,
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("is_ready", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(["process_id"], ["processes.id"], name="fk_process_models_process_id"),
        sa.PrimaryKeyConstraint(
            "process_id", *(column.name for column in more), "model", name="pk_process_models"
        ),
    )
