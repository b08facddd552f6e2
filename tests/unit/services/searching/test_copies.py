"""Verdicts keep exactly their pairs apart, and the near pairs of all comparisons share a bound."""

import asyncio

import numpy as np
import pytest

from app.domain.copies import CopyRule
from app.index.collection_index import CollectionIndex
from app.index.described_pairs import Described
from app.index.pairs import TooManyComparisons
from app.services.searching import copies
from app.services.searching.copies import CopyCandidates, find_candidates, group_copies

RULE = CopyRule(
    max_hash_distance=88,
    sure_hash_distance=32,
    descriptor_base=0.28,
    descriptor_slope=0.0025,
    sure_descriptor_distance=0.06,
    max_code_distance=8,
    false_pairs=0.0,
)
NOTHING = np.empty(0, np.int64)


def test_a_verdict_on_a_picture_that_is_not_compared_keeps_no_other_pair_apart():
    candidates = CopyCandidates(
        numbers=np.array([5, 6]),
        nodes=np.array([0, 1]),
        pictures=np.array([0, 1]),
        first=np.array([0]),
        second=np.array([1]),
        hash_distances=np.array([0]),
    )
    described = Described(NOTHING, np.empty((0, 8), np.int8), np.empty(0, np.bool_))

    def grouped(apart):
        groups = asyncio.run(group_copies(candidates, described, RULE, apart))
        return [group.tolist() for group in groups]

    # A picture may be left out by a filter, and be younger than all that are compared.
    assert grouped({(4, 13)}) == [[5, 6]]
    assert grouped({(5, 6), (4, 13)}) == []


def index_of(codes, bits):
    index = CollectionIndex(bits)
    index.load(np.arange(1, len(codes) + 1), codes, 1)
    return index.view()


def test_the_pairs_of_all_orientations_share_a_bound(monkeypatch):
    codes = index_of(np.arange(8, dtype=np.uint64)[:, np.newaxis] << np.uint64(40), 64)
    # Symmetric hashes are near each other in every orientation.
    hashes = np.zeros((8, 4), np.uint64)
    hashes[:, 0] = np.arange(8)

    def find():
        return find_candidates(
            codes, index_of(hashes, 256), RULE, filter_key=None, without=NOTHING, apart=frozenset()
        )

    assert len(find().first) == 28
    monkeypatch.setattr(copies, "MAX_PAIRS", 2 * 28)
    with pytest.raises(TooManyComparisons):
        find()
