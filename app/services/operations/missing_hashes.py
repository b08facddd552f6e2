"""Queue jobs that hash the pictures added before perceptual hashes existed."""

from contextlib import suppress

import structlog

from app.domain.errors import JobExists, UnknownCollection
from app.domain.jobs import JobKind
from app.domain.perceptual import PERCEPTUAL_MODEL
from app.services.job_control.jobs import Jobs
from app.store.engine import Database

_log = structlog.get_logger()


class MissingHashes:
    """Queue a ``hash`` job for each collection with pictures that nobody has tried to hash."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        """Queue with ``jobs`` for the collections of ``database``."""
        self._database = database
        self._jobs = jobs

    async def queue_jobs(self) -> int:
        """Queue the jobs that are not under way; return their number.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        queued = 0
        async with self._database.read() as unit:
            records = await unit.collections.list_all()
            pending = {
                record.name: (await unit.coverage.missing(record.pk, PERCEPTUAL_MODEL)).pending
                for record in records
            }
        for record in records:
            if not pending[record.name]:
                continue
            with suppress(JobExists, UnknownCollection):
                await self._jobs.start(
                    JobKind.HASH,
                    {"model": PERCEPTUAL_MODEL},
                    collection=record.name,
                    exclusive=f"hash:{record.pk}",
                )
                queued += 1
                _log.info("hash_job_queued", collection=record.name, pictures=pending[record.name])
        return queued
