"""Numba kernels of the exact Hamming scan: packed codes in, the nearest rows out.

Codes are stored one row of ``columns`` a word, shape (words, capacity) uint64, so that a scan streams memory
in order. Distances of a block of rows are summed word by word in registers as wide as the CPU has; only a block
whose minimum beats the k-th best so far is looked at row by row.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

BLOCK: Final = 1024
"""Rows at a time: their distances fill 8 KiB and stay in the first-level cache."""

EXCLUDED: Final = 1024
"""Added to the distance of a row that is deleted or filtered out; more than any distance."""

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "error_model": "numpy"}


@intrinsic
def popcount(_context: Any, _word: Any) -> Any:
    """Number of set bits of a uint64, by the CPU's own instruction."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(**_OPTIONS)
def _one_word(column: NDArray[np.uint64], query: np.uint64, out: NDArray[np.uint64]) -> None:
    for i in range(len(column)):
        out[i] = popcount(column[i] ^ query)


@njit(**_OPTIONS)
def _add_word(column: NDArray[np.uint64], query: np.uint64, out: NDArray[np.uint64]) -> None:
    for i in range(len(column)):
        out[i] += popcount(column[i] ^ query)


@njit(**_OPTIONS)
def _add_four_words(a: Any, b: Any, c: Any, d: Any, query: Any, out: NDArray[np.uint64]) -> None:
    p, q, r, s = query[0], query[1], query[2], query[3]
    for i in range(len(a)):
        out[i] = popcount(a[i] ^ p) + popcount(b[i] ^ q) + popcount(c[i] ^ r) + popcount(d[i] ^ s)


@njit(**_OPTIONS)
def _exclude(excluded: NDArray[np.uint8], out: NDArray[np.uint64]) -> None:
    for i in range(len(excluded)):
        out[i] += np.uint64(excluded[i]) * np.uint64(EXCLUDED)


@njit(**_OPTIONS)
def _minimum(distances: NDArray[np.uint64]) -> np.uint64:
    lowest = np.uint64(2 * EXCLUDED)
    for i in range(len(distances)):
        lowest = min(lowest, distances[i])
    return lowest


@njit(**_OPTIONS)
def block_distances(
    columns: NDArray[np.uint64],
    start: int,
    stop: int,
    excluded: NDArray[np.uint8],
    query: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    """Distances of rows ``start`` to ``stop`` into ``out``; excluded rows get 1024 or more.

    Args:
        columns: Codes, shape (words, capacity).
        start: First row.
        stop: Row behind the last; at most ``BLOCK`` rows.
        excluded: 1 for rows to leave out, shape (n,), or of length 0 for none.
        query: Shape (words,).
        out: Shape (stop - start,).
    """
    words = len(query)
    # Slices first: an index that might be negative keeps the loops from being vectorised.
    if words == 4:
        _add_four_words(
            columns[0, start:stop],
            columns[1, start:stop],
            columns[2, start:stop],
            columns[3, start:stop],
            query,
            out,
        )
    else:
        _one_word(columns[0, start:stop], query[0], out)
        for w in range(1, words):
            _add_word(columns[w, start:stop], query[w], out)
    if len(excluded):
        _exclude(excluded[start:stop], out)


@njit(**_OPTIONS)
def nearest(
    columns: NDArray[np.uint64],
    count: int,
    excluded: NDArray[np.uint8],
    query: NDArray[np.uint64],
    k: int,
    radius: int,
    found_distances: NDArray[np.int32],
    found_rows: NDArray[np.int64],
) -> int:
    """The ``k`` nearest of rows 0 to ``count``, ordered by (distance, row).

    Args:
        columns: Codes, shape (words, capacity).
        count: Rows to search.
        excluded: 1 for rows to leave out, shape (count,), or of length 0 for none.
        query: Shape (words,).
        k: At least 1.
        radius: Largest distance, inclusive.
        found_distances: Filled, shape (k,).
        found_rows: Filled, shape (k,).

    Returns:
        How many were found.
    """
    capacity = 4 * k + BLOCK
    distances = np.empty(capacity, np.int32)
    rows = np.empty(capacity, np.int64)
    histogram = np.zeros(EXCLUDED + 1, np.int64)
    block = np.empty(BLOCK, np.uint64)
    held = 0
    below = 0  # candidates nearer than the threshold
    threshold = np.uint64(radius + 1)  # a row must be nearer than this
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        part = block[: stop - start]
        block_distances(columns, start, stop, excluded, query, part)
        if _minimum(part) >= threshold:
            continue
        for i in range(stop - start):
            distance = part[i]
            if distance >= threshold:
                continue
            if held == capacity:
                held = _drop_beyond(distances, rows, held, threshold)
            distances[held] = distance
            rows[held] = start + i
            held += 1
            below += 1
            histogram[distance] += 1
            if below >= k:
                # The k-th distance bounds from here on: rows come in order, so a later equal one ranks behind.
                reached = 0
                t = 0
                while reached + histogram[t] < k:
                    reached += histogram[t]
                    t += 1
                threshold = np.uint64(t)
                below = reached
    found: int = _by_distance(distances, rows, held, histogram, k, found_distances, found_rows)
    return found


@njit(**_OPTIONS)
def _drop_beyond(distances: Any, rows: Any, held: int, threshold: Any) -> int:
    kept = 0
    for i in range(held):
        if distances[i] <= threshold:
            distances[kept] = distances[i]
            rows[kept] = rows[i]
            kept += 1
    return kept


@njit(**_OPTIONS)
def _by_distance(
    distances: Any, rows: Any, held: int, histogram: Any, k: int, found_distances: Any, found_rows: Any
) -> int:
    """A stable counting sort of the candidates; the first ``k`` of it."""
    first = np.zeros(len(histogram) + 1, np.int64)
    for d in range(len(histogram)):
        first[d + 1] = first[d] + histogram[d]
    found = 0
    for i in range(held):
        place = first[distances[i]]
        first[distances[i]] += 1
        if place < k:
            found_distances[place] = distances[i]
            found_rows[place] = rows[i]
            found += 1
    counted: int = found
    return counted


@njit(**_OPTIONS)
def count_at_distance(
    columns: NDArray[np.uint64],
    count: int,
    excluded: NDArray[np.uint8],
    query: NDArray[np.uint64],
    distance: int,
) -> int:
    """How many of rows 0 to ``count`` lie at exactly ``distance``; arguments as for ``nearest``."""
    block = np.empty(BLOCK, np.uint64)
    total = 0
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        part = block[: stop - start]
        block_distances(columns, start, stop, excluded, query, part)
        for i in range(stop - start):
            total += part[i] == np.uint64(distance)
    counted: int = total
    return counted
