"""Searches with several codes at once: orientations of one picture, or positive and negative examples."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import BLOCK, OPTIONS, distances
from app.index.matrix import CodeMatrix, Neighbours


class SearchedMatrices(Protocol):
    """The part of a local view that these searches read."""

    @property
    def parts(self) -> Sequence[CodeMatrix]:
        """Its matrices."""

    def search_many(
        self, queries: NDArray[np.uint64], k: int, *, radius: int | None = None, filter_key: str | None = None
    ) -> list[Neighbours]:
        """Search with several codes."""

    def count_at(self, query: NDArray[np.uint64], distance: int, *, filter_key: str | None = None) -> int:
        """Count the pictures at exactly this distance."""


def search_nearest_of(
    view: SearchedMatrices,
    queries: NDArray[np.uint64],
    k: int,
    *,
    radius: int | None = None,
    filter_key: str | None = None,
) -> Neighbours:
    """Find the ``k`` pictures whose distance to the nearest of ``queries`` is smallest.

    Args:
        view: The state to search.
        queries: Codes of one picture in several orientations, shape (q, words), at least one.
        k: Number of pictures to return.
        radius: Largest distance, inclusive.
        filter_key: Key of a kept filter.
    """
    if len(queries) == 1:
        return view.search_many(queries, k, radius=radius, filter_key=filter_key)[0]
    # A picture among the k nearest overall is also among the k nearest to its own nearest query.
    found = view.search_many(queries, k, radius=radius, filter_key=filter_key)
    numbers = np.concatenate([part.numbers for part in found])
    nearness = np.concatenate([part.distances for part in found])
    order = np.lexsort((nearness, numbers))
    numbers, nearness = numbers[order], nearness[order]
    is_first = np.ones(len(numbers), np.bool_)
    is_first[1:] = numbers[1:] != numbers[:-1]
    return _first(numbers[is_first], nearness[is_first], k)


def search_examples(
    view: SearchedMatrices,
    wanted: NDArray[np.uint64],
    unwanted: NDArray[np.uint64],
    k: int,
    *,
    limit: int | None = None,
    filter_key: str | None = None,
) -> Neighbours:
    """Find the ``k`` pictures with the smallest sum of distances to ``wanted`` minus that to ``unwanted``.

    Args:
        view: The state to search.
        wanted: Codes to be near to, shape (p, words).
        unwanted: Codes to be far from, shape (m, words).
        k: Number of pictures to return.
        limit: Largest difference of the sums, inclusive; may be negative.
        filter_key: Key of a kept filter.

    Returns:
        Pictures ordered by (difference, number); ``distances`` holds the differences, from -m * bits to p *
        bits.
    """
    best = Neighbours(np.empty(0, np.int64), np.empty(0, np.int32))
    for matrix, differences in _differences(view, wanted, unwanted):
        is_in = matrix.is_found(filter_key)
        if limit is not None:
            is_in &= differences <= limit
        rows = np.flatnonzero(is_in)
        part = _first(matrix.numbers[rows], differences[rows], k)
        best = _first(
            np.concatenate([best.numbers, part.numbers]), np.concatenate([best.distances, part.distances]), k
        )
    return best


def count_nearest_at(
    view: SearchedMatrices, queries: NDArray[np.uint64], distance: int, *, filter_key: str | None = None
) -> int:
    """Number of pictures whose nearest of ``queries`` (q, words) is at exactly ``distance``."""
    if len(queries) == 1:
        return view.count_at(queries[0], distance, filter_key=filter_key)
    found = 0
    for matrix in view.parts:
        least = np.empty(matrix.count, np.int32)
        least_distances(matrix.columns, np.ascontiguousarray(queries), least)
        found += int(np.count_nonzero(matrix.is_found(filter_key) & (least == distance)))
    return found


def count_examples_at(
    view: SearchedMatrices,
    wanted: NDArray[np.uint64],
    unwanted: NDArray[np.uint64],
    difference: int,
    *,
    filter_key: str | None = None,
) -> int:
    """Number of pictures with exactly this difference, as defined by ``search_examples``."""
    found = 0
    for matrix, differences in _differences(view, wanted, unwanted):
        found += int(np.count_nonzero(matrix.is_found(filter_key) & (differences == difference)))
    return found


def _differences(
    view: SearchedMatrices, wanted: NDArray[np.uint64], unwanted: NDArray[np.uint64]
) -> Iterator[tuple[CodeMatrix, NDArray[np.int32]]]:
    queries = np.ascontiguousarray(np.concatenate([wanted, unwanted]), np.uint64)
    signs = np.repeat(np.array([1, -1]), [len(wanted), len(unwanted)])
    for matrix in view.parts:
        differences = np.empty(matrix.count, np.int32)
        sum_distances(matrix.columns, queries, signs, differences)
        yield matrix, differences


@njit(**OPTIONS)
def least_distances(columns: NDArray[np.uint64], queries: NDArray[np.uint64], out: NDArray[np.int32]) -> None:
    """Compute each row's distance to its nearest query; each block of codes is read once.

    Args:
        columns: Codes, shape (words, capacity).
        queries: Shape (q, words).
        out: Output, shape (n,).
    """
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    for start in range(0, len(out), BLOCK):
        stop = min(start + BLOCK, len(out))
        part = out[start:stop]
        for j in range(len(queries)):
            distances(columns, start, stop, queries[j], none, np.bool_(False), room)
            for i in range(stop - start):
                if j == 0 or np.int64(room[i]) < part[i]:
                    part[i] = np.int64(room[i])


@njit(**OPTIONS)
def sum_distances(
    columns: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    signs: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Compute each row's signed sum of distances to all queries; each block of codes is read once.

    Args:
        columns: Codes, shape (words, capacity).
        queries: Shape (q, words).
        signs: 1 or -1, shape (q,).
        out: Output, shape (n,).
    """
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    for start in range(0, len(out), BLOCK):
        stop = min(start + BLOCK, len(out))
        part = out[start:stop]
        part[:] = 0
        for j in range(len(queries)):
            distances(columns, start, stop, queries[j], none, np.bool_(False), room)
            for i in range(stop - start):
                part[i] += signs[j] * np.int64(room[i])


def _first(numbers: NDArray[np.int64], distances: NDArray[np.int32], k: int) -> Neighbours:
    """The first ``k`` pictures by (distance, number)."""
    if 0 < k < len(numbers):
        # Partitioning is linear; ties at the k-th distance are kept, and numbers decide among them.
        near = np.flatnonzero(distances <= np.partition(distances, k - 1)[k - 1])
        numbers, distances = numbers[near], distances[near]
    order = np.lexsort((numbers, distances))[: max(k, 0)]
    return Neighbours(numbers[order], distances[order])
