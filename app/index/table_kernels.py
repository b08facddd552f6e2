"""Numba kernels of multi-index hashing: fill tables of code parts, and search them bucket by bucket."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.domain.codes import MAX_BITS
from app.index.distance_kernels import LEAF, OPTIONS, popcount
from app.index.engine import LOOKUP, MAX_ROWS, ROW_BITS, Keys

ROWS_AT_ONCE: Final = 256
"""Rows from buckets that are compared together."""
ROW_MASK: Final = np.uint64(MAX_ROWS - 1)

Words = NDArray[np.uint64]
Parts = NDArray[np.int64]


@njit(**LEAF)
def part_of(columns: Words, row: int, part: Parts) -> Any:
    """The value of one part of a row's code; a part may span two words."""
    word, shift = part[0] >> 6, part[0] & 63
    value = columns[word, row] >> np.uint64(shift)
    if shift + part[1] > 64:
        value |= columns[word + 1, row] << np.uint64(64 - shift)
    return np.int64(value & ((np.uint64(1) << np.uint64(part[1])) - np.uint64(1)))


@njit(**OPTIONS)
def fill_table(columns: Words, part: Parts, ends: NDArray[np.uint32], rows: NDArray[np.uint32]) -> None:
    """Group rows by one part of their codes with a counting sort.

    Args:
        columns: Codes, shape (words, capacity).
        part: First bit and length.
        ends: Output, zeros before, shape (2^length + 2,); bucket b is ``ends[b]`` to ``ends[b + 1]``.
        rows: Output, shape (n,).
    """
    for row in range(len(rows)):
        ends[part_of(columns, row, part) + 2] += np.uint32(1)
    for bucket in range(2, len(ends)):
        ends[bucket] += ends[bucket - 1]
    for row in range(len(rows)):
        # Until a bucket is full, its future end is the place of its next row.
        bucket = part_of(columns, row, part) + 1
        rows[ends[bucket]] = row
        ends[bucket] += np.uint32(1)


@njit(**OPTIONS)
def nearest_by_tables(
    columns: Words,
    parts: Parts,
    ends: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    dead: Words,
    hidden: Words,
    query: Words,
    k: int,
    limit: int,
    price: int,
    trial: int,
    total: int,
    keys: Keys,
) -> Any:
    """Find the nearest rows, unordered, or give up so that the scan answers.

    Bucket sizes tell the cost of each step in advance. Steps are taken one by one while ``trial`` lasts. If it
    does not, but all steps that may still be needed fit into ``total``, these are taken.

    Args:
        columns: Codes, shape (words, capacity).
        parts: As in ``MultiIndex``.
        ends: As in ``MultiIndex``.
        rows: As in ``MultiIndex``.
        dead: Bitmap of deleted rows.
        hidden: Bitmap of excluded rows.
        query: Shape (words,).
        k: At least 1.
        limit: Largest distance, inclusive.
        price: Cost of a row in a bucket.
        trial: As in ``WorkBudget``.
        total: As in ``WorkBudget``.
        keys: Output; with room for every row, or for as many as ``trial`` and ``total`` can pay for.

    Returns:
        Number of keys found and the largest distance among the nearest; or -1 and the work spent.
    """
    m = len(parts)
    asked = np.empty(m, np.int64)
    single = query.reshape((len(query), 1))
    for j in range(m):
        asked[j] = part_of(single, np.int64(0), parts[j])
    histogram = np.zeros(MAX_BITS + 2, np.int64)
    # State: keys held; keys within the bound; the bound, inclusive, which is the k-th distance so far; work
    # done.
    state = np.array([0, 0, limit, 0])
    room = np.empty(ROWS_AT_ONCE, np.uint64)
    step = np.int64(0)
    while step <= state[2]:
        last = _affordable(parts, ends, asked, step, price, trial, total, state)
        if last < 0:
            return -1, state[3]
        while step <= min(last, state[2]):
            _take_step(
                columns,
                parts,
                ends,
                rows,
                dead,
                hidden,
                query,
                asked,
                step,
                room,
                k,
                keys,
                histogram,
                state,
            )
            step += 1
    return state[0], state[2]


