"""Groups of pictures connected by pairs within a radius: exact, and refused if it would take too long.

Two codes at most ``radius`` apart, cut into ``radius`` + 1 parts, are equal in at least one part, since each
differing bit spoils only one. So only codes that share a part are compared (multi-index hashing, see
``multi_index``), unless comparing all pairs is cheaper.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import BLOCK, LANE, OPTIONS, distances, lane_minima
from app.index.matrix import CodeMatrix, Codes, Numbers, merge_rows
from app.index.view import IndexView

Nodes = NDArray[np.int64]

TILE: Final = 256
"""Codes compared with a block while it is in the first-level cache."""
MAX_COMPARISONS: Final = 5 * 10**10
"""Limit on comparisons of two words: about ten seconds."""
SORTING: Final = 500
"""Cost of sorting one code by a part, in comparisons of two words."""
WORD_BITS: Final = 64
NOTHING: Final[Numbers] = np.empty(0, np.int64)


class TooManyComparisons(Exception):
    """There are too many distinct codes to compare all pairs."""

    def __init__(self, comparisons: int, limit: int) -> None:
        """Keep the required and the allowed number of comparisons."""
        super().__init__(f"{comparisons:,} comparisons are needed, {limit:,} are allowed")
        self.comparisons = comparisons
        self.limit = limit


@dataclass(frozen=True, slots=True)
class PairBuckets:
    """Codes sorted so that those to be compared with each other are adjacent."""

    order: Nodes
    """Codes in sorted order, shape (u,)."""
    ends: Nodes
    """Start of each bucket in ``order``, and the end of the last."""


def groups_within(
    view: IndexView,
    radius: int,
    *,
    filter_key: str | None = None,
    without: Numbers = NOTHING,
    max_comparisons: int = MAX_COMPARISONS,
) -> list[Numbers]:
    """Group pictures that are connected by chains of pairs at most ``radius`` apart.

    Two pictures of a group may be farther apart than ``radius``; pictures of different groups are always
    farther apart. Equal codes are collapsed first, so many copies of few pictures cost no more than the few.

    Args:
        view: The state to search.
        radius: Largest distance of a pair, inclusive.
        filter_key: Key of a kept filter; pictures that it excludes connect nothing.
        without: Numbers of further pictures that connect nothing, ascending.
        max_comparisons: Limit on comparisons of two words.

    Returns:
        Ascending numbers of each group of at least two pictures, ordered by first number.

    Raises:
        TooManyComparisons: There are too many distinct codes.
    """
    numbers, codes, of_picture = _different_codes(view, filter_key, without)
    parents = np.arange(codes.shape[1])
    if radius > 0:
        for buckets in _cheapest_buckets(codes, view.bits, radius, max_comparisons):
            columns = np.ascontiguousarray(codes[:, buckets.order])
            connect(columns, buckets.order, buckets.ends, min(radius, view.bits), parents)
    groups = roots(parents)[of_picture]
    order = np.argsort(groups, kind="stable")
    parts = np.split(numbers[order], np.flatnonzero(np.diff(groups[order])) + 1)
    return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


def numbers_in(view: IndexView, filter_key: str | None, among: Numbers) -> Numbers:
    """Those of ``among`` that the view contains and the filter allows."""
    present = [
        matrix.numbers[rows][np.isin(matrix.numbers[rows], among)]
        for matrix, rows in _findable_rows(view, filter_key)
    ]
    return np.concatenate([NOTHING, *present])


def _findable_rows(view: IndexView, filter_key: str | None) -> Iterator[tuple[CodeMatrix, Nodes]]:
    """The matrices of a view, each with its rows that are not deleted and that the filter allows."""
    for matrix in view.parts:
        yield matrix, np.flatnonzero(matrix.is_found(filter_key))


def findable_codes(view: IndexView, filter_key: str | None, without: Numbers) -> tuple[Numbers, Codes]:
    """Ascending numbers of the pictures that a search can find, and their codes, shape (words, n).

    Args:
        view: The state to search.
        filter_key: Key of a kept filter; pictures that it excludes are left out.
        without: Numbers of further pictures to leave out, ascending.
    """
    parts = list(_findable_rows(view, filter_key))
    if len(without):
        parts = [(matrix, rows[~np.isin(matrix.numbers[rows], without)]) for matrix, rows in parts]
    together = merge_rows(parts, len(view.main.columns), ())
    return together.numbers, together.columns


def _different_codes(view: IndexView, filter_key: str | None, without: Numbers) -> tuple[Numbers, Codes, Nodes]:
    """Numbers of the pictures; the distinct codes, shape (words, u); the index of each picture's code."""
    numbers, columns = findable_codes(view, filter_key, without)
    order = np.lexsort(columns)
    by_code = columns[:, order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (by_code[:, 1:] != by_code[:, :-1]).any(axis=0)
    of_picture = np.empty(len(order), np.int64)
    of_picture[order] = np.cumsum(is_first) - 1
    return numbers, np.ascontiguousarray(by_code[:, is_first]), of_picture


def _cheapest_buckets(codes: Codes, bits: int, radius: int, limit: int) -> Iterator[PairBuckets]:
    """Yield buckets of all parts, or one bucket of all codes, whichever needs fewer comparisons.

    Args:
        codes: Distinct codes, shape (words, u).
        bits: Code length.
        radius: Largest distance of a pair, at least 1.
        limit: Limit on comparisons of two words.

    Raises:
        TooManyComparisons: Both ways exceed the limit.
    """
    words, count = codes.shape
    whole = count * (count - 1) // 2 * words
    parts = parts_of(bits, radius + 1) if radius < bits else []
    by_parts = comparisons_of(codes, parts, whole) if parts else whole
    if min(whole, by_parts) > limit:
        raise TooManyComparisons(min(whole, by_parts), limit)
    if whole <= by_parts:
        yield PairBuckets(np.arange(count), np.array([0, count]))
        return
    for part in parts:
        yield codes_by_part(part_values(codes, part))


def parts_of(bits: int, count: int) -> list[tuple[int, int]]:
    """First bit and length of each of ``count`` parts of a code; a part is at most one word long."""
    cuts = [i * bits // count for i in range(count + 1)]
    return [(a, min(b - a, WORD_BITS)) for a, b in pairwise(cuts)]


def bits_of_part(part: tuple[int, int]) -> int:
    """The bits of a part of a code, as one integer."""
    first, length = part
    return ((1 << length) - 1) << first


def part_values(codes: Codes, part: tuple[int, int]) -> NDArray[np.uint64]:
    """The value of one part of each code, shape (u,); a part may span two words."""
    first, length = part
    word, shift = divmod(first, WORD_BITS)
    values = codes[word] >> np.uint64(shift)
    if shift + length > WORD_BITS:
        values |= codes[word + 1] << np.uint64(WORD_BITS - shift)
    masked: NDArray[np.uint64] = values & np.uint64((1 << length) - 1)
    return masked


def comparisons_of(codes: Codes, parts: list[tuple[int, int]], enough: int) -> int:
    """Comparisons needed by the buckets of all parts, including sorting; stops counting at ``enough``."""
    words, count = codes.shape
    total: int = SORTING * count * len(parts)
    for part in parts:
        if total >= enough:
            return total
        _, sizes = np.unique(part_values(codes, part), return_counts=True)
        total += int((sizes * (sizes - 1) // 2).sum()) * words
    return total


def codes_by_part(values: NDArray[Any]) -> PairBuckets:
    """Return one bucket for each distinct value, from the value of each code, shape (u,)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order])) + 1
    return PairBuckets(order, np.concatenate([[0], starts, [len(values)]]))


@njit(**OPTIONS)
def connect(codes: Codes, names: Nodes, ends: Nodes, radius: int, parents: Nodes) -> None:
    """Join the trees of all pairs of codes in a bucket that are at most ``radius`` apart.

    Args:
        codes: Codes in bucket order, shape (words, u).
        names: Node of each code, shape (u,).
        ends: Start of each bucket, and the end of the last.
        radius: Largest distance, inclusive.
        parents: Forest over the nodes, changed in place, shape (u,); a root is its own parent and the smallest
            node of its tree.
    """
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    minima = np.empty(BLOCK // LANE, np.uint16)
    rows = np.empty((TILE, len(codes)), np.uint64)
    wanted = np.uint64(radius)
    for bucket in range(len(ends) - 1):
        end = ends[bucket + 1]
        for tile in range(ends[bucket], end, TILE):
            tile_end = min(tile + TILE, end)
            for i in range(tile, tile_end):
                for w in range(len(codes)):
                    rows[i - tile, w] = codes[w, i]
            for block in range(tile, end, BLOCK):
                stop = min(block + BLOCK, end)
                for i in range(tile, tile_end):
                    start = max(block, i + 1)
                    if start < stop:
                        lane_minima(codes, start, stop, rows[i - tile], none, np.bool_(False), room, minima)
                    for lane in range(start, stop, LANE):
                        if np.uint64(minima[(lane - start) // LANE]) <= wanted:
                            lane_end = min(lane + LANE, stop)
                            distances(codes, lane, lane_end, rows[i - tile], none, np.bool_(False), room)
                            _join(parents, names, i, lane, room[: lane_end - lane], wanted)


@njit(**OPTIONS)
def _join(
    parents: Nodes, names: Nodes, row: int, first: int, lane: NDArray[np.uint64], wanted: np.uint64
) -> None:
    """Join the tree of a code with those of near enough codes from ``first`` on."""
    for i in range(len(lane)):
        if lane[i] <= wanted:
            a, b = root_of(parents, names[row]), root_of(parents, names[first + i])
            parents[max(a, b)] = min(a, b)


@njit(**OPTIONS)
def root_of(parents: Nodes, node: int) -> Any:
    """The root of a node's tree."""
    while parents[node] != node:
        # Path halving: each visited node now points to its grandparent.
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@njit(**OPTIONS)
def roots(parents: Nodes) -> Any:
    """The root of each node, shape (u,)."""
    found = np.empty(len(parents), np.int64)
    for node in range(len(parents)):
        found[node] = root_of(parents, node)
    return found
