"""Direct addressing of short codes: one bucket per possible code, opened in order of distance."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import OPTIONS
from app.index.engine import CANDIDATE, LOOKUP, ROW_BITS, Keys, WorkBudget, first_keys
from app.index.table_kernels import Words, fill_table, is_in, next_mask

MAX_BITS: Final = 16
"""Longest code length: 65,536 buckets."""


@dataclass(frozen=True, slots=True)
class DirectBuckets:
    """The first ``covered`` rows of a matrix, grouped by code."""

    bits: int
    ends: NDArray[np.uint32]
    """Start of each bucket in ``rows``, and the end of the last, shape (2^bits + 1,)."""
    rows: NDArray[np.uint32]
    """Rows by bucket, ascending within each, shape (covered,)."""

    @classmethod
    def of(cls, columns: Words, count: int, bits: int) -> Self:
        """Group rows 0 to ``count`` of ``columns``, shape (1, capacity).

        Raises:
            ValueError: The codes are longer than ``MAX_BITS``.
        """
        if bits > MAX_BITS:
            raise ValueError(f"codes of {bits} bits are too long to have a bucket each")
        spare = np.zeros((1 << bits) + 2, np.uint32)
        rows = np.empty(count, np.uint32)
        fill_table(columns, np.array([0, bits, 0]), spare, rows)
        return cls(bits, spare[:-1], rows)

    @property
    def covered(self) -> int:
        """Number of rows in the buckets."""
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Memory used: 4 bytes per row and 4 per bucket."""
        return self.rows.nbytes + self.ends.nbytes

    def nearest(
        self,
        _columns: Words,
        dead: Words,
        hidden: Words,
        query: Words,
        k: int,
        limit: int,
        budget: WorkBudget,
        /,
    ) -> Keys | None:
        """See ``Engine.nearest``; the bucket number is the code, so the codes themselves are not read."""
        keys = np.empty(min(budget.trial // CANDIDATE + 1, self.covered), np.uint64)
        held = nearest_buckets(
            self.ends, self.rows, self.bits, dead, hidden, query[0], k, limit, budget.trial, keys
        )
        return None if held < 0 else first_keys(keys[:held], k)


@njit(**OPTIONS)
def nearest_buckets(
    ends: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    bits: int,
    dead: Words,
    hidden: Words,
    query: np.uint64,
    k: int,
    limit: int,
    most: int,
    keys: Keys,
) -> Any:
    """Find the nearest rows, unordered; ties at the last distance may exceed k.

    Rows of a bucket are ascending and equally far, so no more are taken from one than are still wanted.

    Args:
        ends: As in ``DirectBuckets``.
        rows: As in ``DirectBuckets``.
        bits: Code length.
        dead: Bitmap of deleted rows.
        hidden: Bitmap of excluded rows.
        query: The query code.
        k: At least 1.
        limit: Largest distance, inclusive.
        most: Work limit, after which to give up.
        keys: Output; with room for every row, or for as many as ``most`` can pay for.

    Returns:
        Number of keys found, or -1 if it would exceed the limit.
    """
    held = spent = 0
    asked = np.int64(query)
    for distance in range(min(limit, bits) + 1):
        wanted = k - held
        if wanted <= 0:
            break
        mask = (1 << distance) - 1
        while mask < 1 << bits:
            bucket = asked ^ mask
            taken = 0
            spent += LOOKUP
            for i in range(np.int64(ends[bucket]), np.int64(ends[bucket + 1])):
                spent += CANDIDATE
                if spent > most:
                    return -1
                row = np.int64(rows[i])
                if is_in(dead, hidden, row):
                    keys[held] = np.uint64(distance) << np.uint64(ROW_BITS) | np.uint64(row)
                    held += 1
                    taken += 1
                    if taken == wanted:
                        break
            if spent > most:
                return -1
            if mask == 0:
                break
            mask = next_mask(mask)
    return held
