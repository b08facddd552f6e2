"""Numba kernel of the weighted scan: find the rows whose bits contradict a query's weights least.

The cost of a row is a sum of integers, one for each of its bits that contradicts the query. A table holds the
costs of all 256 values of each byte of a code, so a row takes one look-up a byte, and sums are exact in any
order. A query may have several parts, of which a row should satisfy one: its cost is the soft minimum of their
costs, ``-t log(sum(exp(-cost / t)))``, computed in integers from a table of ``t log(1 + exp(-d / t))``. The
costs of four parts are added at once, as 16-bit lanes of 64-bit integers.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import LANE, LEAF, OPTIONS, Words, popcount

BLOCK: Final = 1024
"""Rows compared with one query before the next query's tables replace its own in the cache."""
SPARSE: Final = 8
"""If at most this many rows of a lane can be found, they are read individually."""
ROW_BITS: Final = 40
"""Low bits of a candidate's key, which hold its row; the cost is above them."""
SPARE: Final = 256
"""Candidates held beyond ``k`` before the farthest are dropped, at least."""

PARTS_PACKED: Final = 4
"""Parts whose costs are the lanes of one 64-bit integer."""

Tables = NDArray[np.int16]
Packed = NDArray[np.uint64]
Costs = NDArray[np.int32]


