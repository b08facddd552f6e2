"""Progress, rate and estimated time of a job."""

from dataclasses import dataclass
from typing import Final

from app.domain.jobs import JobRecord

HALF_LIFE_S: Final = 10.0
"""Seconds after which a measurement has half its weight."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job, as shown to operators."""

    phase: str | None
    done: int
    total: int | None
    percent: float | None
    rate_per_s: float
    eta_s: float | None
    """Seconds left at the current rate; None if the total is unknown or the rate is zero."""


def progress_of(job: JobRecord) -> Progress:
    """Compute the progress of a job."""
    percent = None if not job.total else round(100.0 * job.done / job.total, 1)
    left = None if job.total is None else max(0, job.total - job.done)
    eta_s = left / job.rate_per_s if left is not None and job.rate_per_s > 0 else None
    return Progress(job.phase, job.done, job.total, percent, job.rate_per_s, eta_s)


class RateMeter:
    """Items per second, smoothed exponentially with a half-life."""

    def __init__(self, started_s: float) -> None:
        """Start measuring at ``started_s`` of a monotonic clock."""
        self._last_s = started_s
        self._items = 0.0
        self._seconds = 0.0

    def add(self, items: int, now_s: float) -> float:
        """Add items processed until ``now_s``; return the rate per second."""
        elapsed = max(now_s - self._last_s, 0.0)
        self._last_s = now_s
        decay = 0.5 ** (elapsed / HALF_LIFE_S)
        self._items = self._items * decay + items
        self._seconds = self._seconds * decay + elapsed
        return self._items / self._seconds if self._seconds > 0 else 0.0
