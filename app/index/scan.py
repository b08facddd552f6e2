"""The exhaustive scan: compare every row of a matrix, with several threads if there are millions."""

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
"""Words of codes per thread: for less than a millisecond of work, waking a thread costs more than it saves."""

_Found = TypeVar("_Found")


class ScanThreads:
    """A pool of threads that scan ranges of rows together with the calling thread."""

    def __init__(self, threads: int) -> None:
        """Allow up to ``threads`` threads per scan, including the caller."""
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, "scan") if threads > 1 else None

    def threads_for(self, rows: int, words: int) -> int:
        """Number of threads for a scan of ``rows`` rows of ``words`` words."""
        return max(1, min(self.threads, rows * words // THREADS_FROM))

    def map_ranges(
        self, work: Callable[[int, int], _Found], first: int, count: int, words: int
    ) -> list[_Found]:
        """Run ``work`` on consecutive ranges of rows ``first`` to ``count``; return the results in order."""
        threads = self.threads_for(count - first, words)
        if self._pool is None or threads == 1:
            return [work(first, count)]
        step = -(-(count - first) // threads // LANE) * LANE
        starts = range(first, count, step)
        others = [self._pool.submit(work, start, min(start + step, count)) for start in starts[1:]]
        return [work(first, min(first + step, count)), *(other.result() for other in others)]


SINGLE_THREAD: Final = ScanThreads(1)


def scan(
    matrix: CodeMatrix,
    queries: Codes,
    k: int,
    limits: NDArray[np.int64],
    hidden: Bitmap,
    *,
    first: int = 0,
    threads: ScanThreads = SINGLE_THREAD,
) -> list[Neighbours]:
    """Find the nearest rows to each query, exactly.

    Args:
        matrix: The matrix to search.
        queries: Codes, shape (q, words).
        k: Number of rows to return for each query.
        limits: Largest distance of each query, inclusive, shape (q,).
        hidden: Bitmap of rows that the filter excludes; ``matrix.dead`` without a filter.
        first: First row to compare, a multiple of 64.
        threads: Threads to use.
    """
    most = min(k, matrix.count - first)
    if most <= 0:
        return [no_neighbours() for _ in queries]
    if threads.threads == 1:
        return _scan_range(matrix, queries, most, limits, hidden, first, matrix.count)

    def one_range(start: int, stop: int) -> list[Neighbours]:
        return _scan_range(matrix, queries, most, limits, hidden, start, stop)

    best, *others = threads.map_ranges(one_range, first, matrix.count, len(matrix.columns))
    for part in others:
        best = [merge_neighbours(a, b, k) for a, b in zip(best, part, strict=True)]
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
    threads: ScanThreads = SINGLE_THREAD,
) -> int:
    """How many rows from ``first`` on lie at exactly ``distance`` from ``query``, shape (words,)."""

    def one_range(start: int, stop: int) -> int:
        return int(count_at_distance(matrix.columns, start, stop, matrix.dead, hidden, query, distance))

    return sum(threads.map_ranges(one_range, first, matrix.count, len(matrix.columns)))


def no_neighbours() -> Neighbours:
    """An empty answer."""
    return Neighbours(np.empty(0, np.int64), np.empty(0, np.int32))


def merge_neighbours(a: Neighbours, b: Neighbours, k: int) -> Neighbours:
    """Merge two answers and keep the nearest ``k``."""
    if not len(a.numbers) or not len(b.numbers):
        return b if len(b.numbers) else a
    numbers = np.concatenate([a.numbers, b.numbers])
    distances = np.concatenate([a.distances, b.distances])
    order = np.lexsort((numbers, distances))[:k]
    return Neighbours(numbers[order], distances[order])
