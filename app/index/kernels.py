"""Numba kernels of the exact Hamming scan: packed codes in, the nearest rows out.

Codes are stored one row of ``columns`` a word, shape (words, capacity) uint64, so that a scan streams memory
in order. A block of rows is reduced to its smallest distance in registers as wide as the CPU has; only where
that beats the k-th best so far are its rows looked at one by one. A batch runs every query over a block while
it is in the first-level cache.

Rows to leave out are bitmaps, 64 rows a word, which a block consults only when something in it is near enough.
A filter that goes with the query (its own cluster left out) raises a false alarm in nearly every block: once
they pile up, the bitmaps are added to the distances *before* the minimum is taken.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from app.domain.codes import MAX_BITS

BLOCK: Final = 1024
"""Rows at a time: 8 KiB of each word."""
LANE: Final = 64
"""Rows of one bitmap word, and of the second look into a block that holds something near."""

FAR: Final = 1 << 63
"""Added to the distance of a row that is left out: a bitmap's bit, shifted to where it is past any distance."""
SPARSE: Final = 16
"""Where no more than one row in so many is to be found, rows are read one by one."""
WARY: Final = 16
"""One false alarm in so many blocks is one too many: then rows left out are masked before each minimum."""

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "error_model": "numpy"}

Words = NDArray[np.uint64]


