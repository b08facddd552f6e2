"""Jobs as callers see them: started, listed, followed, paused, cancelled, retried."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from app.domain.errors import DatabaseUnavailable, UnknownCollection, UnknownJob
from app.domain.jobs import FINISHED, ItemStatus, JobKind, JobState
from app.jobs.progress import Progress, progress_of
from app.store.engine import Database
from app.store.records import JobItemRecord, JobRecord
from app.store.unit_of_work import ReadUnit, WriteUnit

Unit = ReadUnit | WriteUnit

FOLLOW_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, how far it is, and how its items came out so far."""

    record: JobRecord
    progress: Progress
    counts: dict[ItemStatus, int]

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless the job is retried."""
        return self.record.state in FINISHED


class Jobs:
    """Starts and steers jobs; workers, which are other processes, do them."""

    def __init__(self, database: Database) -> None:
        """Keep jobs in ``database``, where workers look for them."""
        self._database = database

    async def start(
        self,
        kind: JobKind,
        arguments: dict[str, Any],
        *,
        collection: str | None = None,
        exclusive: str | None = None,
        job_id: str | None = None,
    ) -> JobView:
        """Queue a job.

        Args:
            kind: What to do.
            arguments: What its handler needs to know, as JSON. ``collection`` and ``collection_pk`` are added
                where a collection is given.
            collection: Name of the collection that it works on.
            exclusive: No two unfinished jobs have the same.
            job_id: Its id, where something is kept under it already.

        Raises:
            UnknownCollection: There is no such collection.
            JobExists: A job with the same ``exclusive`` is under way.
        """
        async with self._database.write() as unit:
            pk = None
            if collection is not None:
                pk = await self._pk(unit, collection)
                arguments = {**arguments, "collection": collection, "collection_pk": pk}
            record = await unit.jobs.create(
                kind, arguments, collection_pk=pk, exclusive=exclusive, job_id=job_id
            )
        return JobView(record, progress_of(record), {})

    async def get(self, job_id: str) -> JobView:
        """One job.

        Raises:
            UnknownJob: There is no such job.
        """
        async with self._database.read() as unit:
            return await _view(unit, await _existing(unit, job_id))

    async def page(
        self,
        *,
        before_id: str | None = None,
        limit: int = 100,
        kind: JobKind | None = None,
        state: JobState | None = None,
        collection: str | None = None,
    ) -> tuple[list[JobView], str | None]:
        """The newest jobs, or the next older ones than ``before_id``; and the id to go on from, if any is left.

        Raises:
            UnknownCollection: There is no such collection.
        """
        async with self._database.read() as unit:
            pk = None if collection is None else await self._pk(unit, collection)
            found = await unit.jobs.page(
                before_id=before_id, limit=limit + 1, kind=kind, state=state, collection_pk=pk
            )
            views = [await _view(unit, record) for record in found[:limit]]
        return views, views[-1].record.id if len(found) > limit else None

    async def items(
        self, job_id: str, *, status: ItemStatus | None = None, after: int = -1, limit: int = 100
    ) -> tuple[list[JobItemRecord], int | None]:
        """Outcomes of a job's items by position; and the position to go on from, if any is left.

        Raises:
            UnknownJob: There is no such job.
        """
        async with self._database.read() as unit:
            await _existing(unit, job_id)
            found = await unit.jobs.items(job_id, status=status, after=after, limit=limit + 1)
        return found[:limit], found[limit - 1].position if len(found) > limit else None

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job, after the batches in hand where workers have some.

        Raises:
            UnknownJob: There is no such job.
            JobNotCancellable: It is over.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.cancel(job_id))

    async def pause(self, job_id: str) -> JobView:
        """Pause a job, after the batches in hand where workers have some.

        Raises:
            UnknownJob: There is no such job.
            JobNotResumable: It is over, or being cancelled.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.pause(job_id))

    async def resume(self, job_id: str) -> JobView:
        """Let a paused job go on.

        Raises:
            UnknownJob: There is no such job.
            JobNotResumable: It is not paused.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.resume(job_id))

    async def retry(self, job_id: str) -> JobView:
        """Do again what a job that is over has not done: its unfinished parts and its failed items.

        Raises:
            UnknownJob: There is no such job.
            JobNotResumable: It is not over, or nothing of it failed.
            JobExists: A job like it has been started since.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.retry(job_id))

    async def follow(self, job_id: str) -> AsyncIterator[JobView | None]:
        """A job now and whenever it has changed, until it is over; None where a look found it unchanged.

        Raises:
            UnknownJob: There is no such job, or no longer.
        """
        seen: JobRecord | None = None
        while True:
            view = None
            try:
                async with self._database.read() as unit:
                    record = await _existing(unit, job_id)
                    if record != seen:
                        view = await _view(unit, record)
                        seen = record
            except DatabaseUnavailable:
                # The next look may find it answering again; whoever follows has nothing better to do.
                view = None
            yield view
            if view is not None and view.is_over:
                return
            await asyncio.sleep(FOLLOW_POLL_S)

    async def _pk(self, unit: Unit, collection: str) -> int:
        record = await unit.collections.get(collection)
        if record is None:
            raise UnknownCollection(f"there is no collection named {collection!r}")
        return record.pk


async def _existing(unit: Unit, job_id: str) -> JobRecord:
    record = await unit.jobs.get(job_id)
    if record is None:
        raise UnknownJob(f"there is no job {job_id!r}")
    return record


async def _view(unit: Unit, record: JobRecord) -> JobView:
    return JobView(record, progress_of(record), await unit.jobs.counts(record.id))
