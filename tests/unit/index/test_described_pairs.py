"""Groups of pictures that are near by codes and by descriptors, against an oracle that compares every pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.index import pairs
from app.index.collection_index import CollectionIndex
from app.index.described_pairs import Described, split_by_descriptors
from app.index.distance_kernels import BLOCK
from app.index.pairs import TooManyComparisons, groups_within
from tests.oracles.hamming import distance
from tests.unit.index.pictures import words_of

DIM = 8


def oracle(codes, descriptors, radius, bound):
    """Connected components of at least two pictures, numbered by position."""
    group_of = list(range(len(codes)))
    for i in range(len(codes)):
        for j in range(i):
            apart = distance(codes[i], codes[j])
            a, b = descriptors[i], descriptors[j]
            if a is None or b is None:
                is_near = apart == 0
            else:
                product, length = float(np.dot(a, b)), max(float(np.sqrt(np.dot(a, a) * np.dot(b, b))), 1.0)
                is_near = apart <= radius and round(1 - product / length, 9) <= bound
            if is_near:
                old, new = group_of[i], group_of[j]
                group_of = [new if group == old else group for group in group_of]
    groups = [[2 * i for i, group in enumerate(group_of) if group == name] for name in set(group_of)]
    return sorted(group for group in groups if len(group) > 1)


def described(descriptors):
    stored = [np.zeros(DIM, int) if one is None else one for one in descriptors]
    present = np.array([one is not None for one in descriptors], np.bool_)
    return Described(np.arange(len(stored)) * 2, np.array(stored, np.int8).reshape(-1, DIM), present)


def found(codes, descriptors, bits, radius, bound, **options):
    index = CollectionIndex(bits)
    index.load(np.arange(len(codes)) * 2, words_of(codes, bits), 1)
    view = index.view()
    near = groups_within(view, radius)
    groups = split_by_descriptors(view, near, radius, described(descriptors), bound, **options)
    return [group.tolist() for group in groups]


def collection(rng, bits, n, spread):
    """Noisy copies of few codes and few descriptors, some without a descriptor."""
    codes, descriptors = [], []
    palette = [int.from_bytes(rng.bytes(bits // 8)) for _ in range(3)]
    looks = rng.integers(-100, 100, (3, DIM))
    for _ in range(n):
        code = palette[rng.integers(3)]
        for _ in range(rng.integers(spread)):
            code ^= 1 << int(rng.integers(bits))
        codes.append(code)
        look = looks[rng.integers(3)] + rng.integers(0, 20, DIM) * rng.integers(2)
        descriptors.append(None if rng.integers(10) == 0 else look)
    return codes, descriptors


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([8, 64, 72, 256]),
    st.integers(0, 2**32),
    st.integers(0, 40),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.01, 0.1, 2.0]),
)
def test_groups_are_the_oracles(bits, seed, n, radius, bound):
    codes, descriptors = collection(np.random.default_rng(seed), bits, n, 5)

    assert found(codes, descriptors, bits, radius, bound) == oracle(codes, descriptors, radius, bound)


@pytest.mark.parametrize("bits", [8, 64, 72, 256])
@pytest.mark.parametrize("radius", [1, 3, 7])
def test_codes_that_share_a_part_make_the_same_groups(bits, radius, monkeypatch):
    monkeypatch.setattr(pairs, "SORTING", 0)
    codes, descriptors = collection(np.random.default_rng(bits + radius), bits, 120, radius + 3)

    assert found(codes, descriptors, bits, radius, 0.02) == oracle(codes, descriptors, radius, 0.02)


def test_near_codes_alone_do_not_chain_different_pictures():
    """Each code is one bit from the next, but only the first two look the same."""
    looks = [np.eye(DIM, dtype=int)[i] * 100 for i in (0, 0, 1, 2)]

    assert found([0, 1, 3, 7], looks, 64, 1, 0.15) == [[0, 2]]
    assert found([5, 5, 5, 5], looks, 64, 1, 0.15) == [[0, 2]]


def test_pictures_without_a_descriptor_are_grouped_by_equal_codes_only():
    assert found([0, 0, 1, 1], [None, np.ones(DIM), None, None], 64, 1, 2.0) == [[0, 2], [4, 6]]


def test_a_group_larger_than_a_block_is_compared_whole():
    n = BLOCK + 300
    gray = [i ^ (i >> 1) for i in range(n)]
    order = np.random.default_rng(0).permutation(n)

    looks = [np.ones(DIM, int)] * n

    assert found([gray[i] for i in order], looks, 64, 1, 0.15) == [[2 * i for i in range(n)]]


def test_copies_with_equal_codes_and_descriptors_cost_no_more_than_one():
    assert [
        len(group) for group in found([3] * 1_000, [np.ones(DIM)] * 1_000, 64, 2, 0.1, max_comparisons=0)
    ] == [1_000]


def test_too_many_near_pairs_are_refused():
    looks = list(np.random.default_rng(0).integers(-100, 100, (200, DIM)))

    with pytest.raises(TooManyComparisons):
        found([3] * 200, looks, 64, 2, 0.0, max_comparisons=30_000)
    with pytest.raises(TooManyComparisons):
        found([3] * 200, looks, 64, 2, 0.0, max_comparisons=100)