def _count_bits(_context: Any, _word: Any) -> Any:
    """Number of set bits of a uint64, by the CPU's own instruction."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


popcount: Any = intrinsic(_count_bits)

# The smallest distance of a stretch, without and with rows left out; the usual lengths take one pass.


@njit(**_OPTIONS)
def _lowest_1(a: Words, p: np.uint64) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, popcount(a[i] ^ p))
    return least


@njit(**_OPTIONS)
def _lowest_1_of(a: Words, p: np.uint64, far: Words) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, popcount(a[i] ^ p) + far[i])
    return least


@njit(**_OPTIONS)
def _lowest_2(a: Words, b: Words, p: np.uint64, q: np.uint64) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, popcount(a[i] ^ p) + popcount(b[i] ^ q))
    return least


@njit(**_OPTIONS)
def _lowest_2_of(a: Words, b: Words, p: np.uint64, q: np.uint64, far: Words) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, popcount(a[i] ^ p) + popcount(b[i] ^ q) + far[i])
    return least


@njit(**_OPTIONS)
def _lowest_4(a: Words, b: Words, c: Words, d: Words, query: Words) -> Any:
    p, q, r, s = query[0], query[1], query[2], query[3]
    least = np.uint64(FAR)
    for i in range(len(a)):
        near = popcount(a[i] ^ p) + popcount(b[i] ^ q)
        least = min(least, near + popcount(c[i] ^ r) + popcount(d[i] ^ s))
    return least


@njit(**_OPTIONS)
def _lowest_4_of(a: Words, b: Words, c: Words, d: Words, query: Words, far: Words) -> Any:
    p, q, r, s = query[0], query[1], query[2], query[3]
    least = np.uint64(FAR)
    for i in range(len(a)):
        near = popcount(a[i] ^ p) + popcount(b[i] ^ q) + far[i]
        least = min(least, near + popcount(c[i] ^ r) + popcount(d[i] ^ s))
    return least


@njit(**_OPTIONS)
def _add_word(column: Words, query: np.uint64, out: Words) -> None:
    for i in range(len(column)):
        out[i] += popcount(column[i] ^ query)


@njit(**_OPTIONS)
def _smallest(distances: Words) -> Any:
    least = np.uint64(FAR)
    for i in range(len(distances)):
        least = min(least, distances[i])
    return least


@njit(**_OPTIONS)
def lowest(columns: Words, start: int, stop: int, query: Words, far: Words, is_far: bool, room: Words) -> Any:
    """The smallest distance of rows ``start`` to ``stop``; ``far`` belongs to these rows."""
    words = len(query)
    # Slices first: an index that might be negative keeps the loops from being vectorised.
    a = columns[0, start:stop]
    if words == 1:
        return _lowest_1_of(a, query[0], far) if is_far else _lowest_1(a, query[0])
    b = columns[1, start:stop]
    if words == 2:
        return _lowest_2_of(a, b, query[0], query[1], far) if is_far else _lowest_2(a, b, query[0], query[1])
    if words == 4:
        c, d = columns[2, start:stop], columns[3, start:stop]
        return _lowest_4_of(a, b, c, d, query, far) if is_far else _lowest_4(a, b, c, d, query)
    distances(columns, start, stop, query, far, is_far, room)
    return _smallest(room[: stop - start])


@njit(**_OPTIONS)
def distances(
    columns: Words, start: int, stop: int, query: Words, far: Words, is_far: bool, out: Words
) -> None:
    """Distances of rows ``start`` to ``stop`` into ``out``.

    Args:
        columns: Codes, shape (words, capacity).
        start: First row.
        stop: Row behind the last.
        query: Shape (words,).
        far: What is added to each, shape (stop - start,) or more.
        is_far: Whether to add it.
        out: Shape (stop - start,) or more.
    """
    part = out[: stop - start]
    if is_far:
        part[:] = far[: stop - start]
    else:
        part[:] = 0
    for w in range(len(query)):
        _add_word(columns[w, start:stop], query[w], part)


@njit(**_OPTIONS)
def spread(dead: Words, hidden: Words, start: int, stop: int, far: Words) -> None:
    """Turn the bitmaps of rows ``start`` to ``stop`` into additions to their distances.

    Args:
        dead: Bitmap of deleted rows, 64 rows a word.
        hidden: Bitmap of rows that a filter leaves out; ``dead`` itself where there is no filter.
        start: First row, a multiple of 64.
        stop: Row behind the last.
        far: Filled with 0 or ``FAR``, shape (``BLOCK``,).
    """
    for w in range(start // LANE, (stop + LANE - 1) // LANE):
        word = dead[np.uint64(w)] | hidden[np.uint64(w)]
        lane = far[w * LANE - start : w * LANE - start + LANE]
        for i in range(LANE):
            lane[i] = (word >> np.uint64(i)) << np.uint64(63)


@njit(**_OPTIONS)
def _allowed_word(dead: Words, hidden: Words, word: int, stop: int) -> Any:
    """The rows of one bitmap word that are to be found, as set bits; those from ``stop`` on are not."""
    allowed = ~(dead[np.uint64(word)] | hidden[np.uint64(word)])
    if stop - word * LANE < LANE:
        allowed &= (np.uint64(1) << np.uint64(stop - word * LANE)) - np.uint64(1)
    return allowed


@njit(**_OPTIONS)
def _allowed_count(dead: Words, hidden: Words, start: int, stop: int) -> int:
    count: Any = np.uint64(0)
    for word in range(start // LANE, (stop + LANE - 1) // LANE):
        count += popcount(_allowed_word(dead, hidden, word, stop))
    return int(count)


@njit(**_OPTIONS)
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
    """The ``k`` nearest of rows ``first`` to ``count`` to each query, ordered by (distance, row).

    Args:
        columns: Codes, shape (words, capacity).
        first: First row to search, a multiple of 64.
        count: Row behind the last.
        dead: Bitmap of deleted rows; bits of rows from ``count`` on are not looked at.
        hidden: Bitmap of rows that a filter leaves out; ``dead`` itself where there is no filter.
        queries: Shape (q, words).
        k: At least 1.
        limits: Largest distance, inclusive, of each query, shape (q,).
        found_distances: Filled, shape (q, k).
        found_rows: Filled, shape (q, k).
        found: How many were found, filled, shape (q,).
    """
    many = len(queries)
    capacity = min(4 * k + BLOCK, count - first)
    near = np.empty((many, capacity), np.int32)
    rows = np.empty((many, capacity), np.int64)
    histograms = np.zeros((many, MAX_BITS + 2), np.int64)
    # Of each query: candidates held; those below its threshold; the distance that a row must be nearer than;
    # its false alarms, where all that came near was left out.
    state = np.zeros((many, 4), np.int64)
    state[:, 2] = limits + 1
    far = np.empty(BLOCK, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    block = max(2, BLOCK // LANE // len(columns)) * LANE
    for start in range(first, count, block):
        stop = min(start + block, count)
        allowed = _allowed_count(dead, hidden, start, stop)
        if allowed * SPARSE <= stop - start:
            for j in range(many):
                _pick_out(
                    columns, start, stop, dead, hidden, queries[j], k, near[j], rows[j], histograms[j], state[j]
                )
            continue
        is_mixed = allowed < stop - start
        is_spread = False
        for j in range(many):
            is_wary = is_mixed and state[j, 3] * block * WARY > start - first
            if is_wary and not is_spread:
                spread(dead, hidden, start, stop, far)
                is_spread = True
            query, threshold = queries[j], np.uint64(state[j, 2])
            if lowest(columns, start, stop, query, far, is_wary, room) >= threshold:
                continue
            if is_mixed and not is_spread:
                spread(dead, hidden, start, stop, far)
                is_spread = True
            _look_into(
                columns, start, stop, query, k, far, is_spread, room, near[j], rows[j], histograms[j], state[j]
            )
    for j in range(many):
        found[j] = _by_distance(near[j], rows[j], state[j, 0], histograms[j], found_distances[j], found_rows[j])


@njit(**_OPTIONS)
def _look_into(
    columns: Words,
    start: int,
    stop: int,
    query: Words,
    k: int,
    far: Words,
    is_far: bool,
    room: Words,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """Take the rows of a block that are near enough among the candidates."""
    if is_far and lowest(columns, start, stop, query, far, is_far, room) >= np.uint64(state[2]):
        state[3] += 1
        return
    for lane in range(start, stop, LANE):
        end = min(lane + LANE, stop)
        lane_far = far[lane - start : end - start]
        if lowest(columns, lane, end, query, lane_far, is_far, room) >= np.uint64(state[2]):
            continue
        distances(columns, lane, end, query, lane_far, is_far, room)
        for i in range(end - lane):
            if room[i] < np.uint64(state[2]):
                _take(np.int64(room[i]), lane + i, k, near, rows, histogram, state)


@njit(**_OPTIONS)
def _pick_out(
    columns: Words,
    start: int,
    stop: int,
    dead: Words,
    hidden: Words,
    query: Words,
    k: int,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """The same for a block of which few rows are to be found: they alone are read."""
    for word in range(start // LANE, (stop + LANE - 1) // LANE):
        allowed = _allowed_word(dead, hidden, word, stop)
        while allowed != np.uint64(0):
            lower = allowed - np.uint64(1)
            row = word * LANE + np.int64(popcount(lower & ~allowed))
            allowed &= lower
            distance = np.int64(0)
            for w in range(len(query)):
                distance += np.int64(popcount(columns[w, row] ^ query[w]))
            if distance < state[2]:
                _take(distance, row, k, near, rows, histogram, state)


@njit(**_OPTIONS)
def _take(
    distance: int,
    row: int,
    k: int,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """Make a row a candidate; once there are k, lower the threshold to the k-th distance.

    Rows come in order, so that a later one at the k-th distance ranks behind and is not needed.
    """
    if state[0] == len(near):
        state[0] = _drop_beyond(near, rows, state[0], state[2])
    near[state[0]] = distance
    rows[state[0]] = row
    state[0] += 1
    state[1] += 1
    histogram[distance] += 1
    while state[1] >= k:
        state[2] -= 1
        state[1] -= histogram[state[2]]


@njit(**_OPTIONS)
def _drop_beyond(near: NDArray[np.int32], rows: NDArray[np.int64], held: int, threshold: int) -> int:
    kept = 0
    for i in range(held):
        if near[i] <= threshold:
            near[kept] = near[i]
            rows[kept] = rows[i]
            kept += 1
    return kept


@njit(**_OPTIONS)
def _by_distance(
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    held: int,
    histogram: NDArray[np.int64],
    found_distances: NDArray[np.int32],
    found_rows: NDArray[np.int64],
) -> int:
    """A stable counting sort of the candidates; as much of it as there is room for."""
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


@njit(**_OPTIONS)
def count_at_distance(
    columns: Words, first: int, count: int, dead: Words, hidden: Words, query: Words, distance: int
) -> int:
    """How many of rows ``first`` to ``count`` lie at exactly ``distance``; arguments as for ``nearest``."""
    far = np.empty(BLOCK, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    wanted = np.uint64(distance)
    total = 0
    for start in range(first, count, BLOCK):
        stop = min(start + BLOCK, count)
        # The distance asked for is mostly a small one, that of the last hit: few blocks hold anything so near.
        if lowest(columns, start, stop, query, far, False, room) > wanted:
            continue
        spread(dead, hidden, start, stop, far)
        distances(columns, start, stop, query, far, True, room)
        for i in range(stop - start):
            total += room[i] == wanted
    counted: int = total
    return counted
