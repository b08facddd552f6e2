"""Queue jobs that compute the signatures of pictures that were added before these existed."""

from contextlib import suppress

import structlog

from app.domain.errors import JobExists, UnknownCollection
from app.domain.jobs import JobKind
from app.domain.signatures import SIGNATURES
from app.services.job_control.jobs import Jobs
from app.store.engine import Database

_log = structlog.get_logger()


class MissingHashes:
    """Queue a ``hash`` job for each collection with pictures whose signatures no job has tried to compute.

    A job computes both signatures for the pictures that lack the signature in its name.
    """

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
                record.pk: [
                    (model, count)
                    for model in SIGNATURES
                    if (count := (await unit.coverage.missing(record.pk, model)).pending)
                ]
                for record in records
            }
        for record in records:
            if not pending[record.pk]:
                continue
            model, count = pending[record.pk][0]
            with suppress(JobExists, UnknownCollection):
                await self._jobs.start(
                    JobKind.HASH,
                    {"model": model},
                    collection=record.name,
                    exclusive=f"hash:{record.pk}",
                )
                queued += 1
                _log.info("hash_job_queued", collection=record.name, model=model, pictures=count)
        return queued
