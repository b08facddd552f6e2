"""Protocol for engines that can replace the scan within a work budget."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
"""Rows with their distances, ``distance << 32 | row``; ascending keys are the order of an answer."""

ROW_BITS: Final = 32
MAX_ROWS: Final = 1 << ROW_BITS

LOOKUP: Final = 120
"""Cost of opening a bucket, in words that a scan reads meanwhile: a random read of its two bounds."""
CANDIDATE: Final = 80
"""Cost of taking a row from a bucket: also random reads, but several run at once."""
CANDIDATE_WORD: Final = 48
"""Additional cost for each word of its code."""


@dataclass(frozen=True, slots=True)
class WorkBudget:
    """Work that an engine may do for one query, in words that a scan reads in the same time."""

    trial: int
    """Limit while the engine may still give up, which wastes all work done so far."""
    total: int
    """Limit once the bucket sizes show how much work remains until the end."""


class Engine(Protocol):
    """Finds the nearest of a matrix's first rows without reading all of them, or gives up early."""

    @property
    def covered(self) -> int:
        """Number of leading rows that the engine knows; later rows must be scanned."""

    @property
    def nbytes(self) -> int:
        """Memory used in addition to the codes, in bytes."""

    def nearest(
        self,
        columns: NDArray[np.uint64],
        dead: NDArray[np.uint64],
        hidden: NDArray[np.uint64],
        query: NDArray[np.uint64],
        k: int,
        limit: int,
        budget: WorkBudget,
        /,
    ) -> Keys | None:
        """Find the ``k`` nearest covered rows within ``limit``, or return None if that exceeds the budget.

        Args:
            columns: Codes of the matrix, shape (words, capacity).
            dead: Bitmap of deleted rows.
            hidden: Bitmap of rows that the filter excludes; ``dead`` itself without a filter.
            query: Shape (words,).
            k: At least 1.
            limit: Largest distance, inclusive.
            budget: Work limits.

        Returns:
            At most ``k`` keys, ascending, or None.
        """


def candidate_cost(words: int) -> int:
    """Cost of comparing one row from a bucket, for codes of ``words`` words."""
    return CANDIDATE + CANDIDATE_WORD * words


def first_keys(keys: Keys, k: int) -> Keys:
    """The ``k`` smallest keys, ascending."""
    if k < len(keys):
        keys = np.partition(keys, k - 1)[:k]
    return np.sort(keys)


def rows_of_keys(keys: Keys) -> NDArray[np.int64]:
    """The rows of the keys, shape (len(keys),), int64."""
    return (keys & np.uint64(MAX_ROWS - 1)).astype(np.int64)


def distances_of_keys(keys: Keys) -> NDArray[np.int32]:
    """The distances of the keys, shape (len(keys),), int32."""
    return (keys >> np.uint64(ROW_BITS)).astype(np.int32)
