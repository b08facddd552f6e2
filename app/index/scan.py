"""The scan: every row of a matrix is compared, by one thread or, where there are millions, by several."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.index.bitmap import Bitmap
from app.index.distance_kernels import LANE
from app.index.matrix import CodeMatrix, Codes, Neighbours
from app.index.scan_kernels import count_at_distance, nearest

THREADS_FROM: Final = 1 << 21
"""Words of codes for each thread: below a millisecond of work, waking another costs more than it saves."""

_Found = TypeVar("_Found")


class ScanThreads:
    """Threads that scan ranges of rows beside the one that asks."""

    def __init__(self, threads: int) -> None:
        """Allow ``threads`` for one scan, the asking one among them."""
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, "scan") if threads > 1 else None

    def for_rows(self, rows: int, words: int) -> int:
        """How many threads scan so many rows of so many words."""
        return max(1, min(self.threads, rows * words // THREADS_FROM))

    def over(self, work: Callable[[int, int], _Found], first: int, count: int, words: int) -> list[_Found]:
        """What ``work`` finds in each of the ranges that rows ``first`` to ``count`` are cut into, in order."""
        threads = self.for_rows(count - first, words)
        if self._pool is None or threads == 1:
            return [work(first, count)]
        step = -(-(count - first) // threads // LANE) * LANE
        starts = range(first, count, step)
        others = [self._pool.submit(work, start, min(start + step, count)) for start in starts[1:]]
        return [work(first, min(first + step, count)), *(other.result() for other in others)]


ALONE: Final = ScanThreads(1)


def scan(
    matrix: CodeMatrix,
    queries: Codes,
    k: int,
    limits: NDArray[np.int64],
    hidden: Bitmap,
    *,
    first: int = 0,
    threads: ScanThreads = ALONE,
) -> list[Neighbours]:
    """The nearest rows to each query, exact.

    Args:
        matrix: What to search.
        queries: Codes, shape (q, words).
        k: How many for each.
        limits: Largest distance, inclusive, for each, shape (q,).
        hidden: Bitmap of rows that a filter leaves out; the matrix's ``dead`` where there is no filter.
        first: First row to look at, a multiple of 64.
        threads: Who looks.
    """
    most = min(k, matrix.count - first)
    if most <= 0:
        return [nothing() for _ in queries]
    if threads.threads == 1:
        return _scan_range(matrix, queries, most, limits, hidden, first, matrix.count)

    def one_range(start: int, stop: int) -> list[Neighbours]:
        return _scan_range(matrix, queries, most, limits, hidden, start, stop)

    best, *others = threads.over(one_range, first, matrix.count, len(matrix.columns))
    for part in others:
        best = [nearer(a, b, k) for a, b in zip(best, part, strict=True)]
    return best


def _scan_range(
    matrix: CodeMatrix,
    queries: Codes,
    k: int,
    limits: NDArray[np.int64],
    hidden: Bitmap,
    start: int,
    stop: int,
) -> list[Neighbours]:
    many, numbers = len(queries), matrix.numbers
    distances = np.empty((many, k), np.int32)
    rows = np.empty((many, k), np.int64)
    found = np.empty(many, np.int64)
    nearest(matrix.columns, start, stop, matrix.dead, hidden, queries, k, limits, distances, rows, found)
    return [Neighbours(numbers[rows[j, :n]], distances[j, :n]) for j, n in enumerate(found.tolist())]


def scan_count_at(
    matrix: CodeMatrix,
    query: Codes,
    distance: int,
    hidden: Bitmap,
    *,
    first: int = 0,
    threads: ScanThreads = ALONE,
) -> int:
    """How many rows from ``first`` on lie at exactly ``distance`` from ``query``, shape (words,)."""

    def one_range(start: int, stop: int) -> int:
        return int(count_at_distance(matrix.columns, start, stop, matrix.dead, hidden, query, distance))

    return sum(threads.over(one_range, first, matrix.count, len(matrix.columns)))


def nothing() -> Neighbours:
    """No pictures."""
    return Neighbours(np.empty(0, np.int64), np.empty(0, np.int32))


def nearer(a: Neighbours, b: Neighbours, k: int) -> Neighbours:
    """The nearest ``k`` of both."""
    if not len(a.numbers) or not len(b.numbers):
        return b if len(b.numbers) else a
    numbers = np.concatenate([a.numbers, b.numbers])
    distances = np.concatenate([a.distances, b.distances])
    order = np.lexsort((numbers, distances))[:k]
    return Neighbours(numbers[order], distances[order])
