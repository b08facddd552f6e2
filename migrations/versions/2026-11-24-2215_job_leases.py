"""Add jobs, their leased parts, their items, and the process registry."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_2215"
down_revision = "2026_11_24_2130"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("request", sa.String(length=16)),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("collection_pk", NUMBER),
        sa.Column("exclusive", sa.String(length=255)),
        sa.Column("phase", sa.String(length=32)),
        sa.Column("done", NUMBER, nullable=False),
        sa.Column("total", NUMBER),
        sa.Column("result", sa.JSON()),
        sa.Column("error_code", sa.String(length=64)),
        sa.Column("error_detail", sa.Text()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_index(
        "uq_jobs_exclusive",
        "jobs",
        ["exclusive"],
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )

    op.create_table(
        "processes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("reached_change", NUMBER),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )
    op.create_table(
        "job_items",
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("image_id", sa.String(length=255)),
        sa.Column("error_code", sa.String(length=64)),
        sa.Column("error_detail", sa.Text()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_items_job_id"),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_job_items"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_job_items_job_id_status_position", "job_items", ["job_id", "status", "position"])

    op.create_table(
        "job_parts",
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("checkpoint", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=64)),
        sa.Column("lease_until", TIME),
        sa.Column("not_before", TIME),
        sa.Column("rate_per_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_parts_job_id"),
        sa.PrimaryKeyConstraint("job_id", "part", name="pk_job_parts"),
    )
    op.create_index("ix_job_parts_state_lease_until", "job_parts", ["state", "lease_until"])

    op.create_table(
        "process_models",
        sa.Column("process_id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("is_ready", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(["process_id"], ["processes.id"], name="fk_process_models_process_id"),
        sa.PrimaryKeyConstraint("process_id", "model", name="pk_process_models"),
    )


def downgrade() -> None:
    for table in (
        "process_models",
        "job_parts",
        "job_items",
        "processes",
        "jobs",
    ):
        op.drop_table(table)
