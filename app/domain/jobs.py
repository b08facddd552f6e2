"""Kinds, states and control requests of jobs."""

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Final

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
    EVALUATE = "evaluate"
    BACKUP = "backup"
    RESTORE = "restore"
    VERIFY = "verify"


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
    FAILED = "failed"


FINISHED: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""Final states, unless the job is retried."""
WORKABLE: Final = frozenset({JobState.QUEUED, JobState.RUNNING})
"""States in which workers take parts of a job."""
