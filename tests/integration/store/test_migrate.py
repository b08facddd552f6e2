"""Migrations go up and down, build what ``tables.py`` says, and tolerate each other."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.domain.errors import DatabaseUnavailable, SchemaTooNew
from app.store.driver.connections import parse_url
from app.store.schema import migrate
from app.store.schema.schema_version import is_newest, newest_revision
from app.store.schema.tables import metadata
from tests.fixtures.database import MIGRATIONS


def connect(url: str) -> sa.Engine:
    return sa.create_engine(parse_url(url, asynchronous=False), poolclass=sa.NullPool)


def test_up_and_down_leave_nothing_behind(empty_database_url: str):
    before = migrate.current(empty_database_url, MIGRATIONS)
    migrate.upgrade(empty_database_url, MIGRATIONS)
    at_head = migrate.current(empty_database_url, MIGRATIONS)
    migrate.downgrade(empty_database_url, MIGRATIONS, "base")

    with connect(empty_database_url).connect() as connection:
        left = sa.inspect(connection).get_table_names()
    assert before is None
    assert at_head == migrate.head(MIGRATIONS)
    assert migrate.current(empty_database_url, MIGRATIONS) is None
    assert left == ["alembic_version"]


def test_whether_a_database_has_the_newest_schema_is_known_without_alembic(empty_database_url: str):
    assert newest_revision(MIGRATIONS) == migrate.head(MIGRATIONS)
    assert not is_newest(empty_database_url, MIGRATIONS)
    migrate.upgrade(empty_database_url, MIGRATIONS)
    assert is_newest(empty_database_url, MIGRATIONS)
    migrate.downgrade(empty_database_url, MIGRATIONS, "-1")
    assert not is_newest(empty_database_url, MIGRATIONS)
    migrate.downgrade(empty_database_url, MIGRATIONS, "base")
    assert not is_newest(empty_database_url, MIGRATIONS)


@pytest.mark.slow
def test_each_step_down_can_be_taken_up_again(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS)
    while (revision := migrate.current(empty_database_url, MIGRATIONS)) is not None:
        migrate.downgrade(empty_database_url, MIGRATIONS, "-1")
        migrate.upgrade(empty_database_url, MIGRATIONS, revision)
        again = migrate.current(empty_database_url, MIGRATIONS)
        migrate.downgrade(empty_database_url, MIGRATIONS, "-1")
        assert again == revision


def test_the_migrated_schema_is_the_one_in_the_tables(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS)

    with connect(empty_database_url).connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
    assert differences == []


def test_the_migrated_schema_has_the_tables_own_names_and_checks(empty_database_url: str, tmp_path: Path):
    """What alembic does not compare: constraint names, checks, and SQLite's tables without row ids."""
    migrate.upgrade(empty_database_url, MIGRATIONS)
    fresh = sa.create_engine(f"sqlite:///{tmp_path / 'fresh.db'}", poolclass=sa.NullPool)
    metadata.create_all(fresh)

    def names(engine: sa.Engine) -> set[tuple[str, str, str | None]]:
        found = set()
        with engine.connect() as connection:
            inspector = sa.inspect(connection)
            for table in metadata.tables:
                found.add((table, "pk", inspector.get_pk_constraint(table)["name"]))
                found |= {(table, "uq", c["name"]) for c in inspector.get_unique_constraints(table)}
                found |= {(table, "fk", c["name"]) for c in inspector.get_foreign_keys(table)}
                found |= {(table, "ck", c["name"]) for c in inspector.get_check_constraints(table)}
        return found

    migrated = connect(empty_database_url)
    assert names(migrated) == names(fresh)
    if migrated.dialect.name == "sqlite":
        query = sa.text("SELECT name FROM pragma_table_list WHERE schema = 'main' AND wr = 1 ORDER BY name")
        with migrated.connect() as one, fresh.connect() as other:
            assert one.scalars(query).all() == other.scalars(query).all()


def test_upgrading_again_changes_nothing(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS)
    migrate.upgrade(empty_database_url, MIGRATIONS)
    migrate.upgrade(empty_database_url, MIGRATIONS, "head")

    assert migrate.current(empty_database_url, MIGRATIONS) == migrate.head(MIGRATIONS)


def test_several_may_migrate_at_once(empty_database_url: str):
    failures: list[Exception] = []

    def run() -> None:
        try:
            barrier.wait()
            migrate.upgrade(empty_database_url, MIGRATIONS)
        except Exception as error:  # noqa: BLE001 - whatever it was, the main thread must see it
            failures.append(error)

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert migrate.current(empty_database_url, MIGRATIONS) == migrate.head(MIGRATIONS)


