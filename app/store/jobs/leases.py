"""Leases: a worker's time-limited, fenced right to one part of a job.

A claim increments the part's ``attempt``. Every write of a worker carries the attempt of its lease and is
refused if a later claim has incremented it. The check runs in the writing transaction; write units are
serialized, so no claim can happen between the check and the commit.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.jobs import WORKABLE, JobItemRecord, JobKind, JobState, Lease, PartState, Request
from app.store.driver.batches import in_batches
from app.store.jobs.job_parts import free_expired_parts, insert_parts, next_part, settle
from app.store.schema.tables import job_items, job_parts, jobs

_ITEM_COLUMNS: Final = tuple(field.name for field in fields(JobItemRecord))


LEASES_AHEAD: Final = 10
CLOCK_SLACK_S: Final = 60.0
"""A lease that ends later than ``LEASES_AHEAD`` times this worker's own lease and this slack was taken before
the clock was set back. Other workers may have longer leases than this one, but not by so much."""
MAX_PAUSE_S: Final = 600.0
"""No part is put off for so long."""


class LeaseLost(Exception):
    """The lease is no longer valid; its former holder must not write any more."""


class LeaseHeartbeats:
    """Renews leases."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def renew(self, lease: Lease, lease_s: float) -> None:
        """Extend a lease to ``lease_s`` seconds from now.

        Raises:
            LeaseLost: The worker no longer holds the part.
        """
        await self._update_held(lease, lease_until=self._until(lease_s))

    def _until(self, lease_s: float) -> datetime:
        return self._now + timedelta(seconds=lease_s)

    async def _update_held(self, lease: Lease, **values: Any) -> None:
        held = (
            job_parts.c.job_id == lease.job_id,
            job_parts.c.part == lease.part,
            job_parts.c.attempt == lease.attempt,
            job_parts.c.state == PartState.RUNNING,
        )
        updated = await self._connection.execute(sa.update(job_parts).where(*held).values(**values))
        if updated.rowcount != 1:
            raise LeaseLost(f"part {lease.part} of job {lease.job_id}, attempt {lease.attempt}")


