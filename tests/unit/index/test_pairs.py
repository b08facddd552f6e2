"""Groups of near pictures against the oracle that compares every pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.index import pairs
from app.index.collection_index import CollectionIndex
from app.index.distance_kernels import BLOCK
from app.index.pairs import TooManyComparisons, groups_within
from tests.oracles.hamming import groups
from tests.unit.index.pictures import delta_of, words_of


def index_of(codes, bits):
    index = CollectionIndex(bits)
    index.load(np.arange(len(codes)) * 2, words_of(codes, bits), 1)
    return index


def found(view, radius, **options):
    return [group.tolist() for group in groups_within(view, radius, **options)]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([8, 64, 72, 256]),
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.integers(-1, 6),
    st.sets(st.integers(0, 59)),
)
def test_groups_are_the_oracles(bits, seed, n, radius, deleted):
    rng = np.random.default_rng(seed)
    palette = [int.from_bytes(rng.bytes(bits // 8)) for _ in range(5)]
    codes = [palette[rng.integers(5)] ^ (1 << int(rng.integers(bits))) for _ in range(n)]
    index = index_of(codes, bits)
    index.put_filter("f", np.arange(0, 2 * n, 4), 1)
    gone = [2 * i for i in deleted if i < n]
    put = {2 * n + 1: palette[0]}
    index.apply(delta_of(2, bits, put, deleted=gone, matches={"f": []}))

    known = {2 * i: code for i, code in enumerate(codes) if 2 * i not in gone}
    view = index.view()
    assert found(view, radius) == groups(known | put, radius)
    allowed = {number: code for number, code in known.items() if number % 4 == 0}
    assert found(view, radius, filter_key="f") == groups(allowed, radius)


@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 300])
def test_a_chain_across_blocks_is_one_group(n):
    """Neighbours in Gray code differ in one bit, so every picture hangs together."""
    gray = [i ^ (i >> 1) for i in range(n)]
    order = np.random.default_rng(0).permutation(n)
    view = index_of([gray[i] for i in order], 64).view()

    assert found(view, 1) == [[2 * i for i in range(n)]]


@pytest.fixture
def free_sorting(monkeypatch):
    """So few codes are all compared otherwise."""
    monkeypatch.setattr(pairs, "SORTING", 0)


@pytest.mark.usefixtures("free_sorting")
@pytest.mark.parametrize("bits", [8, 64, 72, 256])
@pytest.mark.parametrize("radius", [1, 2, 5, 7, 100])
def test_codes_that_share_a_part_make_the_groups_that_all_pairs_make(bits, radius):
    rng = np.random.default_rng(bits + radius)
    centres = [int.from_bytes(rng.bytes(bits // 8)) for _ in range(12)]
    codes = []
    for _ in range(300):
        code = centres[rng.integers(12)]
        for _ in range(rng.integers(radius + 3)):
            code ^= 1 << int(rng.integers(bits))
        codes.append(code)
    view = index_of(codes, bits).view()

    assert found(view, radius) == groups({2 * i: code for i, code in enumerate(codes)}, radius)


@pytest.mark.usefixtures("free_sorting")
def test_codes_without_a_part_in_common_are_not_compared():
    rng = np.random.default_rng(0)
    codes = [int.from_bytes(rng.bytes(32)) for _ in range(2_000)]
    view = index_of([*codes, codes[0] ^ 0b1011], 256).view()

    assert found(view, 3, max_comparisons=100) == [[0, 4_000]]
    with pytest.raises(TooManyComparisons):
        groups_within(view, 60, max_comparisons=100)


def test_a_bucket_larger_than_a_block_is_compared_whole(monkeypatch):
    monkeypatch.setattr(pairs, "SORTING", 0)
    n = 2 * BLOCK + 300
    gray = [(i ^ (i >> 1)) << 40 for i in range(n)]
    order = np.random.default_rng(0).permutation(n)
    view = index_of([gray[i] for i in order], 64).view()

    assert found(view, 1) == [[2 * i for i in range(n)]]


def test_copies_of_few_pictures_cost_no_more_than_the_few():
    view = index_of([1, 2, 255] * 1_000, 64).view()

    assert [len(group) for group in found(view, 2, max_comparisons=3)] == [2_000, 1_000]


def test_too_much_work_is_refused_with_an_estimate():
    view = index_of(range(100), 128).view()

    with pytest.raises(TooManyComparisons) as refused:
        groups_within(view, 3, max_comparisons=9_899)

    assert (refused.value.comparisons, refused.value.limit) == (9_900, 9_899)


def test_no_pictures_make_no_groups():
    assert found(CollectionIndex(64).view(), 5) == []
