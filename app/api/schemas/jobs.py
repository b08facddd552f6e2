"""Schemas of jobs and the outcomes of their items."""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field

from app.api.schemas.common import shown_as
from app.domain.jobs import ItemStatus, JobKind, JobState, Request

JOB_EXAMPLE: Final[dict[str, Any]] = {
    "id": "01KAXG7V0M9E3WQ4T8B2Y6ZC5R",
    "type": "index",
    "status": "running",
    "requested": None,
    "collection": "default",
    "arguments": {"collection": "default", "on_duplicate": "skip", "name": "pictures.zip"},
    "progress": {
        "phase": "encoding",
        "done": 12800,
        "total": 50000,
        "percent": 25.6,
        "rate_per_s": 310.4,
        "eta_s": 119.8,
    },
    "counts": {"created": 12610, "unchanged": 187, "failed": 3},
    "result": None,
    "error": None,
    "created_at": "2026-11-24T21:30:00Z",
    "started_at": "2026-11-24T21:30:01Z",
    "updated_at": "2026-11-24T21:30:42Z",
    "finished_at": None,
    "links": {
        "events": "/jobs/01KAXG7V0M9E3WQ4T8B2Y6ZC5R/events",
        "items": "/jobs/01KAXG7V0M9E3WQ4T8B2Y6ZC5R/items",
        "failed_items": "/jobs/01KAXG7V0M9E3WQ4T8B2Y6ZC5R/items?status=failed",
    },
}

JOB_ITEM_EXAMPLE: Final[dict[str, Any]] = {
    "position": 4711,
    "status": "failed",
    "name": "shoes/4711.jpg",
    "id": None,
    "error": {"code": "not_an_image", "detail": "JPEG data, damaged or truncated"},
}


class JobProgress(BaseModel):
    """Progress of a job."""

    phase: str | None = Field(description="Current phase")
    done: int = Field(description="Items done, failed ones included")
    total: int | None = Field(description="Total number of items; null while unknown")
    percent: float | None
    rate_per_s: float = Field(description="Items per second over all workers")
    eta_s: float | None = Field(description="Estimated seconds left")


class JobError(BaseModel):
    """Why a job failed, or why its last attempt failed."""

    code: str
    detail: str


class JobLinks(BaseModel):
    """Related addresses."""

    events: str = Field(description="Server-sent events; signed where keys are in use")
    items: str
    failed_items: str


class Job(BaseModel):
    """A job with its progress and the outcomes of its items so far."""

    model_config = shown_as(JOB_EXAMPLE)

    id: str
    type: JobKind
    status: JobState
    requested: Request | None = Field(description="Pending request; takes effect after the current batch")
    collection: str | None
    arguments: dict[str, Any] = Field(description="Arguments of the job")
    progress: JobProgress
    counts: dict[ItemStatus, int] = Field(description="Items by outcome")
    result: dict[str, Any] | None
    error: JobError | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    links: JobLinks


class JobList(BaseModel):
    """Jobs, newest first."""

    model_config = shown_as({"items": [JOB_EXAMPLE], "next_cursor": None})

    items: list[Job]
    next_cursor: str | None


class JobItem(BaseModel):
    """The outcome of one item of a job."""

    position: int = Field(description="Position in the source, from 0")
    status: ItemStatus
    name: str = Field(description="Name in the source: a path or an address")
    id: str | None = Field(description="The picture's id, if it has one")
    error: JobError | None = Field(
        description="Why it failed, conflicts or was left out; for an added picture, with `on_near_duplicate`, "
        "the pictures that it is a copy of"
    )


class JobItemList(BaseModel):
    """Outcomes of a job's items in source order."""

    model_config = shown_as({"items": [JOB_ITEM_EXAMPLE], "next_cursor": None})

    items: list[JobItem]
    next_cursor: str | None
