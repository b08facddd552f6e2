"""Jobs, their parts, items and leases."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_job_id(now: datetime) -> str:
    """Return a ULID: 48 bits of milliseconds and 80 random bits, as 26 characters that sort by time.

    Source: https://github.com/ulid/spec
    """
    number = (int(now.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


class JobKind(StrEnum):
    """Kind of a job."""

    INDEX = "index"
    TRAIN = "train"
    REENCODE = "reencode"
    HASH = "hash"
    EVALUATE = "evaluate"
    BACKUP = "backup"
    RESTORE = "restore"
    VERIFY = "verify"
    LEARN_WORDS = "learn_words"


class JobState(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PartState(StrEnum):
    """State of a part of a job; one worker at a time works on a part."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Request(StrEnum):
    """Operator request to a running job, handled after the current batch."""

    PAUSE = "pause"
    CANCEL = "cancel"


class ItemStatus(StrEnum):
    """Outcome of one item of a job."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    """Another picture is stored under this id, and is kept."""
    NEAR_DUPLICATE = "near_duplicate"
    """It is a copy of a picture under another id, and was skipped."""
    FAILED = "failed"


FINISHED: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""Final states, unless the job is retried."""
WORKABLE: Final = frozenset({JobState.QUEUED, JobState.RUNNING})
"""States in which workers take parts of a job."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job and its progress."""

    id: str
    kind: JobKind
    state: JobState
    request: Request | None
    """Operator request to handle after the current batch."""
    arguments: dict[str, Any]
    collection_pk: int | None
    exclusive: str | None
    phase: str | None
    done: int
    total: int | None
    """Number of items; None while unknown."""
    rate_per_s: float
    """Items per second, summed over the running parts."""
    result: dict[str, Any] | None
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobItemRecord:
    """The outcome of one item of a job."""

    position: int
    """Position in the source, from 0."""
    status: ItemStatus
    name: str
    """Name in the source: a path, a line or a URL."""
    image_id: str | None = None
    error_code: str | None = None
    error_detail: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to one part of a job."""

    job_id: str
    part: int
    attempt: int
    """Fencing token: each claim increments it, and writes with a lower one are refused."""
    kind: JobKind
    arguments: dict[str, Any]
    part_arguments: dict[str, Any]
    checkpoint: dict[str, Any]
    """State after the last committed batch; empty at first."""
    strikes: int
    """Consecutive attempts since the last checkpoint."""
    is_taken_over: bool = False
    """Whether the previous worker died, froze or hung instead of releasing the part."""
