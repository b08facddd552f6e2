"""How far a job is, how fast it goes, and when it will be done."""

from dataclasses import dataclass
from typing import Final

from app.store.records import JobRecord

HALF_LIFE_S: Final = 10.0
"""After so many seconds, what was measured before counts half."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an operator sees of a job that runs."""

    phase: str | None
    done: int
    total: int | None
    percent: float | None
    rate_per_s: float
    eta_s: float | None
    """Seconds left at the present rate; None while nothing is known or nothing moves."""


def progress_of(job: JobRecord) -> Progress:
    """The progress of a job."""
    percent = None if not job.total else round(100.0 * job.done / job.total, 1)
    left = None if job.total is None else max(0, job.total - job.done)
    eta_s = left / job.rate_per_s if left is not None and job.rate_per_s > 0 else None
    return Progress(job.phase, job.done, job.total, percent, job.rate_per_s, eta_s)


class RateMeter:
    """Items a second, smoothed: recent batches count more, by an exponential half-life."""

    def __init__(self, started_s: float) -> None:
        """Start to measure at ``started_s`` of a monotonic clock."""
        self._last_s = started_s
        self._items = 0.0
        self._seconds = 0.0

    def add(self, items: int, now_s: float) -> float:
        """Count items that were done by now; returns the rate per second."""
        elapsed = max(now_s - self._last_s, 0.0)
        self._last_s = now_s
        fade = 0.5 ** (elapsed / HALF_LIFE_S)
        self._items = self._items * fade + items
        self._seconds = self._seconds * fade + elapsed
        return self._items / self._seconds if self._seconds > 0 else 0.0