class LeaseWriter(LeaseHeartbeats):
    """Claims parts, records their progress, and releases them."""

    async def claim(
        self, owner: str, *, lease_s: float, kinds: Sequence[JobKind], max_strikes: int
    ) -> Lease | None:
        """Claim the oldest available part; return None if there is none.

        Takes over parts with an expired lease. Fails the job of a part that was claimed ``max_strikes`` times
        without a checkpoint.

        Args:
            owner: Name of the worker, for display.
            lease_s: Length of the lease in seconds.
            kinds: Kinds of jobs that the worker supports.
            max_strikes: Maximum number of consecutive attempts without progress.
        """
        while True:
            row = (await self._connection.execute(self._claimable(kinds))).first()
            if row is None:
                await self._correct_times(lease_s)
                return None
            if row.request is not None:
                # Its worker died before it could handle the request.
                await free_expired_parts(self._connection, row.job_id, self._now)
                await settle(self._connection, row.job_id, self._now)
            elif row.strikes >= max_strikes:
                detail = f"{row.strikes} attempts in a row ended without progress"
                await self._fail(row.job_id, row.part, "no_progress", detail)
            else:
                return await self._take(row, owner, lease_s)

    async def _correct_times(self, lease_s: float) -> None:
        """Shorten leases and pauses that end too late: the clock was set back after they were written.

        A worker that lives renews its lease from the new time; a dead one's part is free after ``lease_s``.
        """
        parts = job_parts.c
        lease = (parts.state == PartState.RUNNING, parts.lease_until, LEASES_AHEAD * lease_s + CLOCK_SLACK_S)
        pause = (parts.state == PartState.QUEUED, parts.not_before, MAX_PAUSE_S)
        for has_time, time, most_s in (lease, pause):
            await self._connection.execute(
                sa.update(job_parts)
                .where(has_time, time > self._until(most_s))
                .values({time.name: self._until(lease_s)})
            )

    async def checkpoint(
        self,
        lease: Lease,
        checkpoint: dict[str, Any],
        *,
        done: int = 0,
        items: Sequence[JobItemRecord] = (),
        phase: str | None = None,
        total: int | None = None,
        result: dict[str, Any] | None = None,
        rate_per_s: float = 0.0,
        is_progress: bool = True,
    ) -> Request | None:
        """Record the progress of a part in the same transaction as the work itself.

        Args:
            lease: The worker's lease.
            checkpoint: State from which the next attempt continues.
            done: Items processed since the last checkpoint.
            items: Their outcomes; an outcome replaces the earlier one of the same item.
            phase: Current phase of the job.
            total: Number of items in the whole job, once known.
            result: The job's result so far.
            rate_per_s: Items per second of this part.
            is_progress: Whether the part made progress, which resets its strikes.

        Returns:
            The operator's request to pause or cancel after this batch, or None.

        Raises:
            LeaseLost: The worker no longer holds the part. The unit must be rolled back.
        """
        reset = {"strikes": 0} if is_progress else {}
        await self._update_held(lease, checkpoint=checkpoint, rate_per_s=rate_per_s, **reset)
        await self._record_items(lease.job_id, items)
        values = {"done": jobs.c.done + done, "updated_at": self._now, "phase": phase, "total": total}
        values["result"] = result
        known = {name: value for name, value in values.items() if value is not None}
        row = (
            await self._connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == lease.job_id)
                .values(known)
                .returning(jobs.c.state, jobs.c.request)
            )
        ).one()
        if row.state != JobState.RUNNING:  # another part has failed, and the job with it
            return Request.CANCEL
        return None if row.request is None else Request(row.request)

    async def split(self, lease: Lease, parts: Sequence[dict[str, Any]]) -> None:
        """Add parts to a job, one per element of ``parts``, which are the parts' arguments."""
        await insert_parts(
            self._connection, lease.job_id, await next_part(self._connection, lease.job_id), parts
        )

    async def finish(self, lease: Lease, result: dict[str, Any] | None = None) -> None:
        """Mark a part as done; the last part also ends the job.

        Raises:
            LeaseLost: The worker no longer holds the part.
        """
        # Keep the rate: the next claimed part starts with it as an estimate.
        await self._update_held(lease, state=PartState.DONE, owner=None, lease_until=None)
        if result is not None:
            await self._connection.execute(
                sa.update(jobs).where(jobs.c.id == lease.job_id).values(result=result)
            )
        await settle(self._connection, lease.job_id, self._now)

    async def release(self, lease: Lease) -> None:
        """Release a part without counting a strike, on pause, cancellation or shutdown.

        Raises:
            LeaseLost: The worker no longer holds the part.
        """
        # This attempt adds no strike; if it made progress, a checkpoint has already reset the strikes.
        strikes = sa.case((job_parts.c.strikes > lease.strikes, lease.strikes), else_=job_parts.c.strikes)
        await self._update_held(
            lease, state=PartState.QUEUED, owner=None, lease_until=None, strikes=strikes, rate_per_s=0.0
        )
        await settle(self._connection, lease.job_id, self._now)

    async def put_off(self, lease: Lease, *, wait_s: float, code: str, detail: str) -> None:
        """Release a part after a temporary failure; it can be claimed again after ``wait_s`` seconds.

        Raises:
            LeaseLost: The worker no longer holds the part.
        """
        await self._update_held(
            lease,
            state=PartState.QUEUED,
            owner=None,
            lease_until=None,
            not_before=self._until(wait_s),
            rate_per_s=0.0,
        )
        await self._note_error(lease.job_id, code, detail)
        await settle(self._connection, lease.job_id, self._now)

    async def abandon(self, lease: Lease, *, wait_s: float, code: str, detail: str) -> None:
        """Let a lease expire after ``wait_s`` seconds because a batch hung, as if the worker had died.

        Raises:
            LeaseLost: The worker no longer holds the part.
        """
        await self._update_held(lease, lease_until=self._until(wait_s), rate_per_s=0.0)
        await self._note_error(lease.job_id, code, detail)

    async def fail(self, lease: Lease, *, code: str, detail: str) -> None:
        """Fail a part and its job after a permanent failure.

        Raises:
            LeaseLost: The worker no longer holds the part.
        """
        await self._update_held(lease, lease_until=self._now)
        await self._fail(lease.job_id, lease.part, code, detail)

    def _claimable(self, kinds: Sequence[JobKind]) -> sa.Select[Any]:
        parts = job_parts.c
        is_waiting = sa.and_(
            parts.state == PartState.QUEUED,
            jobs.c.request.is_(None),
            sa.or_(parts.not_before.is_(None), parts.not_before <= self._now),
        )
        is_abandoned = sa.and_(parts.state == PartState.RUNNING, parts.lease_until < self._now)
        return (
            sa.select(job_parts, jobs.c.kind, jobs.c.request, jobs.c.arguments.label("job_arguments"))
            .join(jobs, jobs.c.id == parts.job_id)
            .where(jobs.c.state.in_(WORKABLE), jobs.c.kind.in_(kinds), sa.or_(is_waiting, is_abandoned))
            .order_by(parts.job_id, parts.part)
            .limit(1)
        )

    async def _take(self, row: sa.Row[Any], owner: str, lease_s: float) -> Lease:
        done = job_parts.alias()
        last_rate = (
            sa.select(done.c.rate_per_s)
            .where(done.c.job_id == row.job_id, done.c.state == PartState.DONE)
            .order_by(done.c.part.desc())
            .limit(1)
            .scalar_subquery()
        )
        await self._connection.execute(
            sa.update(job_parts)
            .where(job_parts.c.job_id == row.job_id, job_parts.c.part == row.part)
            .values(
                state=PartState.RUNNING,
                owner=owner,
                attempt=row.attempt + 1,
                strikes=row.strikes + 1,
                lease_until=self._until(lease_s),
                not_before=None,
                rate_per_s=sa.func.coalesce(last_rate, 0.0),
            )
        )
        await self._connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == row.job_id)
            .values(
                state=JobState.RUNNING,
                started_at=sa.func.coalesce(jobs.c.started_at, self._now),
                updated_at=self._now,
            )
        )
        return Lease(
            job_id=row.job_id,
            part=row.part,
            attempt=row.attempt + 1,
            kind=JobKind(row.kind),
            arguments=row.job_arguments,
            part_arguments=row.arguments,
            checkpoint=row.checkpoint,
            strikes=row.strikes,
            is_taken_over=row.state == PartState.RUNNING,
        )

    async def _note_error(self, job_id: str, code: str, detail: str) -> None:
        """Record why a job is not making progress."""
        await self._connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id)
            .values(error_code=code, error_detail=detail, updated_at=self._now)
        )

    async def _record_items(self, job_id: str, items: Sequence[JobItemRecord]) -> None:
        for batch in in_batches(items):
            positions = [item.position for item in batch]
            await self._connection.execute(
                sa.delete(job_items).where(job_items.c.job_id == job_id, job_items.c.position.in_(positions))
            )
            await self._connection.execute(sa.insert(job_items), [_item_row(job_id, item) for item in batch])

    async def _fail(self, job_id: str, part: int, code: str, detail: str) -> None:
        await self._connection.execute(
            sa.update(job_parts)
            .where(job_parts.c.job_id == job_id, job_parts.c.part == part)
            .values(state=PartState.FAILED, owner=None, lease_until=None, rate_per_s=0.0)
        )
        await self._connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id)
            .values(
                state=JobState.FAILED,
                request=None,
                error_code=code,
                error_detail=detail,
                updated_at=self._now,
                finished_at=self._now,
            )
        )


def _item_row(job_id: str, item: JobItemRecord) -> dict[str, Any]:
    """Return an item's columns; ``asdict`` is ten times slower, and an import writes one row per picture."""
    return {"job_id": job_id} | {name: getattr(item, name) for name in _ITEM_COLUMNS}
