"""Open the database, and make the folders that it and the pictures need."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from app.domain.errors import FolderNotWritable
from app.domain.models import ModelRecord
from app.images.folders import check_writable, make_writable
from app.services.access.keys import Keys
from app.settings import Misconfigured, Settings
from app.store.driver.connections import sqlite_file
from app.store.engine import Database
from app.store.schema.schema_version import is_newest


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Migrate and open the database.

    Raises:
        Misconfigured: A folder is missing or not writable, or a setting has another wrong value.
        ForeignDatabase: The database has tables of another application.
        SchemaTooNew: A newer version has migrated the database.
        DatabaseUnavailable: The database does not answer.
    """
    make_folders(settings)
    await asyncio.to_thread(_migrate, settings.resolved_database_url, settings.database.migrations_dir)
    database = Database.open(
        settings.resolved_database_url,
        sqlite_synchronous=settings.database.sqlite_synchronous,
        busy_timeout_s=settings.database.busy_timeout_s,
        idle_in_transaction_timeout_s=settings.database.idle_in_transaction_timeout_s,
    )
    try:
        yield database
    finally:
        await database.close()


def _migrate(url: str, migrations_dir: Path) -> None:
    if not is_newest(url, migrations_dir):
        from app.store.schema.migrate import upgrade  # noqa: PLC0415 - most starts do without Alembic

        upgrade(url, migrations_dir)


async def active_key_exists(settings: Settings) -> bool:
    """Return whether callers need a key: one is active, or the bootstrap key is about to be created."""
    if settings.access.read_bootstrap_admin_key() is not None:
        return True
    async with open_database(settings) as database:
        return any(key.is_valid(datetime.now(UTC)) for key in await Keys(database).list())


async def registered_models(settings: Settings) -> Sequence[ModelRecord]:
    """Return the models in the database, which has the newest schema."""
    async with open_database(settings) as database, database.read() as unit:
        return await unit.models.list()


def make_folders(settings: Settings) -> None:
    """Create the folders that are written to, and check that the ones that are read exist.

    Raises:
        Misconfigured: A folder is missing, or cannot be created or written to.
    """
    storage = settings.storage
    with _naming("data_dir", storage.data_dir):
        make_writable(storage.data_dir)
    url = urlsplit(storage.resolved_pictures_url)
    if url.scheme == "file":
        with _naming("pictures_url", storage.resolved_pictures_url):
            make_writable(Path(url2pathname(url.path)))
    if settings.search.keep_snapshots:
        with _naming("snapshots_dir", settings.resolved_snapshots_dir):
            make_writable(settings.resolved_snapshots_dir)
    database = sqlite_file(settings.resolved_database_url)
    if database is not None:
        with _naming("database_url", settings.resolved_database_url):
            check_writable(database)
    for setting, folder in (
        ("artifacts_dir", settings.models.artifacts_dir),
        ("migrations_dir", settings.database.migrations_dir),
        ("import_root", settings.imports.import_root),
    ):
        if folder is not None and not folder.is_dir():
            raise Misconfigured(setting, folder, "there is no such folder; name one that exists")


@contextmanager
def _naming(setting: str, value: object) -> Iterator[None]:
    """Name the setting that a folder comes from in the error about it."""
    try:
        yield
    except FolderNotWritable as error:
        raise Misconfigured(setting, value, f"{error}, or name another") from error
