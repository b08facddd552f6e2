"""Count the pictures at each distance from a code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import hamming
from app.index.bitmap import is_set
from app.index.matrix import CodeMatrix

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class DistanceHistogram:
    """Numbers of pictures by distance."""

    counts: NDArray[np.int64]
    """Pictures at each distance, int64, shape (bits + 1,)."""
    measured: int
    """Pictures that were measured, the sum of ``counts``."""
    total: int
    """Pictures that the search would consider; more than ``measured`` where only a sample was."""


def distance_histogram(
    parts: Sequence[CodeMatrix],
    bits: int,
    query: NDArray[np.uint64],
    *,
    filter_key: str | None = None,
    most: int,
) -> DistanceHistogram:
    """Measure all pictures, or evenly spread ones where there are more than ``most``.

    Args:
        parts: Matrices of one state of an index.
        bits: Code length.
        query: Code, shape (words,), uint64.
        filter_key: Key of a kept filter.
        most: About how many pictures to measure at most.
    """
    rows_in_all = sum(matrix.count for matrix in parts)
    step = max(1, -(-rows_in_all // most))
    counts = np.zeros(bits + 1, np.int64)
    for matrix in parts:
        for start in range(0, matrix.count, _ROWS_AT_ONCE * step):
            rows = np.arange(start, min(matrix.count, start + _ROWS_AT_ONCE * step), step)
            rows = rows[matrix.is_alive(rows)]
            if filter_key is not None:
                rows = rows[~is_set(matrix.filters[filter_key], rows)]
            counts += np.bincount(hamming(matrix.columns[:, rows].T, query), minlength=bits + 1)
    total = sum(matrix.alive if filter_key is None else matrix.allowed(filter_key) for matrix in parts)
    return DistanceHistogram(counts, int(counts.sum()), total)
