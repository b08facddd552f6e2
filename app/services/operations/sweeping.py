"""Sweep the files of deleted pictures once no row has needed them for a while."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.domain.errors import LookalikeError, StorageUnavailable
from app.images.storage import PictureStore
from app.store.engine import Database

_log = structlog.get_logger()

SWEEP_BATCH: Final = 32
"""Files deleted in one write unit. Other writers wait meanwhile, so it is small."""
STORE_TIMEOUT_S: Final = 5.0
"""How long a write unit waits for the store to delete a batch."""


class Sweeper:
    """Deletes orphaned files after a grace period.

    A deletion only lists the file as an orphan. The grace period protects a request that has just stored the
    same bytes and not yet committed its row. If the period is too short, the order still protects it: the file
    is deleted inside the write unit that takes it off the list (see ``app.store.pictures.orphans``).
    """

    def __init__(self, database: Database, pictures: PictureStore, *, grace_s: float) -> None:
        """Sweep files that have been orphaned for ``grace_s`` seconds."""
        self._database = database
        self._pictures = pictures
        self._grace = timedelta(seconds=grace_s)

    async def sweep(self) -> int:
        """Delete one batch of files that are due.

        Returns:
            The number of files taken off the list; fewer than ``SWEEP_BATCH`` once none is left.

        Raises:
            DatabaseUnavailable: The database does not answer; nothing was taken off the list.
            StorageUnavailable: The store did not delete every file. Those files stay on the list.
        """
        failure: LookalikeError | None = None
        swept = 0
        async with self._database.freeing() as unit:
            due = unit.now - self._grace
            orphans = await unit.images.take_orphans(before=due, limit=SWEEP_BATCH)
            outcomes = await self._delete_all(orphans, due)
            relisted = []
            for sha256, outcome in outcomes.items():
                if outcome is True:
                    swept += 1
                    continue
                # Stored again recently, or not deleted: due after another grace period.
                relisted.append(sha256)
                if isinstance(outcome, LookalikeError):
                    failure = outcome
            await unit.images.note_orphans(relisted)
        if swept:
            _log.info("swept", files=swept)
        if failure is not None:
            raise failure
        return len(orphans)

    async def _delete_all(self, sha256s: list[str], due: datetime) -> dict[str, bool | LookalikeError]:
        """Delete files concurrently; return for each whether it is gone, or the error."""
        tasks = {sha256: asyncio.create_task(self._delete(sha256, due)) for sha256 in sha256s}
        if not tasks:
            return {}
        try:
            await asyncio.wait(tasks.values(), timeout=STORE_TIMEOUT_S)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {sha256: _outcome(task) for sha256, task in tasks.items()}

    async def _delete(self, sha256: str, due: datetime) -> bool:
        kept_at = await self._pictures.last_modified(sha256)
        if kept_at is not None and kept_at > due:
            return False
        await self._pictures.delete(sha256)
        return True


def _outcome(task: asyncio.Task[bool]) -> bool | LookalikeError:
    if task.cancelled():
        return StorageUnavailable("the picture store took too long to delete files")
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, LookalikeError):
        return error
    raise error
