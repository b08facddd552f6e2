"""Open the database, and make the folders that it and the pictures need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from app.images.folders import check_writable, make_writable
from app.services.access.keys import Keys
from app.settings import Settings
from app.store.connections import sqlite_file
from app.store.engine import Database
from app.store.migrate import upgrade


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Migrate and open the database.

    Raises:
        FolderNotWritable: A folder that the service needs is not writable.
        SchemaTooNew: A newer version has migrated the database.
        DatabaseUnavailable: The database does not answer.
    """
    make_folders(settings)
    await asyncio.to_thread(upgrade, settings.resolved_database_url, settings.database.migrations_dir)
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


async def active_key_exists(settings: Settings) -> bool:
    """Return whether callers need a key: one is active, or the bootstrap key is about to be created."""
    if settings.access.read_bootstrap_admin_key() is not None:
        return True
    async with open_database(settings) as database:
        return any(key.revoked_at is None for key in await Keys(database).list())


def make_folders(settings: Settings) -> None:
    """Create the folders of the database and the pictures, so that a first start needs no preparation.

    Raises:
        FolderNotWritable: A folder cannot be created or written to.
    """
    make_writable(settings.storage.data_dir)
    url = urlsplit(settings.storage.resolved_pictures_url)
    if url.scheme == "file":
        make_writable(Path(url2pathname(url.path)))
    database = sqlite_file(settings.resolved_database_url)
    if database is not None:
        check_writable(database)
