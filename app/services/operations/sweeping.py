"""Sweep the files of deleted pictures once no row has needed them for a while."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import structlog

from app.domain.errors import LookalikeError
from app.images.storage import PictureStore
from app.store.engine import Database

_log = structlog.get_logger()

SWEEP_BATCH = 500


class Sweeper:
    """Deletes orphaned files after a grace period.

    A deletion only notes the file as an orphan. The grace period keeps the sweep away from a request that has
    just kept the same bytes again and has not committed its row yet.
    """

    def __init__(
        self, database: Database, pictures: PictureStore, *, grace_s: float, interval_s: float
    ) -> None:
        """Sweep files orphaned for ``grace_s`` seconds, looking every ``interval_s`` seconds."""
        self._database = database
        self._pictures = pictures
        self._grace = timedelta(seconds=grace_s)
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def sweep(self) -> int:
        """Delete what is due and return how many files that were."""
        due = datetime.now(UTC) - self._grace
        async with self._database.write() as unit:
            orphans = await unit.images.take_orphans(before=due, limit=SWEEP_BATCH)
        swept = 0
        for sha256 in orphans:
            kept_at = await self._pictures.last_modified(sha256)
            if kept_at is not None and kept_at > due:
                # Kept again since: its row is on the way, or it becomes an orphan once more.
                async with self._database.write() as unit:
                    await unit.images.note_orphans([sha256])
                continue
            await self._pictures.delete(sha256)
            swept += 1
        return swept

    def start(self) -> None:
        """Sweep from now on in the background."""
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def close(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                swept = await self.sweep()
            except LookalikeError as error:
                _log.warning("sweep_failed", detail=error.detail)
            else:
                if swept:
                    _log.info("swept", files=swept)
