"""After an attempt that came to nothing: wait, take items alone, pass over the one that kills."""

import random
from dataclasses import dataclass
from typing import Final

from app.store.records import Lease

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
DEATHS_TO_BLAME: Final = 2
"""One worker that dies with an item alone in hand may be a power cut; two in a row are not."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An item that is about to be taken up alone, written into the checkpoint before it is.

    So a death tells which item it was of, and the next worker need not search for it.
    """

    place: int
    deaths: int
    """Workers that died with it alone in hand."""
    attempt: int
    """The lease under which this was written down."""

    @property
    def is_proven_deadly(self) -> bool:
        """Whether to list the item as failed and pass over it."""
        return self.deaths >= DEATHS_TO_BLAME


def next_trial(lease: Lease, place: int) -> Trial:
    """The trial of the item that a new attempt begins with, by what the one before has written down.

    Args:
        lease: The new attempt's; its checkpoint may hold a ``trial``.
        place: The item's place in the part.
    """
    written = lease.checkpoint.get("trial")
    if written is None or written["place"] != place:
        return Trial(place, 0, lease.attempt)
    # Of that very worker: one that died before it had written this down has not touched the item.
    has_died = lease.is_taken_over and written["attempt"] == lease.attempt - 1
    return Trial(place, written["deaths"] + has_died, lease.attempt)


def backoff_s(strikes: int) -> float:
    """How long to wait before the next attempt, in seconds.

    Doubles with each attempt up to a bound; the upper half is random, so that what failed together does not
    come back together.

    Args:
        strikes: Attempts in a row that came to nothing, the last one included.
    """
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(strikes - 1, 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
