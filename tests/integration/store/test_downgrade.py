"""Steps down leave nothing that the version before cannot read or would not clean up."""

from datetime import UTC, datetime

import sqlalchemy as sa

from app.domain.perceptual import PERCEPTUAL_MODEL
from app.domain.signatures import SIGNATURES
from app.store.driver.connections import parse_url
from app.store.schema import migrate
from tests.fixtures.database import MIGRATIONS

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_hashes_and_kinds_of_jobs_go_with_the_revision_that_brought_them(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS)
    engine = sa.create_engine(parse_url(empty_database_url, asynchronous=False), poolclass=sa.NullPool)
    tables = sa.MetaData()
    tables.reflect(engine)
    now = NOW.replace(tzinfo=None) if engine.dialect.name == "sqlite" else NOW

    def left(table: str, column: str) -> set[str]:
        with engine.connect() as connection:
            return set(connection.execute(sa.select(tables.tables[table].c[column])).scalars())

    with engine.begin() as connection:
        row = {"collection_pk": 1, "number": 1}
        for model in ("lite", *SIGNATURES):
            connection.execute(tables.tables["codes"].insert(), row | {"model": model, "code": b"x"})
            connection.execute(tables.tables["unencoded"].insert(), row | {"model": model, "reason": "r"})
        job = {"state": "queued", "arguments": {}, "done": 0, "created_at": now, "updated_at": now}
        part = {"part": 0, "state": "queued", "arguments": {}, "checkpoint": {}, "attempt": 0, "strikes": 0}
        item = {"position": 0, "status": "failed", "name": "n"}
        for kind in ("hash", "learn_words", "verify"):
            connection.execute(tables.tables["jobs"].insert(), job | {"id": kind, "kind": kind})
            connection.execute(tables.tables["job_parts"].insert(), part | {"job_id": kind, "rate_per_s": 0})
            connection.execute(tables.tables["job_items"].insert(), item | {"job_id": kind})
        left_out = item | {"job_id": "verify", "position": 1, "status": "near_duplicate"}
        connection.execute(tables.tables["job_items"].insert(), left_out)

    migrate.downgrade(empty_database_url, MIGRATIONS, "2026_11_30_1812")
    assert left("codes", "model") == left("unencoded", "model") == {"lite", PERCEPTUAL_MODEL}
    assert left("job_items", "status") == {"failed", "unchanged"}

    migrate.downgrade(empty_database_url, MIGRATIONS, "2026_11_30_1500")
    assert left("codes", "model") == left("unencoded", "model") == {"lite"}
    assert left("jobs", "kind") == left("job_parts", "job_id") == {"learn_words", "verify"}

    migrate.downgrade(empty_database_url, MIGRATIONS, "2026_11_30_1300")
    assert left("jobs", "kind") == left("job_parts", "job_id") == left("job_items", "job_id") == {"verify"}
