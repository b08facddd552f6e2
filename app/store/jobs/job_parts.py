"""The parts of a job, and the job state that follows from their states."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.jobs import WORKABLE, ItemStatus, JobKind, JobState, PartState, Request
from app.store.schema.tables import job_items, job_parts, jobs

ALL_FAILED: Final = "all_failed"
"""Error code of a job that completed, but whose items all failed."""
_FAIL_WITH_ALL_ITEMS: Final = frozenset({JobKind.INDEX, JobKind.REENCODE})
"""Jobs that fail if all their items fail; a verify job that finds only faults has succeeded."""


async def insert_parts(
    connection: AsyncConnection, job_id: str, first: int, arguments: Sequence[dict[str, Any]]
) -> None:
    """Queue one part per element of ``arguments``, numbered from ``first``."""
    rows = [
        {
            "job_id": job_id,
            "part": part,
            "state": PartState.QUEUED,
            "arguments": part_arguments,
            "checkpoint": {},
            "attempt": 0,
            "strikes": 0,
            "rate_per_s": 0.0,
        }
        for part, part_arguments in enumerate(arguments, first)
    ]
    if rows:
        await connection.execute(sa.insert(job_parts), rows)


async def next_part(connection: AsyncConnection, job_id: str) -> int:
    """Return the number for the next part of a job."""
    highest = sa.select(sa.func.max(job_parts.c.part)).where(job_parts.c.job_id == job_id)
    return ((await connection.execute(highest)).scalar_one() or 0) + 1


async def free_expired_parts(connection: AsyncConnection, job_id: str, now: datetime) -> None:
    """Queue parts with an expired lease again; later writes of their workers are refused."""
    await connection.execute(
        sa.update(job_parts)
        .where(
            job_parts.c.job_id == job_id,
            job_parts.c.state == PartState.RUNNING,
            job_parts.c.lease_until < now,
        )
        .values(state=PartState.QUEUED, owner=None, lease_until=None)
    )


async def settle(connection: AsyncConnection, job_id: str, now: datetime) -> None:
    """Update a job's state from its parts, if no worker holds one.

    Args:
        connection: Connection of a write unit.
        job_id: Id of the job.
        now: Time of the unit.
    """
    states = sa.select(job_parts.c.state).where(job_parts.c.job_id == job_id)
    rows = await connection.execute(states.distinct())
    parts = {row.state for row in rows}
    columns = (jobs.c.id, jobs.c.kind, jobs.c.state, jobs.c.request, jobs.c.total)
    job = (await connection.execute(sa.select(*columns).where(jobs.c.id == job_id))).one()
    state = _state_after(JobState(job.state), job.request, parts)
    if state is None:
        return
    values: dict[str, Any] = {"state": state}
    if state is JobState.SUCCEEDED and job.kind in _FAIL_WITH_ALL_ITEMS:
        values |= await _failure_of_all(connection, job)
    is_over = state in {JobState.SUCCEEDED, JobState.CANCELLED}
    await connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id)
        .values(request=None, updated_at=now, finished_at=now if is_over else None, **values)
    )


async def _failure_of_all(connection: AsyncConnection, job: Any) -> dict[str, Any]:
    """Return the columns of a failed job if all its items failed, otherwise an empty dict."""
    of_job = job_items.c.job_id == job.id
    is_failed = job_items.c.status == ItemStatus.FAILED
    achieved = sa.select(job_items.c.position).where(of_job, ~is_failed).limit(1)
    first = sa.select(job_items).where(of_job, is_failed).order_by(job_items.c.position).limit(1)
    failure = (await connection.execute(first)).one_or_none()
    if failure is None or (await connection.execute(achieved)).one_or_none() is not None:
        return {}
    count = await connection.scalar(sa.select(sa.func.count()).where(of_job, is_failed))
    if count != job.total:
        return {}  # some kinds of jobs do not record items that succeeded
    detail = f"each of {count:,} items failed; the first is {failure.name}: {failure.error_detail}"
    return {"state": JobState.FAILED, "error_code": ALL_FAILED, "error_detail": detail}


def _state_after(state: JobState, request: str | None, parts: set[str]) -> JobState | None:
    """Return the next state of a job, or None if it does not change."""
    if PartState.RUNNING in parts or state not in WORKABLE | {JobState.PAUSED}:
        return None
    if parts <= {PartState.DONE}:
        return JobState.SUCCEEDED
    if request == Request.CANCEL:
        return JobState.CANCELLED
    if request == Request.PAUSE:
        return JobState.PAUSED
    return None
