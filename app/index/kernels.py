"""Numba kernels of the exact Hamming scan: packed codes in, the nearest rows out.

Codes are stored one row of ``columns`` a word, shape (words, capacity) uint64, so that a scan streams memory
in order. A block of rows is reduced to its smallest distance in registers as wide as the CPU has; only where
that beats the k-th best so far are its rows looked at one by one. A batch runs every query over a block while
it is in the first-level cache.

Rows to leave out are bitmaps, 64 rows a word, which a block consults only when something in it is near enough.
A filter that goes with the query (its own cluster left out) raises a false alarm in nearly every block: once
they pile up, a row's bit is made part of its distance *before* the minimum is taken.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from app.domain.codes import MAX_BITS

BLOCK: Final = 1024
"""Most rows at a time: 8 KiB of each word; of longer codes a half or a quarter."""
LANE: Final = 64
"""Rows of one bitmap word, and of the second look into a block that holds something near."""

PART: Final = 256
"""Rows of a closer look in between."""

FAR: Final = 1 << 63
"""Set in the distance of a row that is left out: a bitmap's bit, shifted to where it is past any distance."""
SPARSE: Final = 16
"""Where no more than one row in so many is to be found, rows are read one by one."""
WARY: Final = 16
"""One false alarm in so many blocks is one too many: then rows left out are masked before each minimum."""

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "error_model": "numpy"}
LEAF: Final = _OPTIONS | {"_nrt": False}
"""For what allocates nothing and is called by kernels only: otherwise each slice of an array is counted in and
out by a locked instruction, which takes longer than the work on a lane does."""

Words = NDArray[np.uint64]


