"""Run Alembic migrations under a lock, so that several processes may start at the same time."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.domain.errors import ForeignDatabase, SchemaTooNew
from app.store.schema.schema_version import LOCK_TIMEOUT_S, VERSION_TABLE, connected
from app.store.schema.tables import metadata

_ADVISORY_LOCK: Final = 0x6C6F6F6B616C6B65  # "lookalke"


def upgrade(url: str, migrations_dir: Path, revision: str = "head") -> None:
    """Upgrade the database to a revision; do nothing if it is already there.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://…``.
        migrations_dir: The folder with ``env.py`` and ``versions/``.
        revision: A revision, or ``head`` for the newest.

    Raises:
        ForeignDatabase: The database has tables of another application.
        SchemaTooNew: The database is at a revision that this version does not know.
        DatabaseUnavailable: The database does not respond, or another process migrates for too long.
    """
    if revision == "head" and current(url, migrations_dir) == head(migrations_dir):
        return  # the usual case: take no lock and wait for no writer
    _migrate(url, migrations_dir, lambda config: command.upgrade(config, revision))


def downgrade(url: str, migrations_dir: Path, revision: str) -> None:
    """Downgrade the database to an earlier revision, ``-1`` or ``base``; data of later revisions is lost.

    Raises:
        ForeignDatabase: The database has tables of another application.
        SchemaTooNew: The database is at a revision that this version does not know.
        DatabaseUnavailable: The database does not respond, or another process migrates for too long.
    """
    _migrate(url, migrations_dir, lambda config: command.downgrade(config, revision))


def current(url: str, migrations_dir: Path) -> str | None:
    """Return the database's revision; None before the first migration.

    Raises:
        ForeignDatabase: The database has tables of another application.
        SchemaTooNew: The database is at a revision that this version does not know.
        DatabaseUnavailable: The database does not respond.
    """
    with connected(url) as connection:
        return _known_revision(connection, migrations_dir)


def clock_difference_s(url: str) -> float | None:
    """Return by how many seconds the clock of a Postgres server is ahead of this machine's; None for SQLite.

    Raises:
        DatabaseUnavailable: The database does not respond.
    """
    with connected(url) as connection:
        if connection.dialect.name == "sqlite":
            return None
        before = time.time()
        there = connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        return float(there) - (before + time.time()) / 2


def head(migrations_dir: Path) -> str | None:
    """Return the newest revision that this version knows."""
    return ScriptDirectory(str(migrations_dir)).get_current_head()


def _migrate(url: str, migrations_dir: Path, run: Callable[[Config], None]) -> None:
    config = Config()
    config.set_main_option("script_location", re.sub("%", "%%", str(migrations_dir)))
    with connected(url) as connection, _locked(connection):
        _known_revision(connection, migrations_dir)
        config.attributes["connection"] = connection
        run(config)


@contextmanager
def _locked(connection: sa.Connection) -> Iterator[None]:
    """Run one exclusive transaction, and commit it if the body succeeds.

    On SQLite the write lock is the lock. Foreign keys are not enforced during the migration (SQLite's default),
    because rebuilding a table drops it first; they are checked before the commit instead.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise RuntimeError(f"the migration left broken references: {broken[:3]}")
    else:
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        yield
    connection.commit()


def _known_revision(connection: sa.Connection, migrations_dir: Path) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        _refuse_foreign_tables(connection)
    known = {script.revision for script in ScriptDirectory(str(migrations_dir)).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaTooNew(
            f"the database is at revision {revision}, which this version does not know; "
            f"its newest is {head(migrations_dir)}"
        )
    return revision


def _refuse_foreign_tables(connection: sa.Connection) -> None:
    """Refuse to migrate a database of another application.

    A SQLite file belongs to one application. A Postgres schema may be shared if no table has a name of ours.
    """
    tables = set(sa.inspect(connection).get_table_names()) - {VERSION_TABLE}
    if connection.dialect.name != "sqlite":
        tables &= set(metadata.tables)
    if tables:
        raise ForeignDatabase(f"the database has tables of another application, such as {min(tables)}")
