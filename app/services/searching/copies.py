"""Find pairs of copies among the pictures of a collection, and group them around centres."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.copies import NO_DISTANCE, CopyRule
from app.encoding.hash_orientations import ORIENTATIONS, turned_hashes
from app.index.collection_index import IndexView
from app.index.described_pairs import Described
from app.index.near_pairs import MAX_PAIRS, near_pairs
from app.index.pairs import MAX_COMPARISONS, TooManyComparisons, findable_codes
from app.index.stars import stars

Numbers = NDArray[np.int64]

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class CopyCandidates:
    """Pairs that a rule has to look at, of pictures with a code and a hash; equal ones are one node."""

    numbers: Numbers
    """Insertion numbers of the pictures, ascending, shape (n,)."""
    nodes: NDArray[np.int64]
    """Node of each picture, shape (n,)."""
    pictures: NDArray[np.int64]
    """One picture of each node, as an index of ``numbers``, shape (u,)."""
    first: NDArray[np.int64]
    """One node of each pair, shape (p,)."""
    second: NDArray[np.int64]
    """The other node."""
    hash_distances: NDArray[np.int64]
    """Smallest distance of their hashes in any orientation, shape (p,)."""

    def numbers_to_describe(self) -> Numbers:
        """Return the insertion numbers whose descriptors ``groups`` needs, ascending."""
        nodes = np.union1d(self.first, self.second)
        return np.sort(self.numbers[self.pictures[nodes]])


def find_candidates(
    codes: IndexView,
    hashes: IndexView,
    rule: CopyRule,
    *,
    filter_key: str | None,
    without: Numbers,
    apart: Collection[tuple[int, int]],
) -> CopyCandidates:
    """List the pairs whose hashes or codes are near enough to look at their descriptors.

    Args:
        codes: The index of the codes.
        hashes: The index of the perceptual hashes.
        rule: The rule that will decide.
        filter_key: Key of a kept filter; pictures that it excludes are left out.
        without: Numbers of further pictures to leave out, ascending.
        apart: Pairs that are no copies whatever their distances.

    Raises:
        TooManyComparisons: There are too many different pictures, or too many near pairs.
    """
    hashed, hash_columns = findable_codes(hashes, filter_key, without)
    numbers, coded = codes.codes_of(hashed)
    columns = np.concatenate([hash_columns[:, np.isin(hashed, numbers)], coded.T])
    # Pictures of these pairs stay nodes of their own, however equal they are.
    named = np.array(sorted({number for pair in apart for number in pair}), np.int64)
    own = np.where(np.isin(numbers, named), numbers, 0)
    order = np.lexsort((own, *columns))
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (np.diff(columns[:, order].view(np.int64), axis=1) != 0).any(axis=0)
    is_first[1:] |= np.diff(own[order]) != 0
    nodes = np.empty(len(order), np.int64)
    nodes[order] = np.cumsum(is_first) - 1
    pictures = order[is_first]
    distinct = np.ascontiguousarray(columns[:, pictures])
    found = _near(distinct[:4], distinct[4:], rule)
    return CopyCandidates(numbers, nodes, pictures, *found)


def _near(
    hashes: NDArray[np.uint64], codes: NDArray[np.uint64], rule: CopyRule
) -> tuple[Numbers, Numbers, Numbers]:
    """Return both nodes of each near pair, and the distance of their hashes; no pair occurs twice."""
    count = hashes.shape[1]
    work = count * (count - 1) // 2 * (len(hashes) * ORIENTATIONS + len(codes))
    if work > MAX_COMPARISONS:
        raise TooManyComparisons(work, MAX_COMPARISONS)
    found, room = [], MAX_PAIRS
    for orientation in range(1, ORIENTATIONS + 1):
        others = np.ascontiguousarray(turned_hashes(np.ascontiguousarray(hashes.T), orientation).T)
        near = near_pairs(hashes, others, rule.max_hash_distance, max_pairs=room)
        room -= len(near.first)
        found.append((near.first, near.second, near.distances))
    near = near_pairs(codes, codes, rule.max_code_distance, max_pairs=room)
    found.append((near.first, near.second, np.full(len(near.first), NO_DISTANCE)))
    first, second, distances = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((distances, second, first))
    first, second, distances = first[order], second[order], distances[order]
    is_best = np.ones(len(order), np.bool_)
    is_best[1:] = (np.diff(first) != 0) | (np.diff(second) != 0)
    return first[is_best], second[is_best], distances[is_best]


async def group_copies(
    candidates: CopyCandidates, described: Described, rule: CopyRule, apart: Collection[tuple[int, int]]
) -> list[Numbers]:
    """Group the copies among the candidates, in a thread."""
    return await asyncio.to_thread(_groups, candidates, described, rule, apart)


def _groups(
    candidates: CopyCandidates, described: Described, rule: CopyRule, apart: Collection[tuple[int, int]]
) -> list[Numbers]:
    first, second = candidates.first, candidates.second
    numbers = candidates.numbers[candidates.pictures]
    is_copy = rule.are_copies(
        candidates.hash_distances, _descriptor_distances(numbers[first], numbers[second], described)
    )
    if apart:
        pairs = np.array(sorted(apart), np.int64)
        low, high = np.minimum(numbers[first], numbers[second]), np.maximum(numbers[first], numbers[second])
        # Pairs may name pictures that are not compared, younger ones too.
        scale = int(max(numbers.max(initial=0), pairs.max())) + 1
        keys = pairs[:, 0] * scale + pairs[:, 1]
        is_copy &= ~np.isin(low * scale + high, keys)
    sizes = np.bincount(candidates.nodes, minlength=len(numbers))
    near = stars(len(numbers), first[is_copy], second[is_copy], sizes)
    grouped = np.concatenate([np.empty(0, np.int64), *near])
    alone = np.setdiff1d(np.flatnonzero(sizes > 1), grouped)
    order = np.argsort(candidates.nodes, kind="stable")
    ends = np.concatenate([[0], np.cumsum(sizes)])
    members = [order[ends[node] : ends[node + 1]] for node in range(len(numbers))]
    return [
        np.sort(candidates.numbers[np.concatenate([members[node] for node in group])])
        for group in (*near, *alone[:, np.newaxis])
    ]


def _descriptor_distances(first: Numbers, second: Numbers, described: Described) -> NDArray[np.float64]:
    """Return 1 - cosine similarity of each pair, shape (p,); 2 where a descriptor is missing."""
    distances = np.full(len(first), 2.0)
    if not len(described.numbers):
        return distances
    a, b = np.searchsorted(described.numbers, first), np.searchsorted(described.numbers, second)
    known = np.flatnonzero(described.is_present[a] & described.is_present[b])
    for start in range(0, len(known), _CHUNK):
        rows = known[start : start + _CHUNK]
        # Products of 192 bytes are exact in 32 bits.
        x, y = (described.descriptors[side[rows]].astype(np.float32) for side in (a, b))
        products = np.einsum("ij,ij->i", x, y)
        norms = np.sqrt(np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y))
        distances[rows] = 1 - products / np.maximum(norms, 1)
    return distances


def without_pairs(groups: Sequence[Numbers], apart: Collection[tuple[int, int]]) -> list[Numbers]:
    """Remove from each group the younger picture of every pair that is apart; groups of one are left out."""
    if not apart:
        return list(groups)
    partners: dict[int, list[int]] = {}
    for older, younger in sorted(apart):
        partners.setdefault(younger, []).append(older)
    kept = []
    for group in groups:
        members: dict[int, None] = {}
        for number in group.tolist():
            if not any(older in members for older in partners.get(number, ())):
                members[number] = None
        if len(members) > 1:
            kept.append(np.array(list(members), np.int64))
    return kept
