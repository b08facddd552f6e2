"""Retry policy after failed attempts: back off, try items one at a time, skip an item that kills workers."""

import random
from dataclasses import dataclass
from typing import Final

from app.domain.jobs import Lease

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
DEATHS_TO_BLAME: Final = 2
"""Deaths after which an item is skipped; one death may be a power cut."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An item that is processed alone, recorded in the checkpoint before processing starts.

    If the worker dies, the next one knows which item was being processed.
    """

    place: int
    deaths: int
    """Number of workers that died while processing it alone."""
    attempt: int
    """Attempt of the lease that recorded the trial."""

    @property
    def is_proven_deadly(self) -> bool:
        """Whether to record the item as failed and skip it."""
        return self.deaths >= DEATHS_TO_BLAME


def next_trial(lease: Lease, place: int) -> Trial:
    """Return the trial of the first item of a new attempt, given the trial that earlier attempts recorded.

    Args:
        lease: Lease of the new attempt; its checkpoint may contain a ``trial``.
        place: Position of the item in the part.
    """
    recorded = lease.checkpoint.get("trial")
    if recorded is None or recorded["place"] != place:
        return Trial(place, 0, lease.attempt)
    # A worker that dies before recording the trial has not processed the item, so its death does not count.
    has_died = lease.is_taken_over and recorded["attempt"] == lease.attempt - 1
    return Trial(place, recorded["deaths"] + has_died, lease.attempt)


def backoff_s(strikes: int) -> float:
    """Return the delay before the next attempt, in seconds.

    It doubles with each attempt up to a maximum. A random factor between 0.5 and 1 spreads retries that failed
    at the same time.

    Args:
        strikes: Consecutive attempts without progress, including the last one.
    """
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(strikes - 1, 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
