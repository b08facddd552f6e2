"""Numba kernels that compute Hamming distances between a query and a range of packed codes.

Codes are stored with one row of ``columns`` per word, shape (words, capacity) uint64, so that a scan reads
memory sequentially. Rows are processed in lanes of 64, the number of bits in a bitmap word; a lane is reduced
to its smallest distance in the widest registers of the CPU.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

LANE: Final = 64
"""Rows per bitmap word."""
BLOCK: Final = 1024
"""Rows compared at a time: 8 KiB per word of code, which stay in the first-level cache for the next query."""
FAR: Final = 1 << 63
"""Bit set in the distance of an excluded row, above any possible distance."""
NONE: Final = (1 << 16) - 1
"""Minimum of a lane whose rows are all excluded."""

OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "error_model": "numpy"}
LEAF: Final = OPTIONS | {"_nrt": False}  # a private option of numba, whose version pyproject.toml caps
"""For what allocates nothing and is called by kernels only: otherwise each slice of an array is counted in and
out by a locked instruction, which takes longer than the work on a lane does."""

Words = NDArray[np.uint64]
Minima = NDArray[np.uint16]
"""Minimum of each lane, in two bytes, so that those of a batch fit into the cache beside the codes."""


def _count_bits(_context: Any, _word: Any) -> Any:
    """Number of set bits of a uint64, by the CPU instruction."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


popcount: Any = intrinsic(_count_bits)


@njit(**LEAF)
def far_bit(word: np.uint64, i: int) -> Any:
    """``FAR`` if bit ``i`` of a bitmap word is set, else 0; branch-free, so that loops vectorise."""
    return (word << np.uint64(63 - i)) & np.uint64(FAR)


# Minimum of each whole lane, without and with a mask of excluded rows; the common code lengths take one pass.
# Slices are taken first, because an index that might be negative prevents vectorisation.


@njit(**LEAF)
def _minima_1(a: Words, p: np.uint64, out: Minima) -> None:
    for lane in range(len(out)):
        rows = a[lane * LANE : lane * LANE + LANE]
        least = np.uint64(FAR)
        for i in range(LANE):
            least = min(least, popcount(rows[i] ^ p))
        out[lane] = min(least, np.uint64(NONE))


@njit(**LEAF)
def _minima_1_of(a: Words, p: np.uint64, left_out: Words, out: Minima) -> None:
    for lane in range(len(out)):
        rows, masks = a[lane * LANE : lane * LANE + LANE], left_out[lane]
        least = np.uint64(FAR)
        for i in range(LANE):
            least = min(least, popcount(rows[i] ^ p) | far_bit(masks, i))
        out[lane] = min(least, np.uint64(NONE))


@njit(**LEAF)
def _minima_2(a: Words, b: Words, p: np.uint64, q: np.uint64, out: Minima) -> None:
    for lane in range(len(out)):
        start, stop = lane * LANE, lane * LANE + LANE
        first, second = a[start:stop], b[start:stop]
        least = np.uint64(FAR)
        for i in range(LANE):
            least = min(least, popcount(first[i] ^ p) + popcount(second[i] ^ q))
        out[lane] = min(least, np.uint64(NONE))


@njit(**LEAF)
def _minima_2_of(a: Words, b: Words, p: np.uint64, q: np.uint64, left_out: Words, out: Minima) -> None:
    for lane in range(len(out)):
        start, stop = lane * LANE, lane * LANE + LANE
        first, second, masks = a[start:stop], b[start:stop], left_out[lane]
        least = np.uint64(FAR)
        for i in range(LANE):
            least = min(least, (popcount(first[i] ^ p) + popcount(second[i] ^ q)) | far_bit(masks, i))
        out[lane] = min(least, np.uint64(NONE))


@njit(**LEAF)
def _minima_4(a: Words, b: Words, c: Words, d: Words, query: Words, out: Minima) -> None:
    p, q, r, s = query[0], query[1], query[2], query[3]
    for lane in range(len(out)):
        start, stop = lane * LANE, lane * LANE + LANE
        first, second, third, fourth = a[start:stop], b[start:stop], c[start:stop], d[start:stop]
        least = np.uint64(FAR)
        for i in range(LANE):
            near = popcount(first[i] ^ p) + popcount(second[i] ^ q)
            least = min(least, near + popcount(third[i] ^ r) + popcount(fourth[i] ^ s))
        out[lane] = min(least, np.uint64(NONE))


