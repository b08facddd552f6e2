"""Numba kernels of the exact Hamming scan: find the nearest rows among packed codes.

The scan proceeds region by region. Each lane of 64 rows is reduced to its smallest distance, then the few lanes
with a small enough minimum are examined row by row. The threshold is first the k-th smallest lane minimum of
the first region, later the k-th best distance so far. In a batch, every query runs over a block while it is in
the first-level cache.

Excluded rows are bitmaps with 64 rows per word, which a lane consults only if its minimum is small enough. A
filter correlated with the query, such as one that excludes the query's own cluster, raises many false alarms.
Once they accumulate, a row's bit is made part of its distance *before* the minimum is taken, as it always is
when minima set the threshold.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import (
    BLOCK,
    LANE,
    LEAF,
    NONE,
    OPTIONS,
    Minima,
    Words,
    distances,
    lane_minima,
    popcount,
    sparse_minima,
)

REGION: Final = 1 << 15
"""Rows per region: 4 KiB of lane minima per query."""
SPARSE: Final = 16
"""If at most one row in this many can be found, rows are read individually."""
ALARM_RATIO: Final = 32
"""More than one false alarm per this many lanes makes excluded rows be masked before each minimum."""

HELD, NEARER, THRESHOLD, ALARMS, MASKS_FIRST = range(5)
"""Fields of a query's scan state: candidates held; candidates nearer than the threshold; the threshold, which a
row's distance must be below; false alarms; whether to mask excluded rows."""


@njit(**OPTIONS)
def nearest(
    columns: Words,
    first: int,
    count: int,
    dead: Words,
    hidden: Words,
    queries: Words,
    k: int,
    limits: NDArray[np.int64],
    found_distances: NDArray[np.int32],
    found_rows: NDArray[np.int64],
    found: NDArray[np.int64],
) -> None:
    """Find the ``k`` nearest of rows ``first`` to ``count`` to each query, ordered by (distance, row).

    Args:
        columns: Codes, shape (words, capacity).
        first: First row to search, a multiple of 64.
        count: End of the rows to search, exclusive.
        dead: Bitmap of deleted rows; bits from ``count`` on are ignored.
        hidden: Bitmap of rows that the filter excludes; ``dead`` itself without a filter.
        queries: Shape (q, words).
        k: At least 1.
        limits: Largest distance of each query, inclusive, shape (q,).
        found_distances: Output, shape (q, k).
        found_rows: Output, shape (q, k).
        found: Output, number of rows found for each query, shape (q,).
    """
    many = len(queries)
    capacity = min(4 * k + LANE, count - first)
    near = np.empty((many, capacity), np.int32)
    rows = np.empty((many, capacity), np.int64)
    longest = LANE * len(columns)
    histograms = np.zeros((many, longest + 2), np.int32)
    state = np.zeros((many, 5), np.int64)
    for j in range(many):
        state[j, THRESHOLD] = min(limits[j], longest) + 1
    lanes = (min(REGION, count - first) + LANE - 1) // LANE
    left_out = np.empty(lanes, np.uint64)
    minima = np.empty((many, lanes), np.uint16)
    room = np.empty(BLOCK, np.uint64)
    for region in range(first, count, REGION):
        end = min(region + REGION, count)
        scanned = region - first
        _reduce(columns, region, end, dead, hidden, queries, scanned, left_out, minima, room, state)
        for j in range(many):
            least = minima[j, : (end - region + LANE - 1) // LANE]
            if state[j, HELD] == 0:
                state[j, THRESHOLD] = min(state[j, THRESHOLD], _bound(least, k, histograms[j]))
            _examine_lanes(
                columns,
                region,
                end,
                queries[j],
                k,
                left_out,
                least,
                room,
                near[j],
                rows[j],
                histograms[j],
                state[j],
            )
    for j in range(many):
        held = state[j, HELD]
        found[j] = _by_distance(near[j], rows[j], held, histograms[j], found_distances[j], found_rows[j])


@njit(**LEAF)
def _reduce(
    columns: Words,
    region: int,
    end: int,
    dead: Words,
    hidden: Words,
    queries: Words,
    scanned: int,
    left_out: Words,
    minima: Minima,
    room: Words,
    state: NDArray[np.int64],
) -> None:
    """Compute the region's bitmap of excluded rows and, for each query, the minimum of each lane."""
    for j in range(len(queries)):
        state[j, MASKS_FIRST] = state[j, HELD] == 0 or state[j, ALARMS] * ALARM_RATIO * LANE > scanned
    block = BLOCK if len(columns) == 1 else BLOCK // 2 if len(columns) <= 4 else BLOCK // 4
    for start in range(region, end, block):
        stop = min(start + block, end)
        place = (start - region) // LANE
        masks = left_out[place : place + (stop - start + LANE - 1) // LANE]
        allowed = _combine_masks(dead, hidden, start, stop, masks)
        for j in range(len(queries)):
            if allowed * SPARSE <= stop - start:
                sparse_minima(columns, start, queries[j], masks, minima[j, place:])
            else:
                is_masked = allowed < stop - start and state[j, MASKS_FIRST] != 0
                lane_minima(columns, start, stop, queries[j], masks, is_masked, room, minima[j, place:])


@njit(**LEAF)
def _combine_masks(dead: Words, hidden: Words, start: int, stop: int, left_out: Words) -> Any:
    """Combine both bitmaps for rows ``start``, a multiple of 64, to ``stop``; return how many rows remain."""
    first = start // LANE
    count = np.uint64(stop - start)
    for w in range(len(left_out)):
        word = dead[np.uint64(first + w)] | hidden[np.uint64(first + w)]
        left_out[w] = word
        count -= popcount(word)
    rest = np.uint64((stop - start) % LANE)
    if rest != np.uint64(0):
        # Bits from ``stop`` on are undefined.
        last = len(left_out) - 1
        count += popcount(left_out[last] >> rest)
        left_out[last] |= ~np.uint64(0) << rest
    return np.int64(count)


@njit(**LEAF)
def _bound(minima: Minima, k: int, histogram: NDArray[np.int32]) -> int:
    """A distance that at least k rows are below, since that many lanes have a smaller minimum.

    Args:
        minima: Lane minima of rows that can be found, or ``NONE``.
        k: At least 1.
        histogram: Scratch space, all zeros before and after.
    """
    if k > len(minima):
        return NONE
    for least in minima:
        if least != np.uint16(NONE):
            histogram[least] += 1
    nearer, bound = 0, 0
    while bound < len(histogram) and nearer < k:
        nearer += histogram[bound]
        bound += 1
    histogram[:] = 0
    return bound


@njit(**LEAF)
def _examine_lanes(
    columns: Words,
    region: int,
    end: int,
    query: Words,
    k: int,
    left_out: Words,
    minima: Minima,
    room: Words,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int32],
    state: NDArray[np.int64],
) -> None:
    """Add the rows of a region that are near enough to the candidates."""
    for lane in range(len(minima)):
        if np.int64(minima[lane]) < state[THRESHOLD]:
            start = region + lane * LANE
            stop = min(start + LANE, end)
            is_mixed = left_out[lane] != np.uint64(0)
            distances(columns, start, stop, query, left_out[lane:], is_mixed, room)
            is_near = _add_lane(room[: stop - start], start, k, near, rows, histogram, state)
            state[ALARMS] += not is_near


@njit(**LEAF)
def _add_lane(
    lane: Words,
    first: int,
    k: int,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int32],
    state: NDArray[np.int64],
) -> Any:
    """Add the rows of a lane that are near enough: compare all at once, then visit the matches.

    Returns:
        Whether any row was near enough.
    """
    threshold = np.uint64(state[THRESHOLD])
    left = np.uint64(0)
    for i in range(len(lane)):
        left |= np.uint64(lane[i] < threshold) << np.uint64(i)
    is_near = left != np.uint64(0)
    while left != np.uint64(0):
        lower = left - np.uint64(1)
        place = np.int64(popcount(lower & ~left))
        left &= lower
        if lane[place] < np.uint64(state[THRESHOLD]):
            _add_candidate(np.int64(lane[place]), first + place, k, near, rows, histogram, state)
    return is_near


