"""Jobs from the operator's side: create, list, pause, cancel, retry and prune them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import JobExists, JobNotCancellable, JobNotResumable, UnknownJob
from app.domain.jobs import (
    FINISHED,
    ItemStatus,
    JobItemRecord,
    JobKind,
    JobRecord,
    JobState,
    PartState,
    Request,
    new_job_id,
)
from app.store.driver.batches import in_batches
from app.store.jobs.job_parts import free_expired_parts, insert_parts, next_part, settle
from app.store.schema.tables import job_items, job_parts, jobs

RETRY_ITEMS: Final = 500
"""Failed items that one part retries."""


def _select_jobs() -> sa.Select[Any]:
    rate = (
        sa.select(sa.func.coalesce(sa.func.sum(job_parts.c.rate_per_s), 0.0))
        .where(job_parts.c.job_id == jobs.c.id, job_parts.c.state == PartState.RUNNING)
        .scalar_subquery()
    )
    return sa.select(jobs, rate.label("rate_per_s"))


def _record(row: sa.Row[Any]) -> JobRecord:
    typed = {
        "kind": JobKind(row.kind),
        "state": JobState(row.state),
        "request": None if row.request is None else Request(row.request),
    }
    return JobRecord(**row._asdict() | typed)


class JobReader:
    """Reads jobs."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, job_id: str) -> JobRecord | None:
        """Return the job with this id, or None."""
        row = (await self._connection.execute(_select_jobs().where(jobs.c.id == job_id))).one_or_none()
        return None if row is None else _record(row)

    async def page(
        self,
        *,
        before_id: str | None = None,
        limit: int = 100,
        kind: JobKind | None = None,
        state: JobState | None = None,
        collection_pks: Sequence[int] | None = None,
    ) -> list[JobRecord]:
        """Return jobs, newest first; only those older than ``before_id`` if given."""
        query = _select_jobs()
        if before_id is not None:
            query = query.where(jobs.c.id < before_id)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if collection_pks is not None:
            query = query.where(jobs.c.collection_pk.in_(collection_pks))
        rows = await self._connection.execute(query.order_by(jobs.c.id.desc()).limit(limit))
        return [_record(row) for row in rows]

    async def items(
        self, job_id: str, *, status: ItemStatus | None = None, after: int = -1, limit: int = 100
    ) -> list[JobItemRecord]:
        """Return the outcomes of a job's items after position ``after``, ordered by position."""
        query = sa.select(job_items).where(job_items.c.job_id == job_id, job_items.c.position > after)
        if status is not None:
            query = query.where(job_items.c.status == status)
        rows = await self._connection.execute(query.order_by(job_items.c.position).limit(limit))
        return [
            JobItemRecord(
                row.position, ItemStatus(row.status), row.name, row.image_id, row.error_code, row.error_detail
            )
            for row in rows
        ]

    async def counts(self, job_id: str) -> dict[ItemStatus, int]:
        """Count a job's items by outcome; outcomes without items are left out."""
        query = sa.select(job_items.c.status, sa.func.count()).where(job_items.c.job_id == job_id)
        rows = await self._connection.execute(query.group_by(job_items.c.status))
        return {ItemStatus(status): count for status, count in rows}