def _count_bits(_context: Any, _word: Any) -> Any:
    """Number of set bits of a uint64, by the CPU's own instruction."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


popcount: Any = intrinsic(_count_bits)


@njit(**LEAF)
def far_bit(left_out: Words, i: int) -> Any:
    """``FAR`` where bit ``i`` of a bitmap is set, else 0: no branch, so that loops stay vectors."""
    return (left_out[np.uint64(i) >> np.uint64(6)] << np.uint64(63 - (i & 63))) & np.uint64(FAR)


# The smallest distance of a stretch, without and with rows left out; the usual lengths take one pass.


@njit(**LEAF)
def _lowest_1(a: Words, p: np.uint64) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, popcount(a[i] ^ p))
    return least


@njit(**LEAF)
def _lowest_1_of(a: Words, p: np.uint64, left_out: Words) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, popcount(a[i] ^ p) | far_bit(left_out, i))
    return least


@njit(**LEAF)
def _lowest_2(a: Words, b: Words, p: np.uint64, q: np.uint64) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, popcount(a[i] ^ p) + popcount(b[i] ^ q))
    return least


@njit(**LEAF)
def _lowest_2_of(a: Words, b: Words, p: np.uint64, q: np.uint64, left_out: Words) -> Any:
    least = np.uint64(FAR)
    for i in range(len(a)):
        least = min(least, (popcount(a[i] ^ p) + popcount(b[i] ^ q)) | far_bit(left_out, i))
    return least


@njit(**LEAF)
def _lowest_4(a: Words, b: Words, c: Words, d: Words, query: Words) -> Any:
    p, q, r, s = query[0], query[1], query[2], query[3]
    least = np.uint64(FAR)
    for i in range(len(a)):
        near = popcount(a[i] ^ p) + popcount(b[i] ^ q)
        least = min(least, near + popcount(c[i] ^ r) + popcount(d[i] ^ s))
    return least


@njit(**LEAF)
def _lowest_4_of(a: Words, b: Words, c: Words, d: Words, query: Words, left_out: Words) -> Any:
    p, q, r, s = query[0], query[1], query[2], query[3]
    least = np.uint64(FAR)
    for i in range(len(a)):
        near = popcount(a[i] ^ p) + popcount(b[i] ^ q)
        least = min(least, (near + popcount(c[i] ^ r) + popcount(d[i] ^ s)) | far_bit(left_out, i))
    return least


@njit(**LEAF)
def _first_word(column: Words, query: np.uint64, out: Words) -> None:
    for i in range(len(column)):
        out[i] = popcount(column[i] ^ query)


@njit(**LEAF)
def _first_word_of(column: Words, query: np.uint64, left_out: Words, out: Words) -> None:
    for i in range(len(column)):
        out[i] = popcount(column[i] ^ query) | far_bit(left_out, i)


@njit(**LEAF)
def _add_word(column: Words, query: np.uint64, out: Words) -> None:
    for i in range(len(column)):
        out[i] += popcount(column[i] ^ query)


@njit(**LEAF)
def _smallest(distances: Words) -> Any:
    least = np.uint64(FAR)
    for i in range(len(distances)):
        least = min(least, distances[i])
    return least


@njit(**LEAF)
def lowest(
    columns: Words, start: int, stop: int, query: Words, left_out: Words, is_masked: bool, room: Words
) -> Any:
    """The smallest distance of rows ``start`` to ``stop``; arguments as for ``distances``."""
    words = len(query)
    # Slices first: an index that might be negative keeps the loops from being vectorised.
    a = columns[0, start:stop]
    if words == 1:
        return _lowest_1_of(a, query[0], left_out) if is_masked else _lowest_1(a, query[0])
    b = columns[1, start:stop]
    if words == 2:
        p, q = query[0], query[1]
        return _lowest_2_of(a, b, p, q, left_out) if is_masked else _lowest_2(a, b, p, q)
    if words == 4:
        c, d = columns[2, start:stop], columns[3, start:stop]
        return _lowest_4_of(a, b, c, d, query, left_out) if is_masked else _lowest_4(a, b, c, d, query)
    distances(columns, start, stop, query, left_out, is_masked, room)
    return _smallest(room[: stop - start])


@njit(**LEAF)
def distances(
    columns: Words, start: int, stop: int, query: Words, left_out: Words, is_masked: bool, out: Words
) -> None:
    """Distances of rows ``start`` to ``stop`` into ``out``.

    Args:
        columns: Codes, shape (words, capacity).
        start: First row.
        stop: Row behind the last.
        query: Shape (words,).
        left_out: Bitmap whose bit 0 is of row ``start``: rows whose distance is made ``FAR`` or more.
        is_masked: Whether to look at it.
        out: Shape (stop - start,) or more.
    """
    part = out[: stop - start]
    if is_masked:
        _first_word_of(columns[0, start:stop], query[0], left_out, part)
    else:
        _first_word(columns[0, start:stop], query[0], part)
    for w in range(1, len(query)):
        _add_word(columns[w, start:stop], query[w], part)


@njit(**LEAF)
def _leave_out(dead: Words, hidden: Words, start: int, stop: int, left_out: Words) -> Any:
    """The bitmaps of rows ``start``, a multiple of 64, to ``stop`` as one; how many rows are to be found."""
    first, words = start // LANE, (stop - start + LANE - 1) // LANE
    count = np.uint64(stop - start)
    for w in range(words):
        word = dead[np.uint64(first + w)] | hidden[np.uint64(first + w)]
        left_out[w] = word
        count -= popcount(word)
    rest = np.uint64((stop - start) % LANE)
    if rest != np.uint64(0):
        # Bits from ``stop`` on say nothing.
        count += popcount(left_out[words - 1] >> rest)
        left_out[words - 1] |= ~np.uint64(0) << rest
    return np.int64(count)


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
    left_out = np.empty(BLOCK // LANE, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    _scan(columns, first, count, dead, hidden, queries, k, left_out, room, near, rows, histograms, state)
    for j in range(many):
        found[j] = _by_distance(near[j], rows[j], state[j, 0], histograms[j], found_distances[j], found_rows[j])


@njit(**LEAF)
def _scan(
    columns: Words,
    first: int,
    count: int,
    dead: Words,
    hidden: Words,
    queries: Words,
    k: int,
    left_out: Words,
    room: Words,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histograms: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """Collect each query's candidates, block by block."""
    block = BLOCK if len(columns) == 1 else BLOCK // 2 if len(columns) <= 4 else BLOCK // 4
    for start in range(first, count, block):
        stop = min(start + block, count)
        allowed = _leave_out(dead, hidden, start, stop, left_out)
        if allowed * SPARSE <= stop - start:
            for j in range(len(queries)):
                masks = left_out[: (stop - start + LANE - 1) // LANE]
                _pick_out(columns, start, queries[j], k, masks, near[j], rows[j], histograms[j], state[j])
            continue
        is_mixed = allowed < stop - start
        for j in range(len(queries)):
            query, threshold = queries[j], np.uint64(state[j, 2])
            is_wary = is_mixed and state[j, 3] * block * WARY > start - first
            if lowest(columns, start, stop, query, left_out, is_wary, room) < threshold:
                _look_into(
                    columns,
                    start,
                    stop,
                    query,
                    k,
                    left_out,
                    is_mixed,
                    room,
                    near[j],
                    rows[j],
                    histograms[j],
                    state[j],
                )


@njit(**LEAF)
def _look_into(
    columns: Words,
    start: int,
    stop: int,
    query: Words,
    k: int,
    left_out: Words,
    is_masked: bool,
    room: Words,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """Take the rows of a block that are near enough among the candidates."""
    is_alarm_false = True
    for part in range(start, stop, PART):
        part_end = min(part + PART, stop)
        masks = left_out[(part - start) // LANE :]
        if lowest(columns, part, part_end, query, masks, is_masked, room) >= np.uint64(state[2]):
            continue
        is_alarm_false = False
        for lane in range(part, part_end, LANE):
            end = min(lane + LANE, part_end)
            masks = left_out[(lane - start) // LANE :]
            if lowest(columns, lane, end, query, masks, is_masked, room) < np.uint64(state[2]):
                distances(columns, lane, end, query, masks, is_masked, room)
                _take_lane(room[: end - lane], lane, k, near, rows, histogram, state)
    state[3] += is_alarm_false


@njit(**LEAF)
def _take_lane(
    lane: Words,
    first: int,
    k: int,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """Take the rows of a lane that are near enough: all are compared at once, then these looked at."""
    threshold = np.uint64(state[2])
    left = np.uint64(0)
    for i in range(len(lane)):
        left |= np.uint64(lane[i] < threshold) << np.uint64(i)
    while left != np.uint64(0):
        lower = left - np.uint64(1)
        place = np.int64(popcount(lower & ~left))
        left &= lower
        if lane[place] < np.uint64(state[2]):
            _take(np.int64(lane[place]), first + place, k, near, rows, histogram, state)


@njit(**LEAF)
def _pick_out(
    columns: Words,
    start: int,
    query: Words,
    k: int,
    left_out: Words,
    near: NDArray[np.int32],
    rows: NDArray[np.int64],
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """The same for a block of which few rows are to be found: they alone are read."""
    for word in range(len(left_out)):
        allowed = ~left_out[word]
        while allowed != np.uint64(0):
            lower = allowed - np.uint64(1)
            row = start + word * LANE + np.int64(popcount(lower & ~allowed))
            allowed &= lower
            distance = np.int64(0)
            for w in range(len(query)):
                distance += np.int64(popcount(columns[w, row] ^ query[w]))
            if distance < state[2]:
                _take(distance, row, k, near, rows, histogram, state)


@njit(**LEAF)
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


@njit(**LEAF)
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
) -> Any:
    """How many of rows ``first`` to ``count`` lie at exactly ``distance``; arguments as for ``nearest``."""
    left_out = np.empty(BLOCK // LANE, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    return _count(columns, first, count, dead, hidden, query, np.uint64(distance), left_out, room)


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
    room: Words,
) -> Any:
    total = 0
    for start in range(first, count, BLOCK):
        stop = min(start + BLOCK, count)
        # The distance asked for is mostly a small one, that of the last hit: few blocks hold anything so near.
        if lowest(columns, start, stop, query, left_out, False, room) <= wanted:
            _leave_out(dead, hidden, start, stop, left_out)
            distances(columns, start, stop, query, left_out, True, room)
            for i in range(stop - start):
                total += room[i] == wanted
    return total
