"""Jobs and the outcomes of their items."""

from datetime import datetime
from typing import Final

from lookalike_client.answers.base import Answer, JsonObject

_OVER: Final = frozenset({"succeeded", "failed", "cancelled"})


class JobProgress(Answer, frozen=True, kw_only=True):
    """Progress of a job."""

    phase: str | None = None
    """Current phase."""
    done: int
    """Items done, failed ones included."""
    total: int | None = None
    """Total number of items; None while unknown."""
    percent: float | None = None
    """Share of the items done, in percent; None while the total is unknown."""
    rate_per_s: float
    """Items per second over all workers."""
    eta_s: float | None = None
    """Estimated seconds left."""


class JobError(Answer, frozen=True, kw_only=True):
    """Why a job failed, or why its last attempt failed."""

    code: str
    """Stable code of the error."""
    detail: str
    """The reason, in a sentence."""


class JobLinks(Answer, frozen=True, kw_only=True):
    """Related addresses."""

    events: str
    """Server-sent events; signed where keys are in use."""
    items: str
    """The outcomes of all items."""
    failed_items: str
    """The items that failed, with their reasons."""


class Job(Answer, frozen=True, kw_only=True):
    """A job with its progress and the outcomes of its items so far."""

    id: str
    """The id."""
    type: str
    """The type."""
    status: str
    """The state or outcome."""
    requested: str | None = None
    """Pending request; takes effect after the current batch."""
    collection: str | None = None
    """Name of the collection."""
    arguments: JsonObject
    """Arguments of the job."""
    progress: JobProgress
    """Progress of the job."""
    counts: dict[str, int]
    """Items by outcome."""
    result: JsonObject | None = None
    """Result of the job; None until it ends."""
    error: JobError | None = None
    """Why it failed; None if it did not."""
    created_at: datetime
    """Time of creation, in UTC."""
    started_at: datetime | None = None
    """Time when a worker started the job, in UTC; None before."""
    updated_at: datetime
    """Time of the last change, in UTC."""
    finished_at: datetime | None = None
    """Time when the job ended, in UTC; None before."""
    links: JobLinks
    """Related URLs."""

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self.status in _OVER


class JobList(Answer, frozen=True, kw_only=True):
    """Jobs, newest first."""

    items: tuple[Job, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""


class JobItem(Answer, frozen=True, kw_only=True):
    """The outcome of one item of a job."""

    position: int
    """Position in the source, from 0."""
    status: str
    """The state or outcome."""
    name: str
    """Name in the source: a path or an address."""
    id: str | None = None
    """The picture's id, if it has one."""
    error: JobError | None = None
    """Why it failed; None if it did not."""


class JobItemList(Answer, frozen=True, kw_only=True):
    """Outcomes of a job's items in source order."""

    items: tuple[JobItem, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""
