"""List the pairs of codes within a radius: exact, by comparing all of them."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import BLOCK, LANE, OPTIONS, distances, lane_minima
from app.index.matrix import Codes
from app.index.pairs import MAX_COMPARISONS, TooManyComparisons

MAX_PAIRS: Final = 1 << 23
"""Limit on the pairs that are listed, 24 bytes each."""
_ROOM: Final = 1 << 18
"""Pairs that one call of the kernel lists at most, beside those of its last row."""


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs of rows, first rows before second rows."""

    first: NDArray[np.int64]
    """Shape (n,)."""
    second: NDArray[np.int64]
    distances: NDArray[np.int64]


def near_pairs(
    codes: Codes,
    others: Codes,
    radius: int,
    *,
    max_comparisons: int = MAX_COMPARISONS,
    max_pairs: int | None = None,
) -> NearPairs:
    """Return the pairs i < j whose distance from ``others[:, i]`` to ``codes[:, j]`` is within a radius.

    Args:
        codes: Shape (words, n), C-contiguous.
        others: The same codes, or what they are after their pictures were turned, shape (words, n).
        radius: Largest distance, inclusive.
        max_comparisons: Limit on comparisons of two words.
        max_pairs: Limit on the pairs; ``MAX_PAIRS`` if None.

    Raises:
        TooManyComparisons: There are too many codes, or too many pairs.
    """
    words, count = codes.shape
    needed = count * (count - 1) // 2 * words
    if needed > max_comparisons:
        raise TooManyComparisons(needed, max_comparisons)
    max_pairs = MAX_PAIRS if max_pairs is None else max_pairs
    parts = [(np.empty(0, np.int64),) * 3]
    row = found = 0
    while row < count:
        first, second, apart = (np.empty(_ROOM + count, np.int64) for _ in range(3))
        row, size = list_pairs(codes, others, row, radius, _ROOM, first, second, apart)
        parts.append((first[:size], second[:size], apart[:size]))
        found += size
        if found > max_pairs:
            raise TooManyComparisons(needed, max_comparisons)
    return NearPairs(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@njit(**OPTIONS)
def list_pairs(
    codes: Codes,
    others: Codes,
    start: int,
    radius: int,
    enough: int,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    apart: NDArray[np.int64],
) -> Any:
    """Write the near pairs of the rows from ``start`` on until there are ``enough``.

    Returns:
        The row to continue with, and the number of pairs written.
    """
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    minima = np.empty(BLOCK // LANE, np.uint16)
    query = np.empty(len(codes), np.uint64)
    wanted = np.uint64(radius)
    size = 0
    count = codes.shape[1]
    for i in range(start, count):
        if size >= enough:
            return i, size
        for w in range(len(codes)):
            query[w] = others[w, i]
        for block in range(i + 1, count, BLOCK):
            stop = min(block + BLOCK, count)
            lane_minima(codes, block, stop, query, none, np.bool_(False), room, minima)
            for lane in range(block, stop, LANE):
                if np.uint64(minima[(lane - block) // LANE]) <= wanted:
                    lane_end = min(lane + LANE, stop)
                    distances(codes, lane, lane_end, query, none, np.bool_(False), room)
                    for j in range(lane_end - lane):
                        if room[j] <= wanted:
                            first[size], second[size], apart[size] = i, lane + j, room[j]
                            size += 1
    return count, size
