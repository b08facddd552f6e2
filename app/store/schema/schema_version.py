"""Find out whether a database has the newest schema, without Alembic: most starts migrate nothing.

Alembic takes a tenth of a second to import, a twentieth of a server's start.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from app.store.driver.connections import CONNECT_TIMEOUT_S, parse_url
from app.store.driver.faults import domain_faults

LOCK_TIMEOUT_S: Final = 120
VERSION_TABLE: Final = "alembic_version"

_REVISION: Final = re.compile(r'^(revision|down_revision)(?:: [^=]+)? = "(\w+)"', re.MULTILINE)


def is_newest(url: str, migrations_dir: Path) -> bool:
    """Return whether the database is at the newest revision.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://…``.
        migrations_dir: The folder with ``versions/``.

    Raises:
        DatabaseUnavailable: The database does not respond.
    """
    with connected(url) as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return False
        found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()  # noqa: S608
        return list(found) == [newest_revision(migrations_dir)]


def newest_revision(migrations_dir: Path) -> str | None:
    """Return the revision that no other one follows; None if the files do not have exactly one."""
    revisions: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for file in (migrations_dir / "versions").glob("*.py"):
        for name, revision in _REVISION.findall(file.read_text(encoding="utf-8")):
            revisions[name].add(revision)
    last = revisions["revision"] - revisions["down_revision"]
    return last.pop() if len(last) == 1 else None


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """Open a separate connection, which waits long for the locks of other migrations.

    Raises:
        DatabaseUnavailable: The database does not respond.
    """
    parsed = parse_url(url, asynchronous=False)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    arguments = (
        {"timeout": LOCK_TIMEOUT_S, "isolation_level": None}
        if is_sqlite
        else {"connect_timeout": CONNECT_TIMEOUT_S}
    )
    engine = sa.create_engine(parsed, poolclass=sa.NullPool, connect_args=arguments)
    with domain_faults(), engine.connect() as connection:
        yield connection
