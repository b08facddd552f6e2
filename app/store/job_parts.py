"""The parts of a job, and how its state follows from theirs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.jobs import WORKABLE, ItemStatus, JobKind, JobState, PartState, Request
from app.store.tables import job_items, job_parts, jobs

ALL_FAILED: Final = "all_failed"
"""Error code of a job that did all it was asked and achieved nothing."""
_ACHIEVING_BY_ITEM: Final = frozenset({JobKind.INDEX, JobKind.REENCODE})
"""Jobs that are worth nothing if every item fails; one that verifies has done its work then."""


async def insert_parts(
    connection: AsyncConnection, job_id: str, first: int, arguments: Sequence[dict[str, Any]]
) -> None:
    """Queue parts of a job, numbered from ``first``, each with its arguments."""
    rows = [
        {
            "job_id": job_id,
            "part": part,
            "state": PartState.QUEUED,
            "arguments": one,
            "checkpoint": {},
            "attempt": 0,
            "strikes": 0,
            "rate_per_s": 0.0,
        }
        for part, one in enumerate(arguments, first)
    ]
    if rows:
        await connection.execute(sa.insert(job_parts), rows)


async def next_part(connection: AsyncConnection, job_id: str) -> int:
    """The number of the next part of a job."""
    highest = sa.select(sa.func.max(job_parts.c.part)).where(job_parts.c.job_id == job_id)
    return ((await connection.execute(highest)).scalar_one() or 0) + 1


async def free_expired_parts(connection: AsyncConnection, job_id: str, now: datetime) -> None:
    """Take parts from workers that have let their lease run out; what they still send is refused."""
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
    """Bring a job's state in line once no worker has a part of it in hand.

    Args:
        connection: Of a write unit.
        job_id: The job.
        now: The unit's time.
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
    if state is JobState.SUCCEEDED and job.kind in _ACHIEVING_BY_ITEM:
        values |= await _failure_of_all(connection, job)
    is_over = state in {JobState.SUCCEEDED, JobState.CANCELLED}
    await connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id)
        .values(request=None, updated_at=now, finished_at=now if is_over else None, **values)
    )


async def _failure_of_all(connection: AsyncConnection, job: Any) -> dict[str, Any]:
    """What is to be said of a job if every one of its items failed; nothing if one did not."""
    of_job = job_items.c.job_id == job.id
    is_failed = job_items.c.status == ItemStatus.FAILED
    achieved = sa.select(job_items.c.position).where(of_job, ~is_failed).limit(1)
    first = sa.select(job_items).where(of_job, is_failed).order_by(job_items.c.position).limit(1)
    failure = (await connection.execute(first)).one_or_none()
    if failure is None or (await connection.execute(achieved)).one_or_none() is not None:
        return {}
    count = await connection.scalar(sa.select(sa.func.count()).where(of_job, is_failed))
    if count != job.total:
        return {}  # items that did not fail are not listed by every kind of job
    detail = f"each of {count:,} items failed; the first is {failure.name}: {failure.error_detail}"
    return {"state": JobState.FAILED, "error_code": ALL_FAILED, "error_detail": detail}


def _state_after(state: JobState, request: str | None, parts: set[str]) -> JobState | None:
    """The state to move to; None to stay."""
    if PartState.RUNNING in parts or state not in WORKABLE | {JobState.PAUSED}:
        return None
    if parts <= {PartState.DONE}:
        return JobState.SUCCEEDED
    if request == Request.CANCEL:
        return JobState.CANCELLED
    if request == Request.PAUSE:
        return JobState.PAUSED
    return None
