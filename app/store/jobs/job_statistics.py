"""Count jobs and their parts, and find the oldest and the newest, for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.jobs import WORKABLE, JobKind, JobState, PartState
from app.store.schema.tables import job_parts, jobs


@dataclass(frozen=True, slots=True)
class EndedJob:
    """The last job of a kind that ended in some state."""

    ended_at: datetime
    duration_s: float | None
    """Time since its start; None if no worker started it."""


@dataclass(frozen=True, slots=True)
class JobStatistics:
    """The listed jobs in figures."""

    jobs: Mapping[tuple[JobKind, JobState], int]
    parts: Mapping[tuple[JobKind, PartState], int]
    """Queued and running parts of jobs that workers may take."""
    oldest_queued: Mapping[JobKind, datetime]
    """Creation time of the oldest job that no worker has started."""
    last_succeeded: Mapping[JobKind, EndedJob]
    last_failed: Mapping[JobKind, EndedJob]


class JobStatisticsReader:
    """Reads figures of jobs."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def read(self) -> JobStatistics:
        """Count and find in a few statements, whose cost grows with the number of listed jobs."""
        kind, state = jobs.c.kind, jobs.c.state
        counted = await self._connection.execute(
            sa.select(kind, state, sa.func.count(), sa.func.min(jobs.c.created_at)).group_by(kind, state)
        )
        groups = [(JobKind(row[0]), JobState(row[1]), row[2], row[3]) for row in counted]
        parts = await self._connection.execute(
            sa.select(kind, job_parts.c.state, sa.func.count())
            .join(jobs, jobs.c.id == job_parts.c.job_id)
            .where(state.in_(WORKABLE), job_parts.c.state.in_([PartState.QUEUED, PartState.RUNNING]))
            .group_by(kind, job_parts.c.state)
        )
        return JobStatistics(
            jobs={(of_kind, in_state): count for of_kind, in_state, count, _ in groups},
            parts={(JobKind(row[0]), PartState(row[1])): row[2] for row in parts},
            oldest_queued={
                of_kind: oldest for of_kind, in_state, _, oldest in groups if in_state is JobState.QUEUED
            },
            last_succeeded=await self._last(JobState.SUCCEEDED),
            last_failed=await self._last(JobState.FAILED),
        )

    async def _last(self, state: JobState) -> dict[JobKind, EndedJob]:
        last = (
            sa.select(jobs.c.kind, sa.func.max(jobs.c.finished_at).label("finished_at"))
            .where(jobs.c.state == state)
            .group_by(jobs.c.kind)
            .subquery()
        )
        is_last = sa.and_(last.c.kind == jobs.c.kind, last.c.finished_at == jobs.c.finished_at)
        query = sa.select(jobs.c.kind, jobs.c.started_at, jobs.c.finished_at)
        rows = await self._connection.execute(query.join(last, is_last).where(jobs.c.state == state))
        return {
            JobKind(kind): EndedJob(ended, None if started is None else (ended - started).total_seconds())
            for kind, started, ended in rows
        }
