"""What an engine that may answer instead of the scan looks like, what it may spend, how it gives rows."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
"""Rows found with their distances, ``distance << 32 | row``: their order is the order of an answer."""

ROW_BITS: Final = 32
MAX_ROWS: Final = 1 << ROW_BITS

LOOKUP: Final = 120
"""What opening a bucket costs, in words that a scan reads meanwhile: a random read of its two ends."""
CANDIDATE: Final = 80
"""What taking a row out of a bucket costs: random reads too, several under way at once."""
CANDIDATE_WORD: Final = 48
"""What each word of its code costs."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work, in words that a scan reads meanwhile, an engine may do for one query."""

    trial: int
    """As long as it is not sure to finish: all of it is lost when the scan has to answer after all."""
    total: int
    """Once what is left to do is known from the buckets' sizes, and is all that is left."""


class Engine(Protocol):
    """Finds the nearest of a matrix's first rows without looking at them all, or gives up early."""

    @property
    def covered(self) -> int:
        """Rows it knows: those from 0 to this one; later rows have to be scanned."""

    @property
    def nbytes(self) -> int:
        """Memory it takes besides the codes."""

    def nearest(
        self,
        columns: NDArray[np.uint64],
        dead: NDArray[np.uint64],
        hidden: NDArray[np.uint64],
        query: NDArray[np.uint64],
        k: int,
        limit: int,
        budget: Budget,
        /,
    ) -> Keys | None:
        """The ``k`` nearest covered rows no farther than ``limit``, or nothing where that costs too much.

        Args:
            columns: The matrix's codes, shape (words, capacity).
            dead: Bitmap of deleted rows.
            hidden: Bitmap of rows that a filter leaves out; ``dead`` itself where there is no filter.
            query: Shape (words,).
            k: At least 1.
            limit: Largest distance, inclusive.
            budget: What it may spend.

        Returns:
            Keys, ascending, at most ``k``.
        """


def candidate_cost(words: int) -> int:
    """What comparing a row out of a bucket costs."""
    return CANDIDATE + CANDIDATE_WORD * words


def first_keys(keys: Keys, k: int) -> Keys:
    """The ``k`` smallest, ascending."""
    if k < len(keys):
        keys = np.partition(keys, k - 1)[:k]
    return np.sort(keys)


def rows_of_keys(keys: Keys) -> NDArray[np.int64]:
    """The rows, shape (len(keys),)."""
    return (keys & np.uint64(MAX_ROWS - 1)).astype(np.int64)


def distances_of_keys(keys: Keys) -> NDArray[np.int32]:
    """The distances, shape (len(keys),)."""
    return (keys >> np.uint64(ROW_BITS)).astype(np.int32)