@njit(**LEAF)
def _minima_4_of(a: Words, b: Words, c: Words, d: Words, query: Words, left_out: Words, out: Minima) -> None:
    p, q, r, s = query[0], query[1], query[2], query[3]
    for lane in range(len(out)):
        start, stop = lane * LANE, lane * LANE + LANE
        first, second, third, fourth = a[start:stop], b[start:stop], c[start:stop], d[start:stop]
        masks = left_out[lane]
        least = np.uint64(FAR)
        for i in range(LANE):
            near = popcount(first[i] ^ p) + popcount(second[i] ^ q)
            near += popcount(third[i] ^ r) + popcount(fourth[i] ^ s)
            least = min(least, near | far_bit(masks, i))
        out[lane] = min(least, np.uint64(NONE))


@njit(**LEAF)
def lane_minima(
    columns: Words,
    start: int,
    stop: int,
    query: Words,
    left_out: Words,
    is_masked: bool,
    room: Words,
    out: Minima,
) -> None:
    """Compute the minimum of each lane of rows ``start`` to ``stop``; the last lane may be short.

    Args:
        columns: Codes, shape (words, capacity).
        start: First row.
        stop: End of the rows, exclusive.
        query: Shape (words,).
        left_out: Bitmap of excluded rows, whose bit 0 belongs to row ``start``.
        is_masked: Whether to apply the bitmap.
        room: Scratch space, shape (stop - start,) or more.
        out: Output, shape (lanes,) or more; ``NONE`` for a lane whose rows are all excluded.
    """
    words, whole = len(query), (stop - start) // LANE
    minima = out[:whole]
    a = columns[0, start:stop]
    if words == 1:
        if is_masked:
            _minima_1_of(a, query[0], left_out, minima)
        else:
            _minima_1(a, query[0], minima)
    elif words == 2:
        b = columns[1, start:stop]
        if is_masked:
            _minima_2_of(a, b, query[0], query[1], left_out, minima)
        else:
            _minima_2(a, b, query[0], query[1], minima)
    elif words == 4:
        b, c, d = columns[1, start:stop], columns[2, start:stop], columns[3, start:stop]
        if is_masked:
            _minima_4_of(a, b, c, d, query, left_out, minima)
        else:
            _minima_4(a, b, c, d, query, minima)
    else:
        distances(columns, start, stop, query, left_out, is_masked, room)
        for lane in range(whole):
            out[lane] = _smallest(room[lane * LANE : lane * LANE + LANE])
    rest = start + whole * LANE
    if rest < stop:
        distances(columns, rest, stop, query, left_out[whole:], is_masked, room)
        out[whole] = _smallest(room[: stop - rest])


@njit(**LEAF)
def _smallest(distances: Words) -> Any:
    least = np.uint64(NONE)
    for i in range(len(distances)):
        least = min(least, distances[i])
    return least


@njit(**LEAF)
def sparse_minima(columns: Words, start: int, query: Words, left_out: Words, out: Minima) -> None:
    """Like ``lane_minima`` when few rows can be found: reads only those."""
    for lane in range(len(left_out)):
        allowed = ~left_out[lane]
        least = np.uint64(FAR)
        while allowed != np.uint64(0):
            lower = allowed - np.uint64(1)
            row = start + lane * LANE + np.int64(popcount(lower & ~allowed))
            allowed &= lower
            near = np.uint64(0)
            for w in range(len(query)):
                near += popcount(columns[w, row] ^ query[w])
            least = min(least, near)
        out[lane] = min(least, np.uint64(NONE))


@njit(**LEAF)
def _first_word(column: Words, query: np.uint64, out: Words) -> None:
    for i in range(len(column)):
        out[i] = popcount(column[i] ^ query)


@njit(**LEAF)
def _add_word(column: Words, query: np.uint64, out: Words) -> None:
    for i in range(len(column)):
        out[i] += popcount(column[i] ^ query)


@njit(**LEAF)
def _mask(left_out: Words, out: Words) -> None:
    for lane in range((len(out) + LANE - 1) // LANE):
        masks, part = left_out[lane], out[lane * LANE : lane * LANE + LANE]
        for i in range(len(part)):
            part[i] |= far_bit(masks, i)


@njit(**LEAF)
def distances(
    columns: Words, start: int, stop: int, query: Words, left_out: Words, is_masked: bool, out: Words
) -> None:
    """Compute the distances of rows ``start`` to ``stop``; arguments as for ``lane_minima``.

    Excluded rows get ``FAR`` or more.
    """
    part = out[: stop - start]
    _first_word(columns[0, start:stop], query[0], part)
    for w in range(1, len(query)):
        _add_word(columns[w, start:stop], query[w], part)
    if is_masked:
        _mask(left_out, part)