@njit(**OPTIONS)
def least_cost(
    columns: Words,
    first: int,
    count: int,
    dead: Words,
    hidden: Words,
    tables: Tables,
    packed: Packed,
    places: NDArray[np.int64],
    ends: NDArray[np.int64],
    offsets: NDArray[np.int64],
    soft: Costs,
    shifts: NDArray[np.int64],
    reductions: NDArray[np.int64],
    k: int,
    limits: NDArray[np.int64],
    signs: Words,
    radius: int,
    found_costs: Costs,
    found_rows: NDArray[np.int64],
    found: NDArray[np.int64],
) -> None:
    """Find the ``k`` rows of least cost among rows ``first`` to ``count``, ordered by (cost, row).

    Args:
        columns: Codes, shape (words, capacity).
        first: First row to search, a multiple of 64.
        count: End of the rows to search, exclusive.
        dead: Bitmap of deleted rows; bits from ``count`` on are ignored.
        hidden: Bitmap of rows that the filter excludes; ``dead`` itself without a filter.
        tables: Cost of each value of each byte for each query of one part, shape (queries, 8 * words, 256).
        packed: The same for four parts of a query of several, in 16-bit lanes, the first part lowest; shape
            (groups, 8 * words, 256). No cost of a part exceeds 65,535.
        places: Where each query's first table is, in ``tables`` or ``packed``, shape (q,).
        ends: End of each query's parts in ``offsets``, shape (q,).
        offsets: Added to the cost of each part, shape (parts,).
        soft: For each query, what the soft minimum of two costs is below the smaller, by their difference in
            steps, shape (q, levels); 0 beyond.
        shifts: Binary logarithm of that step for each query, shape (q,).
        reductions: Most that the soft minimum of all parts is below their minimum, for each query, shape (q,).
        k: At least 1.
        limits: Largest cost of each query, inclusive, shape (q,).
        signs: The code that has no cost, shape (q, words).
        radius: Largest Hamming distance from ``signs``, inclusive.
        found_costs: Output, shape (q, k).
        found_rows: Output, shape (q, k).
        found: Output, number of rows found for each query, shape (q,).
    """
    many = len(ends)
    capacity = min(2 * k + SPARE, count - first + 1)
    keys = np.empty((many, capacity), np.int64)
    held = np.zeros(many, np.int64)
    bounds = limits + 1
    room = np.empty(LANE, np.int32)
    sums = np.empty((_most_groups(ends), LANE), np.uint64)
    for block in range(first, count, BLOCK):
        end = min(block + BLOCK, count)
        for j in range(many):
            part = np.int64(0) if j == 0 else ends[j - 1]
            parts = ends[j] - part
            for start in range(block, end, LANE):
                size = min(LANE, end - start)
                allowed = ~(dead[start // LANE] | hidden[start // LANE])
                if size < LANE:
                    allowed &= (np.uint64(1) << np.uint64(size)) - np.uint64(1)
                if parts == 1:
                    _lane_costs(columns, start, size, allowed, tables[places[j]], offsets[part], room)
                else:
                    for g in range((parts + PARTS_PACKED - 1) // PARTS_PACKED):
                        _lane_sums(columns, start, size, allowed, packed[places[j] + g], sums[g])
                    of_parts = offsets[part : ends[j]]
                    _least_of_parts(sums, of_parts, room)
                    close = _below(room[:size], bounds[j] + reductions[j]) & allowed
                    _combine_close(sums, of_parts, soft[j], shifts[j], close, room)
                near = _below(room[:size], bounds[j]) & allowed
                if near != np.uint64(0):
                    held[j] = _add_rows(
                        columns, start, near, room, k, signs[j], radius, keys[j], held[j], bounds[j:]
                    )
    for j in range(many):
        ordered = np.sort(keys[j, : held[j]])
        found[j] = min(k, held[j])
        for i in range(found[j]):
            found_costs[j, i] = ordered[i] >> ROW_BITS
            found_rows[j, i] = ordered[i] & ((np.int64(1) << ROW_BITS) - 1)


@njit(**OPTIONS)
def _add_rows(
    columns: Words,
    start: int,
    near: np.uint64,
    costs: Costs,
    k: int,
    code: Words,
    radius: int,
    keys: NDArray[np.int64],
    held: int,
    bound: NDArray[np.int64],
) -> int:
    """Add rows of a lane to the candidates; when there is no room, keep the first ``k`` and lower the bound.

    Rows come in order, so a later row of equal cost ranks behind and is not needed.

    Returns:
        Number of candidates held.
    """
    while near != np.uint64(0):
        lower = near - np.uint64(1)
        place = np.int64(popcount(lower & ~near))
        near &= lower
        # The bound may have fallen since the lane was compared.
        if np.int64(costs[place]) < bound[0] and _distance(columns, start + place, code) <= radius:
            keys[held] = (np.int64(costs[place]) << ROW_BITS) | (start + place)
            held += 1
            if held == len(keys):
                keys[:] = np.partition(keys, k - 1)
                held = k
                bound[0] = keys[k - 1] >> ROW_BITS
    return held


@njit(**LEAF)
def _lane_costs(
    columns: Words, start: int, size: int, allowed: np.uint64, tables: Tables, offset: int, out: Costs
) -> None:
    """Compute the costs of rows ``start`` to ``start + size``; if few are ``allowed``, only of those."""
    if popcount(allowed) <= np.uint64(SPARSE):
        while allowed != np.uint64(0):
            lower = allowed - np.uint64(1)
            place = np.int64(popcount(lower & ~allowed))
            allowed &= lower
            out[place] = offset + _row_cost(columns, start + place, tables)
        return
    low = np.uint64(255)
    for w in range(len(columns)):
        rows = columns[w, start : start + size]
        a, b, c, d = tables[8 * w], tables[8 * w + 1], tables[8 * w + 2], tables[8 * w + 3]
        e, f, g, h = tables[8 * w + 4], tables[8 * w + 5], tables[8 * w + 6], tables[8 * w + 7]
        for i in range(size):
            word = rows[i]
            cost = np.int32(a[word & low])
            cost += b[(word >> np.uint64(8)) & low]
            cost += c[(word >> np.uint64(16)) & low]
            cost += d[(word >> np.uint64(24)) & low]
            cost += e[(word >> np.uint64(32)) & low]
            cost += f[(word >> np.uint64(40)) & low]
            cost += g[(word >> np.uint64(48)) & low]
            cost += h[word >> np.uint64(56)]
            if w == 0:
                out[i] = cost + np.int32(offset)
            else:
                out[i] += cost


@njit(**LEAF)
def _most_groups(ends: NDArray[np.int64]) -> int:
    """Return the most groups of packed parts that a query has."""
    most, start = 0, 0
    for end in ends:
        most = max(most, (end - start + PARTS_PACKED - 1) // PARTS_PACKED)
        start = end
    return most


@njit(**LEAF)
def _lane_sums(columns: Words, start: int, size: int, allowed: np.uint64, tables: Packed, out: Words) -> None:
    """Add the packed costs of rows ``start`` to ``start + size``; if few are ``allowed``, only of those."""
    low = np.uint64(255)
    if popcount(allowed) <= np.uint64(SPARSE):
        while allowed != np.uint64(0):
            lower = allowed - np.uint64(1)
            place = np.int64(popcount(lower & ~allowed))
            allowed &= lower
            total = np.uint64(0)
            for w in range(len(columns)):
                word = columns[w, start + place]
                for octet in range(8):
                    total += tables[8 * w + octet, (word >> np.uint64(8 * octet)) & low]
            out[place] = total
        return
    for w in range(len(columns)):
        rows = columns[w, start : start + size]
        a, b, c, d = tables[8 * w], tables[8 * w + 1], tables[8 * w + 2], tables[8 * w + 3]
        e, f, g, h = tables[8 * w + 4], tables[8 * w + 5], tables[8 * w + 6], tables[8 * w + 7]
        for i in range(size):
            word = rows[i]
            total = a[word & low] + b[(word >> np.uint64(8)) & low]
            total += c[(word >> np.uint64(16)) & low] + d[(word >> np.uint64(24)) & low]
            total += e[(word >> np.uint64(32)) & low] + f[(word >> np.uint64(40)) & low]
            total += g[(word >> np.uint64(48)) & low] + h[word >> np.uint64(56)]
            if w == 0:
                out[i] = total
            else:
                out[i] += total


@njit(**LEAF)
def _least_of_parts(sums: Packed, offsets: NDArray[np.int64], out: Costs) -> None:
    """Unpack the cost of each row under each part, and keep the least."""
    for p in range(len(offsets)):
        packed, shift = sums[p // PARTS_PACKED], np.uint64(16 * (p % PARTS_PACKED))
        offset = np.int32(offsets[p])
        for i in range(LANE):
            cost = np.int32((packed[i] >> shift) & np.uint64(0xFFFF)) + offset
            out[i] = cost if p == 0 else min(out[i], cost)


@njit(**LEAF)
def _combine_close(
    sums: Packed, offsets: NDArray[np.int64], soft: Costs, shift: int, close: np.uint64, out: Costs
) -> None:
    """Compute the soft minimum of the parts' costs for the rows in the bitmap ``close``."""
    while close != np.uint64(0):
        lower = close - np.uint64(1)
        i = np.int64(popcount(lower & ~close))
        close &= lower
        total = np.int64(sums[0, i] & np.uint64(0xFFFF)) + offsets[0]
        for p in range(1, len(offsets)):
            lane = sums[p // PARTS_PACKED, i] >> np.uint64(16 * (p % PARTS_PACKED))
            cost = np.int64(lane & np.uint64(0xFFFF)) + offsets[p]
            level = abs(total - cost) >> shift
            total = min(total, cost)
            if level < len(soft):
                total -= np.int64(soft[level])
        out[i] = total


@njit(**LEAF)
def _row_cost(columns: Words, row: int, tables: Tables) -> Any:
    """Compute the cost of one row."""
    cost = np.int64(0)
    for w in range(len(columns)):
        word = columns[w, row]
        for octet in range(8):
            cost += tables[8 * w + octet, (word >> np.uint64(8 * octet)) & np.uint64(255)]
    return cost


@njit(**LEAF)
def _below(costs: Costs, bound: int) -> Any:
    """Return a bitmap of the costs below ``bound``; branch-free, as matches are rare."""
    found = np.uint64(0)
    for i in range(len(costs)):
        found |= np.uint64(costs[i] < bound) << np.uint64(i)
    return found


@njit(**LEAF)
def _distance(columns: Words, row: int, code: Words) -> Any:
    """Compute the Hamming distance of one row to a code."""
    distance = np.uint64(0)
    for w in range(len(code)):
        distance += popcount(columns[w, row] ^ code[w])
    return np.int64(distance)
