"""After an attempt that came to nothing: wait, take smaller batches, pass over the item that kills."""

import random
from typing import Final

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
MIN_STRIKES_TO_BLAME: Final = 3
"""One dead worker may be a power cut; this many in a row on one item are not."""


def backoff_s(strikes: int) -> float:
    """How long to wait before the next attempt, in seconds.

    Doubles with each attempt up to a bound; the upper half is random, so that what failed together does not
    come back together.

    Args:
        strikes: Attempts in a row that came to nothing, the last one included.
    """
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(strikes - 1, 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def batch_size(full: int, strikes: int) -> int:
    """Items to take into the next batch: halved with each attempt in a row that came to nothing.

    A worker that dies leaves no word on which item killed it. Halving finds the item in log2(full) deaths, and
    the items before it are done on the way.
    """
    return max(1, full >> strikes)


def is_proven_deadly(full: int, strikes: int) -> bool:
    """Whether the next item was tried alone and its worker died: list it as failed and pass over it."""
    return strikes >= MIN_STRIKES_TO_BLAME and batch_size(full, strikes - 1) == 1
