"""Searches with several codes at once: orientations of one picture, or examples to be near to and far from."""

from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import BLOCK, OPTIONS, distances
from app.index.matrix import CodeMatrix, Neighbours
from app.index.view import IndexView


def search_nearest_of(
    view: IndexView,
    queries: NDArray[np.uint64],
    k: int,
    *,
    radius: int | None = None,
    filter_key: str | None = None,
) -> Neighbours:
    """The ``k`` pictures nearest to whichever of ``queries`` each is nearest to.

    Args:
        view: What to search.
        queries: Codes of one picture in several orientations, shape (q, words), at least one.
        k: How many.
        radius: Largest distance, inclusive.
        filter_key: A kept filter.
    """
    # Whoever is among the k nearest overall is among the k nearest to the query that it is nearest to.
    found = view.search_many(queries, k, radius=radius, filter_key=filter_key)
    numbers = np.concatenate([part.numbers for part in found])
    nearness = np.concatenate([part.distances for part in found])
    order = np.lexsort((nearness, numbers))
    numbers, nearness = numbers[order], nearness[order]
    is_first = np.ones(len(numbers), np.bool_)
    is_first[1:] = numbers[1:] != numbers[:-1]
    return _first(numbers[is_first], nearness[is_first], k)


def search_examples(
    view: IndexView,
    wanted: NDArray[np.uint64],
    unwanted: NDArray[np.uint64],
    k: int,
    *,
    limit: int | None = None,
    filter_key: str | None = None,
) -> Neighbours:
    """The ``k`` pictures with the least sum of distances to ``wanted`` less that to ``unwanted``.

    Args:
        view: What to search.
        wanted: Codes to be near to, shape (p, words).
        unwanted: Codes to be far from, shape (m, words).
        k: How many.
        limit: Largest difference of the sums, inclusive; it may be negative.
        filter_key: A kept filter.

    Returns:
        Pictures ordered by (difference, number); the differences, from -m * bits to p * bits, as distances.
    """
    best = Neighbours(np.empty(0, np.int64), np.empty(0, np.int32))
    for matrix, differences in _differences(view, wanted, unwanted):
        is_in = matrix.found_under(filter_key)
        if limit is not None:
            is_in &= differences <= limit
        rows = np.flatnonzero(is_in)
        part = _first(matrix.numbers[rows], differences[rows], k)
        best = _first(
            np.concatenate([best.numbers, part.numbers]), np.concatenate([best.distances, part.distances]), k
        )
    return best


def count_nearest_at(
    view: IndexView, queries: NDArray[np.uint64], distance: int, *, filter_key: str | None = None
) -> int:
    """How many pictures lie at exactly ``distance`` from the one of ``queries`` (q, words) nearest to each."""
    if len(queries) == 1:
        return view.count_at(queries[0], distance, filter_key=filter_key)
    found = 0
    for matrix in view.parts:
        least = np.empty(matrix.count, np.int32)
        least_distances(matrix.columns, np.ascontiguousarray(queries), least)
        found += int(np.count_nonzero(matrix.found_under(filter_key) & (least == distance)))
    return found


def count_examples_at(
    view: IndexView,
    wanted: NDArray[np.uint64],
    unwanted: NDArray[np.uint64],
    difference: int,
    *,
    filter_key: str | None = None,
) -> int:
    """How many pictures have exactly this difference of sums, as ``search_examples`` defines it."""
    found = 0
    for matrix, differences in _differences(view, wanted, unwanted):
        found += int(np.count_nonzero(matrix.found_under(filter_key) & (differences == difference)))
    return found


def _differences(
    view: IndexView, wanted: NDArray[np.uint64], unwanted: NDArray[np.uint64]
) -> Iterator[tuple[CodeMatrix, NDArray[np.int32]]]:
    queries = np.ascontiguousarray(np.concatenate([wanted, unwanted]), np.uint64)
    signs = np.repeat(np.array([1, -1]), [len(wanted), len(unwanted)])
    for matrix in view.parts:
        differences = np.empty(matrix.count, np.int32)
        sum_distances(matrix.columns, queries, signs, differences)
        yield matrix, differences


@njit(**OPTIONS)
def least_distances(columns: NDArray[np.uint64], queries: NDArray[np.uint64], out: NDArray[np.int32]) -> None:
    """Each row's distance to the nearest of all queries; each block is read once.

    Args:
        columns: Codes, shape (words, capacity).
        queries: Shape (q, words).
        out: Filled, shape (n,).
    """
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    for start in range(0, len(out), BLOCK):
        stop = min(start + BLOCK, len(out))
        part = out[start:stop]
        for j in range(len(queries)):
            distances(columns, start, stop, queries[j], none, False, room)
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
    """Sum of each row's distances to all queries, times their signs; each block is read once.

    Args:
        columns: Codes, shape (words, capacity).
        queries: Shape (q, words).
        signs: 1 or -1, shape (q,).
        out: Filled, shape (n,).
    """
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    for start in range(0, len(out), BLOCK):
        stop = min(start + BLOCK, len(out))
        part = out[start:stop]
        part[:] = 0
        for j in range(len(queries)):
            distances(columns, start, stop, queries[j], none, False, room)
            for i in range(stop - start):
                part[i] += signs[j] * np.int64(room[i])


def _first(numbers: NDArray[np.int64], distances: NDArray[np.int32], k: int) -> Neighbours:
    """The first ``k`` by (distance, number)."""
    if 0 < k < len(numbers):
        # A partition is linear; what equals the k-th distance is kept for the numbers to decide.
        near = np.flatnonzero(distances <= np.partition(distances, k - 1)[k - 1])
        numbers, distances = numbers[near], distances[near]
    order = np.lexsort((numbers, distances))[: max(k, 0)]
    return Neighbours(numbers[order], distances[order])
