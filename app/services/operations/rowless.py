"""List stored files that never got a row as orphans, which the sweeper deletes."""

import asyncio
from typing import Final

import structlog

from app.images.put_journal import PutJournal
from app.store.engine import Database

_log = structlog.get_logger()

BATCH: Final = 1_000
"""Files to look up in one transaction."""


class RowlessFiles:
    """Finds files stored by this machine's processes that have no row."""

    def __init__(self, database: Database, journal: PutJournal) -> None:
        """Look up the files of ``journal`` in ``database``."""
        self._database = database
        self._journal = journal

    async def list_orphans(self) -> bool:
        """List the files of one complete journal that no picture refers to; return whether to call again.

        Raises:
            DatabaseUnavailable: The database does not answer; the journal stays.
            StorageUnavailable: The journals cannot be read.
        """
        self._journal.rotate()
        listed = 0
        with self._journal.read_complete() as sha256s:
            if sha256s is None:
                return False
            for start in range(0, len(sha256s), BATCH):
                async with self._database.read() as unit:
                    rowless = await unit.images.without_row(sha256s[start : start + BATCH])
                if rowless:
                    async with self._database.write() as writing:
                        await writing.images.note_orphans(rowless)
                    listed += len(rowless)
                await asyncio.sleep(0)
        if listed:
            _log.info("rowless_files_listed", files=listed)
        return True