def test_a_newer_schema_is_refused_by_name(database_url: str):
    with connect(database_url).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '2099_01_01_0000'"))

    for refuse in (
        lambda: migrate.upgrade(database_url, MIGRATIONS),
        lambda: migrate.downgrade(database_url, MIGRATIONS, "base"),
        lambda: migrate.current(database_url, MIGRATIONS),
    ):
        with pytest.raises(SchemaTooNew, match="2099_01_01_0000"):
            refuse()


def test_a_failed_migration_leaves_the_schema_as_it_was(empty_database_url: str, tmp_path: Path):
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    (folder / "versions" / "broken.py").write_text(
        "from alembic import op\n"
        "revision = 'broken'\ndown_revision = None\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE half_way (id INTEGER)')\n"
        "    raise RuntimeError('power cut')\n"
    )

    with pytest.raises(RuntimeError, match="power cut"):
        migrate.upgrade(empty_database_url, folder)

    with connect(empty_database_url).connect() as connection:
        left = set(sa.inspect(connection).get_table_names())
    assert "half_way" not in left
    assert migrate.current(empty_database_url, folder) is None


def test_an_unreachable_database_cannot_be_migrated(tmp_path: Path):
    for url in (f"sqlite:///{tmp_path}/no/such/folder/x.db", f"postgresql://postgres@/x?host={tmp_path}"):
        with pytest.raises(DatabaseUnavailable):
            migrate.upgrade(url, MIGRATIONS)


def test_jobs_of_the_old_kind_become_backup_jobs(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS, "2026_11_25_2105")
    engine = connect(empty_database_url)
    with engine.begin() as connection:
        jobs = sa.Table("jobs", sa.MetaData(), autoload_with=connection)
        now = datetime(2026, 11, 25, tzinfo=UTC).replace(
            tzinfo=None if engine.dialect.name == "sqlite" else UTC
        )
        common = {"state": "succeeded", "done": 0, "created_at": now, "updated_at": now}
        rows = [
            {**common, "id": "B", "kind": "snapshot", "arguments": {"copy_pictures": True}},
            {**common, "id": "R", "kind": "restore", "arguments": {"snapshot": "B"}},
        ]
        connection.execute(jobs.insert(), rows)

    migrate.upgrade(empty_database_url, MIGRATIONS)

    with engine.connect() as connection:
        rows = connection.execute(sa.select(jobs.c.id, jobs.c.kind, jobs.c.arguments).order_by(jobs.c.id)).all()
    assert [tuple(row) for row in rows] == [
        ("B", "backup", {"copy_pictures": True}),
        ("R", "restore", {"backup": "B"}),
    ]


def test_keys_keep_their_rights_on_the_way_up_and_gain_none_on_the_way_down(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS, "2026_11_30_1230")
    engine = connect(empty_database_url)
    now = datetime(2026, 11, 30, tzinfo=UTC).replace(tzinfo=None if engine.dialect.name == "sqlite" else UTC)

    def insert(**rows: dict[str, object]) -> None:
        with engine.begin() as connection:
            keys = sa.Table("keys", sa.MetaData(), autoload_with=connection)
            common = {"prefix": "lk_", "secret_hash": "a" * 64, "created_at": now}
            for key_id, row in rows.items():
                connection.execute(keys.insert().values(id=key_id, name=key_id, **common, **row))

    def scopes() -> dict[str, tuple[str, bool]]:
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT id, scope, revoked_at IS NULL FROM keys"))
            return {row[0]: (row[1], bool(row[2])) for row in rows}

    insert(old={"scope": "search"}, writer={"scope": "write"})
    migrate.upgrade(empty_database_url, MIGRATIONS, "2026_11_30_1300")
    assert scopes() == {"old": ("read", True), "writer": ("write", True)}
    insert(
        public={"scope": "search"},
        scraper={"scope": "metrics"},
        bound={"scope": "write", "collections": ["shop"]},
        ending={"scope": "write", "expires_at": now},
    )
    migrate.downgrade(empty_database_url, MIGRATIONS, "2026_11_30_1230")

    assert scopes() == {
        "old": ("search", True),
        "writer": ("write", True),
        "public": ("search", False),
        "scraper": ("search", False),
        "bound": ("write", False),
        "ending": ("write", False),
    }
