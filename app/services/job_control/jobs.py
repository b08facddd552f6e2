"""Start, list, follow, pause, cancel and retry jobs."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any, Final

from app.domain.errors import DatabaseUnavailable, UnknownCollection, UnknownJob
from app.domain.jobs import FINISHED, ItemStatus, JobItemRecord, JobKind, JobRecord, JobState
from app.jobs.progress import Progress, progress_of
from app.store.engine import Database
from app.store.unit_of_work import ReadUnit, WriteUnit

Unit = ReadUnit | WriteUnit

FOLLOW_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with its progress and the counts of its items' outcomes."""

    record: JobRecord
    progress: Progress
    counts: dict[ItemStatus, int]

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless the job is retried."""
        return self.record.state in FINISHED


class Jobs:
    """Queues and controls jobs, which workers run in other processes."""

    def __init__(self, database: Database) -> None:
        """Queue jobs in ``database``, from which workers claim them."""
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
            kind: Kind of job.
            arguments: Arguments of its handler, as JSON. With a collection, ``collection`` and
                ``collection_pk`` are added.
            collection: Name of the collection that the job works on.
            exclusive: Name that no two unfinished jobs share.
            job_id: The job's id, if something is already stored under it.

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
        """Return one job.

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
        only: Collection[str] | None = None,
    ) -> tuple[list[JobView], str | None]:
        """Return a page of jobs, newest first.

        Args:
            before_id: Return only jobs older than this one.
            limit: Most jobs to return.
            kind: Return only jobs of this kind.
            state: Return only jobs in this state.
            collection: Return only jobs on this collection.
            only: Return only jobs on collections with these names; None for all jobs.

        Returns:
            The jobs, and the id before which the next page begins, or None after the last page.

        Raises:
            UnknownCollection: There is no such collection.
        """
        async with self._database.read() as unit:
            pks = None if only is None else await _pks(unit, only)
            if collection is not None:
                pks = [await self._pk(unit, collection)]
            found = await unit.jobs.page(
                before_id=before_id, limit=limit + 1, kind=kind, state=state, collection_pks=pks
            )
            views = [await _view(unit, record) for record in found[:limit]]
        return views, views[-1].record.id if len(found) > limit else None

    async def items(
        self, job_id: str, *, status: ItemStatus | None = None, after: int = -1, limit: int = 100
    ) -> tuple[list[JobItemRecord], int | None]:
        """Return a page of item outcomes by position; and the next position, if any.

        Raises:
            UnknownJob: There is no such job.
        """
        async with self._database.read() as unit:
            await _existing(unit, job_id)
            found = await unit.jobs.items(job_id, status=status, after=after, limit=limit + 1)
        return found[:limit], found[limit - 1].position if len(found) > limit else None

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job; workers finish their current batches first.

        Raises:
            UnknownJob: There is no such job.
            JobNotCancellable: It is over.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.cancel(job_id))

    async def pause(self, job_id: str) -> JobView:
        """Pause a job; workers finish their current batches first.

        Raises:
            UnknownJob: There is no such job.
            JobNotResumable: It is over, or being cancelled.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.pause(job_id))

    async def resume(self, job_id: str) -> JobView:
        """Resume a paused job.

        Raises:
            UnknownJob: There is no such job.
            JobNotResumable: It is not paused.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.resume(job_id))

    async def retry(self, job_id: str) -> JobView:
        """Queue the unfinished parts and failed items of a job that is over.

        Raises:
            UnknownJob: There is no such job.
            JobNotResumable: It is not over, or nothing of it failed.
            JobExists: A job that excludes it was started since.
        """
        async with self._database.write() as unit:
            return await _view(unit, await unit.jobs.retry(job_id))

    async def follow(self, job_id: str) -> AsyncIterator[JobView | None]:
        """Yield a job at once and after each change until it is over; None after a poll without a change.

        Raises:
            UnknownJob: The job does not exist, or was pruned meanwhile.
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
                # Keep polling: the database may answer again.
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


async def _pks(unit: Unit, names: Collection[str]) -> list[int]:
    return [record.pk for record in await unit.collections.list_all() if record.name in names]


async def _existing(unit: Unit, job_id: str) -> JobRecord:
    record = await unit.jobs.get(job_id)
    if record is None:
        raise UnknownJob(f"there is no job {job_id!r}")
    return record


async def _view(unit: Unit, record: JobRecord) -> JobView:
    return JobView(record, progress_of(record), await unit.jobs.counts(record.id))
