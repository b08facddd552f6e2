"""List the retention chores and their intervals."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from app.domain.errors import StorageUnavailable
from app.images.objects import Objects
from app.images.put_journal import PutJournal
from app.scratch import sweep_temporary
from app.services.importing.imports import Imports
from app.services.job_control.tidying import JobTidying
from app.services.operations.backups import Backups
from app.services.operations.feed_pruning import FeedPruning
from app.services.operations.missing_hashes import MissingHashes
from app.services.operations.retention import Chore
from app.services.operations.rowless import RowlessFiles
from app.services.operations.sweeping import SWEEP_BATCH, Sweeper
from app.services.operations.training_files import TrainingFiles
from app.store.engine import Database

_log = structlog.get_logger()

TIDY_EVERY_S: Final = 600.0
PRUNE_EVERY_S: Final = 600.0
HASHES_EVERY_S: Final = 600.0
SWEEP_COLLECTIONS_EVERY_S: Final = 60.0
COLLECTION_BATCH: Final = 1_000
"""Pictures of deleted collections to delete in one write unit."""


@dataclass(frozen=True, slots=True)
class Chores:
    """The services that chores need."""

    database: Database
    sweeper: Sweeper
    imports: Imports
    backups: Backups
    training: TrainingFiles
    objects: Objects
    journal: PutJournal
    hashes: MissingHashes
    sweep_interval_s: float
    job_retention: timedelta

    def all(self) -> Sequence[Chore]:
        """Return every chore."""
        tidying = JobTidying(self.database, retention=self.job_retention)
        return (
            Chore("deleted collections", self._sweep_collections, SWEEP_COLLECTIONS_EVERY_S),
            Chore("deleted pictures", self._sweep_pictures, self.sweep_interval_s),
            Chore(
                "files without a row",
                RowlessFiles(self.database, self.journal).list_orphans,
                self.sweep_interval_s,
                is_local=True,
            ),
            Chore("change feed", FeedPruning(self.database).prune, PRUNE_EVERY_S),
            Chore("perceptual hashes", once(self.hashes.queue_jobs), HASHES_EVERY_S),
            Chore("jobs", once(tidying.tidy), TIDY_EVERY_S),
            # As often as pictures: an upload that a killed worker left may take gigabytes.
            Chore("uploads", once(self.imports.sweep_staged), self.sweep_interval_s),
            Chore("half-written files", self._sweep_unfinished, self.sweep_interval_s),
            Chore("received uploads", once(self.imports.sweep_temporary_files), TIDY_EVERY_S, is_local=True),
            Chore("temporary folders", once(_sweep_temporary), TIDY_EVERY_S, is_local=True),
            Chore("training workspaces", once(self.training.sweep_workspaces), TIDY_EVERY_S, is_local=True),
            Chore("training checkpoints", once(self.training.sweep_checkpoints), TIDY_EVERY_S),
            Chore("unfinished backups", once(self.backups.sweep), TIDY_EVERY_S),
            Chore("backup spools", once(self.backups.sweep_spool), TIDY_EVERY_S, is_local=True),
        )

    async def _sweep_collections(self) -> bool:
        async with self.database.write() as unit:
            return await unit.collections.sweep(COLLECTION_BATCH) > 0

    async def _sweep_pictures(self) -> bool:
        return await self.sweeper.sweep() == SWEEP_BATCH

    async def _sweep_unfinished(self) -> bool:
        removed = await self.objects.remove_unfinished()
        if removed:
            _log.info("unfinished_files_swept", files=removed)
        return False


async def _sweep_temporary() -> None:
    """Remove what killed processes left among the temporary files of the machine.

    Raises:
        StorageUnavailable: They cannot be read.
    """
    try:
        removed = await asyncio.to_thread(sweep_temporary)
    except OSError as error:
        raise StorageUnavailable(f"the temporary files cannot be swept: {error.strerror}") from error
    if removed:
        _log.info("temporary_folders_swept", folders=removed)


def once(work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[bool]]:
    """Wrap work that does everything due in one turn."""

    async def turn() -> bool:
        await work()
        return False

    return turn
