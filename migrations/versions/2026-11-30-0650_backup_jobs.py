"""Rename the job kind ``snapshot`` and the restore argument ``snapshot`` to ``backup``."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_0650"
down_revision = "2026_11_25_2105"
branch_labels = None
depends_on = None

jobs = sa.table("jobs", sa.column("id"), sa.column("kind"), sa.column("arguments", sa.JSON))


def upgrade() -> None:
    _rename("snapshot", "backup")


def downgrade() -> None:
    _rename("backup", "snapshot")


def _rename(old: str, new: str) -> None:
    op.execute(jobs.update().where(jobs.c.kind == old).values(kind=new))
    connection = op.get_bind()
    restores = connection.execute(sa.select(jobs.c.id, jobs.c.arguments).where(jobs.c.kind == "restore")).all()
    for job_id, arguments in restores:
        renamed = {new if name == old else name: value for name, value in arguments.items()}
        connection.execute(jobs.update().where(jobs.c.id == job_id).values(arguments=renamed))
