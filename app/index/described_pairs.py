"""Split groups of near codes by descriptors: a pair counts only if both are near enough."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from app.index.distance_kernels import BLOCK, OPTIONS, distances
from app.index.matrix import Codes, Numbers
from app.index.pairs import (
    MAX_COMPARISONS,
    WORD_BITS,
    Nodes,
    PairBuckets,
    TooManyComparisons,
    bits_of_part,
    codes_by_part,
    comparisons_of,
    part_values,
    parts_of,
    root_of,
    roots,
)
from app.index.view import IndexView

MAX_DESCRIPTOR_BYTES: Final = 1 << 28
"""Limit on the memory for descriptors: those of 1.4 million pictures at 192 bytes."""
NEAR_PAIR: Final = 40
"""Cost of looking at a pair of near codes, in comparisons of two words."""
DESCRIPTOR_PAIR: Final = 400
"""Cost of comparing two descriptors, in comparisons of two words."""
ROUNDING: Final = 5e-10
"""Distances are rounded to nine decimals elsewhere; a bound includes what is rounded to it."""
CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Described:
    """Descriptors of pictures."""

    numbers: Numbers
    """Ascending insertion numbers, shape (n,)."""
    descriptors: NDArray[np.int8]
    """Shape (n, m); any values where there is none."""
    is_present: NDArray[np.bool_]
    """Whether each picture has a descriptor, shape (n,)."""


def split_by_descriptors(
    view: IndexView,
    groups: list[Numbers],
    radius: int,
    described: Described,
    max_descriptor_distance: float,
    *,
    max_comparisons: int = MAX_COMPARISONS,
) -> list[Numbers]:
    """Split groups of ``groups_within`` so that each pair that connects them is near by both measures.

    A picture without a descriptor is connected only with pictures of the same code.

    Args:
        view: The state that was grouped.
        groups: Its groups under ``radius``.
        radius: Largest Hamming distance of a pair, inclusive.
        described: The descriptors of all pictures in ``groups``.
        max_descriptor_distance: Largest 1 - cosine similarity of a pair, inclusive.
        max_comparisons: Limit on the work, in comparisons of two words.

    Returns:
        Ascending numbers of each group of at least two pictures, ordered by first number.

    Raises:
        TooManyComparisons: There are too many near pairs.
    """
    if not groups:
        return []
    members = np.concatenate(groups)
    group_of_member = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    numbers, codes = view.codes_of(np.sort(members))
    group_of = group_of_member[np.argsort(members)]
    rows = np.searchsorted(described.numbers, numbers)
    nodes, firsts = _distinct(codes, described, rows)
    columns = np.ascontiguousarray(codes[firsts].T)
    rows = rows[firsts]
    norms = _norms(described, rows)
    parents = np.arange(len(firsts))
    spent = 0
    plan = _plan(columns, group_of[firsts], view.bits, radius, max_comparisons)
    for i, buckets in enumerate(plan.each(columns)):
        spent += connect_described(
            np.ascontiguousarray(columns[:, buckets.order]),
            buckets.order,
            buckets.ends,
            min(radius, view.bits),
            plan.masks[:i],
            described.descriptors,
            rows,
            norms,
            max_descriptor_distance + ROUNDING,
            parents,
            max_comparisons - spent,
        )
        if spent > max_comparisons:
            raise TooManyComparisons(spent, max_comparisons)
    found = roots(parents)[nodes]
    order = np.argsort(found, kind="stable")
    parts = np.split(numbers[order], np.flatnonzero(np.diff(found[order])) + 1)
    return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which codes to compare with each other: those of each group, or those that share a part."""

    groups: PairBuckets
    parts: list[tuple[int, int]]
    """Empty to compare within groups."""
    masks: Codes
    """The bits of each part, shape (parts, words)."""

    def each(self, codes: Codes) -> Any:
        """Yield the buckets of each part, or those of the groups."""
        if self.parts:
            for part in self.parts:
                yield codes_by_part(part_values(codes, part))
        else:
            yield self.groups