class JobWriter(JobReader):
    """Reads and controls jobs."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        super().__init__(connection)
        self._now = now

    async def create(
        self,
        kind: str,
        arguments: dict[str, Any],
        *,
        collection_pk: int | None = None,
        exclusive: str | None = None,
        job_id: str | None = None,
    ) -> JobRecord:
        """Queue a job. It starts with one part, which may split it into more.

        Args:
            kind: A ``JobKind``.
            arguments: JSON arguments for the handler.
            collection_pk: Key of the collection that the job works on.
            exclusive: Key that no other unfinished job may have, for instance ``reencode:3:lite0-64``.
            job_id: Id from ``new_job_id``, if data was stored under it before.

        Raises:
            JobExists: An unfinished job has the same ``exclusive`` key. The unit must be rolled back.
        """
        job_id = job_id or new_job_id(self._now)
        row = {
            "id": job_id,
            "kind": JobKind(kind),
            "state": JobState.QUEUED,
            "arguments": arguments,
            "collection_pk": collection_pk,
            "exclusive": exclusive,
            "done": 0,
            "created_at": self._now,
            "updated_at": self._now,
        }
        await self._execute_exclusively(sa.insert(jobs).values(row))
        await insert_parts(self._connection, job_id, 0, [{}])
        return await self._existing(job_id)

    async def cancel(self, job_id: str) -> JobRecord:
        """Cancel a job, at once or after the current batches of its workers.

        Raises:
            UnknownJob: The job does not exist.
            JobNotCancellable: The job has ended.
        """
        job = await self._existing(job_id)
        if job.state in FINISHED:
            raise JobNotCancellable(f"the job has {job.state} already")
        return await self._request(job, Request.CANCEL)

    async def pause(self, job_id: str) -> JobRecord:
        """Pause a job, at once or after the current batches of its workers.

        Raises:
            UnknownJob: The job does not exist.
            JobNotResumable: The job has ended or is being cancelled.
        """
        job = await self._existing(job_id)
        if job.state in FINISHED or job.request is Request.CANCEL:
            raise JobNotResumable("only a queued or running job can be paused")
        return job if job.state is JobState.PAUSED else await self._request(job, Request.PAUSE)

    async def resume(self, job_id: str) -> JobRecord:
        """Resume a paused job from its checkpoints.

        Raises:
            UnknownJob: The job does not exist.
            JobNotResumable: The job is neither paused nor about to pause.
        """
        job = await self._existing(job_id)
        if job.state is JobState.PAUSED:
            return await self._update(job_id, state=JobState.QUEUED)
        if job.request is Request.PAUSE:
            return await self._update(job_id, request=None)
        raise JobNotResumable("only a paused job can be resumed")

    async def retry(self, job_id: str) -> JobRecord:
        """Queue the unfinished parts and the failed items of an ended job again.

        An item keeps its earlier outcome until the retry records a new one. After a cancelled retry, the items
        that its parts have not reached are neither queued nor counted twice.

        Raises:
            UnknownJob: The job does not exist.
            JobNotResumable: The job has not ended, or nothing in it is left to retry.
            JobExists: A job with the same ``exclusive`` key has started since. The unit must be rolled back.
        """
        job = await self._existing(job_id)
        if job.state not in FINISHED:
            raise JobNotResumable("only a job that has ended can be retried")
        failed = sa.select(job_items.c.position).where(
            job_items.c.job_id == job_id, job_items.c.status == ItemStatus.FAILED
        )
        waiting = await self._waiting_positions(job_id)
        all_failed = await self._connection.scalars(failed.order_by(job_items.c.position))
        positions = [position for position in all_failed if position not in waiting]
        requeued = await self._requeue_parts(job_id)
        if not positions and not requeued:
            raise JobNotResumable("no part or item of the job failed")
        retries = [{"positions": list(batch)} for batch in in_batches(positions, RETRY_ITEMS)]
        await insert_parts(self._connection, job_id, await next_part(self._connection, job_id), retries)
        return await self._update(
            job_id,
            state=JobState.QUEUED,
            done=job.done - len(positions),
            finished_at=None,
            error_code=None,
            error_detail=None,
        )

    async def prune(self, before: datetime) -> list[str]:
        """Delete jobs that ended before that time; return their ids, so that callers delete related data."""
        old = list(await self._connection.scalars(sa.select(jobs.c.id).where(jobs.c.finished_at < before)))
        for ids in in_batches(old):
            for table in (job_items, job_parts):
                await self._connection.execute(sa.delete(table).where(table.c.job_id.in_(ids)))
            await self._connection.execute(sa.delete(jobs).where(jobs.c.id.in_(ids)))
        return old

    async def _existing(self, job_id: str) -> JobRecord:
        job = await self.get(job_id)
        if job is None:
            raise UnknownJob
        return job

    async def _request(self, job: JobRecord, request: Request) -> JobRecord:
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(request=request))
        await free_expired_parts(self._connection, job.id, self._now)
        await settle(self._connection, job.id, self._now)
        return await self._existing(job.id)

    async def _update(self, job_id: str, **values: Any) -> JobRecord:
        change = sa.update(jobs).where(jobs.c.id == job_id).values(updated_at=self._now, **values)
        await self._execute_exclusively(change)
        return await self._existing(job_id)

    async def _waiting_positions(self, job_id: str) -> set[int]:
        """Return the positions of items that an earlier retry queued but has not reached."""
        undone = sa.select(job_parts.c.arguments, job_parts.c.checkpoint).where(
            job_parts.c.job_id == job_id, job_parts.c.state != PartState.DONE
        )
        waiting: set[int] = set()
        for part in await self._connection.execute(undone):
            waiting.update(_remaining_positions(part.arguments.get("positions", ()), part.checkpoint))
        return waiting

    async def _requeue_parts(self, job_id: str) -> int:
        requeue = (
            sa.update(job_parts)
            .where(job_parts.c.job_id == job_id, job_parts.c.state != PartState.DONE)
            .values(state=PartState.QUEUED, strikes=0, owner=None, lease_until=None, not_before=None)
        )
        return (await self._connection.execute(requeue)).rowcount

    async def _execute_exclusively(self, statement: sa.Insert | sa.Update) -> None:
        try:
            await self._connection.execute(statement)
        except IntegrityError as error:
            raise JobExists from error


def _remaining_positions(positions: Sequence[int], checkpoint: dict[str, Any]) -> Sequence[int]:
    """Return the positions of a retry's part that it has not reached.

    A part processes positions in ascending order. Its checkpoint contains either the count of processed
    positions (``next``) or the last processed one (``after``).
    """
    if "after" in checkpoint:
        return [position for position in positions if position > checkpoint["after"]]
    return positions[checkpoint.get("next", 0) :]
