"""Searches with several codes against sums and minima over plain distances."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.index.collection_index import CollectionIndex
from app.index.multi_query import (
    count_examples_at,
    count_nearest_at,
    search_examples,
    search_nearest_of,
)
from tests.oracles.hamming import distance
from tests.unit.index.pictures import delta_of, integers, pairs, random_codes, words_of


def an_index(seed, bits, n):
    """An index with a filter, deletes, replacements and additions; what it holds; what the filter allows."""
    rng = np.random.default_rng(seed)
    codes = random_codes(rng, n, bits)
    index = CollectionIndex(bits)
    index.load(np.arange(n), codes, 1)
    index.put_filter("third", np.arange(0, n, 3), 1)
    put = {1: 5, n + 1: 9}
    index.apply(delta_of(2, bits, put, deleted=[0], matches={"third": [1]}))
    known = {number: code for number, code in enumerate(integers(codes)) if number} | put
    allowed = {number: c for number, c in known.items() if number == 1 or (number % 3 == 0 and number < n)}
    return index.view(), known, allowed


def first(score, codes, k, limit):
    ranked = sorted((score(code), number) for number, code in codes.items())
    return [pair for pair in ranked if limit is None or pair[0] <= limit][:k]


CASES = (st.integers(0, 999), st.sampled_from([8, 64, 136]), st.integers(2, 60), st.integers(0, 70))


@settings(max_examples=50, deadline=None)
@given(*CASES, st.integers(1, 8), st.one_of(st.none(), st.integers(0, 60)))
def test_a_picture_is_as_near_as_its_nearest_orientation(seed, bits, n, k, many, radius):
    view, known, allowed = an_index(seed, bits, n)
    queries = integers(random_codes(np.random.default_rng(seed + 1), many, bits))

    for codes, key in ((known, None), (allowed, "third")):
        found = search_nearest_of(view, words_of(queries, bits), k, radius=radius, filter_key=key)
        assert pairs(found) == first(lambda code: min(distance(code, q) for q in queries), codes, k, radius)
        for at in {d for d, _ in pairs(found)} | {0, bits}:
            count = sum(min(distance(code, q) for q in queries) == at for code in codes.values())
            assert count_nearest_at(view, words_of(queries, bits), at, filter_key=key) == count


@settings(max_examples=50, deadline=None)
@given(*CASES, st.integers(0, 3), st.integers(0, 3), st.one_of(st.none(), st.integers(-50, 90)))
def test_examples_attract_and_repel(seed, bits, n, k, wanted, unwanted, limit):
    view, known, allowed = an_index(seed, bits, n)
    rng = np.random.default_rng(seed + 1)
    near, far = (integers(random_codes(rng, many, bits)) for many in (wanted, unwanted))

    def score(code):
        return sum(distance(code, q) for q in near) - sum(distance(code, q) for q in far)

    for codes, key in ((known, None), (allowed, "third")):
        found = search_examples(view, words_of(near, bits), words_of(far, bits), k, limit=limit, filter_key=key)
        assert pairs(found) == first(score, codes, k, limit)
        for at in {d for d, _ in pairs(found)} | {0}:
            count = sum(score(code) == at for code in codes.values())
            codes_near, codes_far = words_of(near, bits), words_of(far, bits)
            assert count_examples_at(view, codes_near, codes_far, at, filter_key=key) == count