def _plan(codes: Codes, group_of: Nodes, bits: int, radius: int, limit: int) -> _Plan:
    words = len(codes)
    groups = codes_by_part(group_of)
    sizes = np.diff(groups.ends)
    by_groups = int((sizes * (sizes - 1) // 2).sum()) * words
    parts = parts_of(bits, radius + 1) if radius < bits else []
    by_parts = comparisons_of(codes, parts, by_groups) if parts else by_groups
    if min(by_groups, by_parts) > limit:
        raise TooManyComparisons(min(by_groups, by_parts), limit)
    if by_groups <= by_parts:
        parts = []
    masks = np.zeros((len(parts), words), np.uint64)
    for i, part in enumerate(parts):
        mask = bits_of_part(part)
        masks[i] = [(mask >> (WORD_BITS * word)) & (2**WORD_BITS - 1) for word in range(words)]
    return _Plan(groups, parts, masks)


def _distinct(codes: NDArray[np.uint64], described: Described, rows: Nodes) -> tuple[Nodes, Nodes]:
    """Collapse equal codes and descriptors: the node of each picture, the first picture of each node."""
    keys = _hashes(described, rows)
    order = np.lexsort((keys, *codes.T))
    is_first = np.ones(len(order), np.bool_)
    for start in range(1, len(order), CHUNK):
        here = order[start : start + CHUNK]
        before = order[start - 1 : start - 1 + len(here)]
        is_other = (codes[here] != codes[before]).any(axis=1) | (keys[here] != keys[before])
        # Equal hashes of different descriptors are possible, though hardly by chance.
        same = np.flatnonzero(~is_other)
        a, b = rows[here[same]], rows[before[same]]
        is_other[same] = described.is_present[a] != described.is_present[b]
        differ = (described.descriptors[a] != described.descriptors[b]).any(axis=1)
        is_other[same] |= differ & described.is_present[a]
        is_first[start : start + len(here)] = is_other
    nodes = np.empty(len(order), np.int64)
    nodes[order] = np.cumsum(is_first) - 1
    return nodes, order[is_first]


def _hashes(described: Described, rows: Nodes) -> NDArray[np.int64]:
    factors = np.random.default_rng(0).integers(1, 1 << 62, described.descriptors.shape[1], np.int64)
    hashes = np.zeros(len(rows), np.int64)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        hashes[start : start + CHUNK] = described.descriptors[part].astype(np.int64) @ factors
    hashes[~described.is_present[rows]] = 0
    return hashes


def _norms(described: Described, rows: Nodes) -> NDArray[np.float64]:
    """Squared lengths of descriptors, shape (n,); -1 where there is none."""
    norms = np.empty(len(rows))
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        norms[start : start + CHUNK] = (described.descriptors[part].astype(np.int64) ** 2).sum(axis=1)
    norms[~described.is_present[rows]] = -1
    return norms


@njit(**OPTIONS)
def connect_described(
    codes: Codes,
    names: Nodes,
    ends: Nodes,
    radius: int,
    earlier: Codes,
    descriptors: NDArray[np.int8],
    rows: Nodes,
    norms: NDArray[np.float64],
    bound: float,
    parents: Nodes,
    allowance: int,
) -> Any:
    """Join the trees of all pairs in a bucket that are near by codes and by descriptors.

    Args:
        codes: Codes in bucket order, shape (words, u).
        names: Node of each code, shape (u,).
        ends: Start of each bucket, and the end of the last.
        radius: Largest Hamming distance, inclusive.
        earlier: Bits of the parts compared before, shape (p, words); pairs that share one are skipped.
        descriptors: Shape (n, m).
        rows: Row of each node's descriptor, shape (u,).
        norms: Squared length of each node's descriptor, shape (u,); negative without one.
        bound: Largest 1 - cosine similarity, inclusive.
        parents: Forest over the nodes, as for ``pairs.connect``.
        allowance: Work after which to stop, in comparisons of two words.

    Returns:
        The work on near pairs; greater than ``allowance`` if it stopped.
    """
    none = np.empty(0, np.uint64)
    room = np.empty(BLOCK, np.uint64)
    code = np.empty(len(codes), np.uint64)
    wanted = np.uint64(radius)
    spent = 0
    for bucket in range(len(ends) - 1):
        end = ends[bucket + 1]
        for i in range(ends[bucket], end):
            if spent > allowance:
                return spent
            for w in range(len(codes)):
                code[w] = codes[w, i]
            for start in range(i + 1, end, BLOCK):
                stop = min(start + BLOCK, end)
                distances(codes, start, stop, code, none, np.bool_(False), room)
                for j in start + np.flatnonzero(room[: stop - start] <= wanted):
                    spent += NEAR_PAIR
                    first, second = names[i], names[j]
                    a, b = root_of(parents, first), root_of(parents, second)
                    if a == b or _shares_any(codes, i, j, earlier):
                        continue
                    spent += DESCRIPTOR_PAIR
                    if norms[first] < 0 or norms[second] < 0:
                        apart = 0.0 if room[j - start] == np.uint64(0) else np.inf
                    else:
                        product = _dot(descriptors[rows[first]], descriptors[rows[second]])
                        apart = 1.0 - product / max(np.sqrt(norms[first] * norms[second]), 1.0)
                    if apart <= bound:
                        parents[max(a, b)] = min(a, b)
    return spent


@njit(**OPTIONS)
def _shares_any(codes: Codes, i: int, j: int, masks: Codes) -> Any:
    for part in range(len(masks)):
        differing = np.uint64(0)
        for w in range(len(codes)):
            differing |= (codes[w, i] ^ codes[w, j]) & masks[part, w]
        if differing == np.uint64(0):
            return True
    return False


@njit(**OPTIONS)
def _dot(first: NDArray[np.int8], second: NDArray[np.int8]) -> Any:
    total = np.int32(0)
    for i in range(len(first)):
        # Kept at 32 bits, which vectorise; 4,096 products of bytes fit.
        total = np.int32(total + np.int32(np.int32(first[i]) * np.int32(second[i])))
    return total