@njit(**LEAF)
def _add_candidate(
    distance: int,
    row: int,
    k: int,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int32],
    state: NDArray[np.int64],
) -> None:
    """Add a candidate; once there are k, lower the threshold to the k-th distance.

    Rows come in order, so a later row at the k-th distance ranks behind and is not needed.
    """
    if state[HELD] == len(near):
        state[HELD] = _drop_beyond(near, rows, state[HELD], state[THRESHOLD])
    near[state[HELD]] = distance
    rows[state[HELD]] = row
    state[HELD] += 1
    state[NEARER] += 1
    histogram[distance] += 1
    while state[NEARER] >= k:
        state[THRESHOLD] -= 1
        state[NEARER] -= histogram[state[THRESHOLD]]


@njit(**LEAF)
def _drop_beyond(near: NDArray[np.int32], rows: NDArray[np.int64], held: int, threshold: int) -> int:
    kept = 0
    for i in range(held):
        if near[i] <= threshold:
            near[kept] = near[i]
            rows[kept] = rows[i]
            kept += 1
    return kept


@njit(**OPTIONS)
def _by_distance(
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    held: int,
    histogram: NDArray[np.int32],
    found_distances: NDArray[np.int32],
    found_rows: NDArray[np.int64],
) -> int:
    """Sort the candidates by a stable counting sort and output as many as there is room for."""
    places = np.zeros(len(histogram) + 1, np.int64)
    for d in range(len(histogram)):
        places[d + 1] = places[d] + histogram[d]
    found = 0
    for i in range(held):
        place = places[near[i]]
        places[near[i]] += 1
        if place < len(found_rows):
            found_distances[place] = near[i]
            found_rows[place] = rows[i]
            found += 1
    counted: int = found
    return counted


@njit(**OPTIONS)
def count_at_distance(
    columns: Words, first: int, count: int, dead: Words, hidden: Words, query: Words, distance: int
) -> Any:
    """Count the rows ``first`` to ``count`` at exactly ``distance``; arguments as for ``nearest``."""
    left_out = np.empty(BLOCK // LANE, np.uint64)
    minima = np.empty(BLOCK // LANE, np.uint16)
    room = np.empty(BLOCK, np.uint64)
    return _count(columns, first, count, dead, hidden, query, np.uint64(distance), left_out, minima, room)


@njit(**LEAF)
def _count(
    columns: Words,
    first: int,
    count: int,
    dead: Words,
    hidden: Words,
    query: Words,
    wanted: np.uint64,
    left_out: Words,
    minima: Minima,
    room: Words,
) -> Any:
    total = 0
    for block in range(first, count, BLOCK):
        end = min(block + BLOCK, count)
        lanes = (end - block + LANE - 1) // LANE
        _combine_masks(dead, hidden, block, end, left_out[:lanes])
        # The distance is usually that of the last hit, hence small: few lanes contain anything so near.
        lane_minima(columns, block, end, query, left_out, np.bool_(False), room, minima)
        for lane in range(lanes):
            if np.uint64(minima[lane]) <= wanted:
                start = block + lane * LANE
                stop = min(start + LANE, end)
                distances(columns, start, stop, query, left_out[lane:], np.bool_(True), room)
                for i in range(stop - start):
                    total += room[i] == wanted
    return total
