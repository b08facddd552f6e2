"""All pairs of pictures within a radius, as groups: exact, and refused where it would take too long."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.bitmap import unpacked
from app.index.distance_kernels import BLOCK, LANE, OPTIONS, distances, lane_minima
from app.index.matrix import Codes, Numbers, merged
from app.index.view import IndexView

TILE: Final = 256
"""Codes that are compared with a block while it is in the first-level cache."""
MAX_COMPARISONS: Final = 5 * 10**10
"""Comparisons of two words: some ten seconds."""


class TooManyComparisons(Exception):
    """The pictures differ in too many codes for all pairs to be compared."""

    def __init__(self, comparisons: int, limit: int) -> None:
        """Remember how many there would be, and how many are allowed."""
        super().__init__(f"{comparisons:,} comparisons are needed, {limit:,} are allowed")
        self.comparisons = comparisons
        self.limit = limit


def groups_within(
    view: IndexView, radius: int, *, filter_key: str | None = None, max_comparisons: int = MAX_COMPARISONS
) -> list[Numbers]:
    """Pictures that chains of pairs at most ``radius`` apart connect.

    Two pictures of a group may thus be farther apart than ``radius``; two of different groups never are nearer.
    Equal codes are collapsed first, so that many copies of few pictures cost no more than the few.

    Args:
        view: What to look through.
        radius: Largest distance of a pair, inclusive.
        filter_key: A kept filter; pictures that it leaves out connect nothing.
        max_comparisons: Most comparisons of two words.

    Returns:
        Numbers of each group of at least two, ascending, by the first number.

    Raises:
        TooManyComparisons: There are too many different codes.
    """
    numbers, codes, of_picture = _different_codes(view, filter_key)
    count = codes.shape[1]
    parents = np.arange(count)
    if radius > 0:
        comparisons = count * (count - 1) // 2 * len(codes)
        if comparisons > max_comparisons:
            raise TooManyComparisons(comparisons, max_comparisons)
        connect(codes, min(radius, view.bits), parents)
    groups = roots(parents)[of_picture]
    order = np.argsort(groups, kind="stable")
    parts = np.split(numbers[order], np.flatnonzero(np.diff(groups[order])) + 1)
    return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


def _different_codes(view: IndexView, filter_key: str | None) -> tuple[Numbers, Codes, NDArray[np.int64]]:
    """Numbers of the pictures; each code once, shape (words, u); which of these each picture has."""
    parts = []
    for matrix in view.parts:
        left_out = matrix.dead if filter_key is None else matrix.dead | matrix.filters[filter_key]
        parts.append((matrix, np.flatnonzero(~unpacked(left_out, matrix.count))))
    together = merged(parts, len(view.main.columns), ())
    order = np.lexsort(together.columns)
    by_code = together.columns[:, order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (by_code[:, 1:] != by_code[:, :-1]).any(axis=0)
    of_picture = np.empty(len(order), np.int64)
    of_picture[order] = np.cumsum(is_first) - 1
    return together.numbers, np.ascontiguousarray(by_code[:, is_first]), of_picture


@njit(**OPTIONS)
def connect(codes: Codes, radius: int, parents: NDArray[np.int64]) -> None:
    """Join the trees of every two codes at most ``radius`` apart.

    Args:
        codes: Shape (words, u).
        radius: Largest distance, inclusive.
        parents: A forest over the codes, changed in place, shape (u,): a root is its own parent, the smallest.
    """
    count = codes.shape[1]
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    minima = np.empty(BLOCK // LANE, np.uint16)
    wanted = np.uint64(radius)
    for tile in range(0, count, TILE):
        rows = np.ascontiguousarray(codes[:, tile : tile + TILE].T)
        for block in range(tile, count, BLOCK):
            stop = min(block + BLOCK, count)
            for i in range(len(rows)):
                start = max(block, tile + i + 1)
                if start < stop:
                    lane_minima(codes, start, stop, rows[i], none, False, room, minima)
                for lane in range(start, stop, LANE):
                    if np.uint64(minima[(lane - start) // LANE]) <= wanted:
                        lane_end = min(lane + LANE, stop)
                        distances(codes, lane, lane_end, rows[i], none, False, room)
                        _join(parents, tile + i, lane, room[: lane_end - lane], wanted)


@njit(**OPTIONS)
def _join(
    parents: NDArray[np.int64], node: int, first: int, lane: NDArray[np.uint64], wanted: np.uint64
) -> None:
    """Join a code's tree with those of the codes from ``first`` on that are near enough to it."""
    for i in range(len(lane)):
        if lane[i] <= wanted:
            a, b = _root(parents, node), _root(parents, first + i)
            parents[max(a, b)] = min(a, b)


@njit(**OPTIONS)
def _root(parents: NDArray[np.int64], node: int) -> Any:
    while parents[node] != node:
        # Halve the path: each node visited points to its grandparent from now on.
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@njit(**OPTIONS)
def roots(parents: NDArray[np.int64]) -> Any:
    """The root of each node, shape (u,)."""
    found = np.empty(len(parents), np.int64)
    for node in range(len(parents)):
        found[node] = _root(parents, node)
    return found