@njit(**LEAF)
def _affordable(
    parts: Parts,
    ends: NDArray[np.uint32],
    asked: Parts,
    step: int,
    price: int,
    trial: int,
    total: int,
    state: NDArray[np.int64],
) -> Any:
    """Pay for this step, or for all that may still be needed; return the last paid step, or -1."""
    lookups = _lookups(parts, step, step, (trial - state[3]) // LOOKUP)
    if lookups < 0:
        return -1
    cost = _candidates(parts, ends, asked, step, step) * price
    state[3] += lookups * LOOKUP
    if state[3] + cost <= trial:
        state[3] += cost
        return step
    last = state[2]
    lookups = _lookups(parts, step + 1, last, (trial - state[3]) // LOOKUP)
    if lookups < 0:
        return -1
    cost += _candidates(parts, ends, asked, step + 1, last) * price
    state[3] += lookups * LOOKUP
    if state[3] + cost > total:
        return -1
    state[3] += cost
    return last


@njit(**LEAF)
def _choose(n: int, r: int) -> Any:
    """Binomial coefficient: ways to choose r of n."""
    ways = 1 if r <= n else 0
    for i in range(min(r, n)):
        ways = ways * (n - i) // (i + 1)
    return ways


@njit(**LEAF)
def _lookups(parts: Parts, step: int, last: int, most: int) -> Any:
    """Number of buckets in steps ``step`` to ``last``, or -1 if it exceeds ``most``."""
    count = 0
    for t in range(step, last + 1):
        count += _choose(parts[t % len(parts), 1], t // len(parts))
        if count > most:
            return -1
    return count


@njit(**LEAF)
def next_mask(mask: int) -> Any:
    """The next larger number with the same number of set bits (Gosper's hack)."""
    low = mask & -mask
    ripple = mask + low
    return ripple | ((mask ^ ripple) >> (np.int64(popcount(np.uint64(low - 1))) + 2))


@njit(**LEAF)
def _candidates(parts: Parts, ends: NDArray[np.uint32], asked: Parts, step: int, last: int) -> Any:
    """Number of rows in the buckets of steps ``step`` to ``last``."""
    total = np.int64(0)
    for t in range(step, last + 1):
        j, r = t % len(parts), t // len(parts)
        length, place = parts[j, 1], parts[j, 2]
        mask = (1 << r) - 1
        while mask < 1 << length:
            bucket = place + (asked[j] ^ mask)
            total += np.int64(ends[bucket + 1]) - np.int64(ends[bucket])
            if mask == 0:
                break
            mask = next_mask(mask)
    return total


@njit(**LEAF)
def _take_step(
    columns: Words,
    parts: Parts,
    ends: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    dead: Words,
    hidden: Words,
    query: Words,
    asked: Parts,
    step: int,
    room: Keys,
    k: int,
    keys: Keys,
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """Compare every row in the buckets of one step."""
    j, r = step % len(parts), step // len(parts)
    length, place = parts[j, 1], parts[j, 2]
    mask, held = (1 << r) - 1, 0
    while mask < 1 << length:
        bucket = place + (asked[j] ^ mask)
        start, stop = np.int64(ends[bucket]), np.int64(ends[bucket + 1])
        for i in range(start, stop):
            room[held] = rows[j, i]
            held += 1
            if held == ROWS_AT_ONCE:
                _compare_rows(columns, parts, dead, hidden, query, asked, j, r, room, k, keys, histogram, state)
                held = 0
        if mask == 0:
            break
        mask = next_mask(mask)
    _compare_rows(columns, parts, dead, hidden, query, asked, j, r, room[:held], k, keys, histogram, state)


@njit(**LEAF)
def _compare_rows(
    columns: Words,
    parts: Parts,
    dead: Words,
    hidden: Words,
    query: Words,
    asked: Parts,
    j: int,
    r: int,
    room: Keys,
    k: int,
    keys: Keys,
    histogram: NDArray[np.int64],
    state: NDArray[np.int64],
) -> None:
    """Compare rows from buckets word by word, dropping those that are already too far.

    Each read is at a random address; several run at once, since none depends on another.
    """
    held, bound = len(room), np.uint64(state[2] + 1) << np.uint64(ROW_BITS)
    for w in range(len(query)):
        column, word, kept = columns[w], query[w], 0
        for i in range(held):
            key = room[i]
            key += popcount(column[key & ROW_MASK] ^ word) << np.uint64(ROW_BITS)
            room[kept] = key
            kept += key < bound
        held = kept
    for i in range(held):
        row, distance = np.int64(room[i] & ROW_MASK), np.int64(room[i] >> np.uint64(ROW_BITS))
        if distance <= state[2] and is_in(dead, hidden, row) and _is_new(columns, row, parts, asked, j, r):
            _keep(room[i], distance, k, keys, histogram, state)


@njit(**LEAF)
def is_in(dead: Words, hidden: Words, row: int) -> Any:
    """Whether a row is neither deleted nor excluded."""
    word = dead[row >> 6] | hidden[row >> 6]
    return (word >> np.uint64(row & 63)) & np.uint64(1) == np.uint64(0)


@njit(**LEAF)
def _is_new(columns: Words, row: int, parts: Parts, asked: Parts, j: int, r: int) -> Any:
    """Whether no earlier step found this row; its code shows it, so no visited set is needed."""
    for i in range(len(parts)):
        if i != j:
            apart = popcount(np.uint64(part_of(columns, row, parts[i]) ^ asked[i]))
            if np.int64(apart) < r + (i < j):
                return False
    return True


@njit(**LEAF)
def _keep(
    key: np.uint64, distance: int, k: int, keys: Keys, histogram: NDArray[np.int64], state: NDArray[np.int64]
) -> None:
    """Keep a row; once there are k, lower the bound to the k-th distance. Ties stay, as any may rank first."""
    keys[state[0]] = key
    state[0] += 1
    state[1] += 1
    histogram[distance] += 1
    while state[1] - histogram[state[2]] >= k:
        state[1] -= histogram[state[2]]
        state[2] -= 1
