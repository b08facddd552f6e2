"""Ranking by weighted bits against sums over the bits of Python integers."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.codes import unpack_signs
from app.index.collection_index import CollectionIndex, ScanThreads
from app.index.weighted import MAX_WEIGHT, BitWeights, search_weighted
from tests.oracles.hamming import as_integer, distance
from tests.unit.index.pictures import delta_of, integers, pairs, random_codes


def cost(code, query):
    """Soft minimum over the parts of the sum of the weights of a Python integer's contradicting bits."""
    costs = []
    for weights, signs, offset in zip(query.weights, query.signs, query.offsets, strict=True):
        bits = zip(weights.tolist(), (signs > 0).tolist(), strict=True)
        costs.append(int(offset) + sum(w for j, (w, is_set) in enumerate(bits) if (code >> j & 1) != is_set))
    total = costs[0]
    for other in costs[1:]:
        level = abs(total - other) >> query.shift
        total = min(total, other) - (int(query.soft[level]) if level < len(query.soft) else 0)
    return total


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


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 999),
    st.sampled_from([8, 64, 136, 256]),
    st.integers(2, 400),
    st.integers(1, 90),
    st.integers(1, 3),
    st.one_of(st.none(), st.integers(0, 140)),
    st.sampled_from([1, 3, MAX_WEIGHT]),
    st.integers(0, 8),
)
@example(1, 8, 2, 1, 1, 0, 1, 1)
def test_pictures_come_in_the_order_of_cost_and_number(seed, bits, n, k, many, radius, levels, parts):
    view, known, allowed = an_index(seed, bits, n)
    rng = np.random.default_rng(seed + 1)
    # Few levels make many ties.
    queries = [
        BitWeights.of(
            rng.integers(-levels, levels + 1, (rows, bits)).astype(np.float32),
            biases=rng.standard_normal(rows),
            softness=float(levels * rng.uniform(0.1, 9)),
        )
        for rows in (1 + (parts + 3 * i) % 9 for i in range(many))
    ]

    for codes, key in ((known, None), (allowed, "third")):
        found = search_weighted(view, queries, k, radius=radius, filter_key=key)
        for query, answer in zip(queries, found, strict=True):
            wanted = as_integer(query.code)
            near = {
                number: code
                for number, code in codes.items()
                if radius is None or distance(code, wanted) <= radius
            }
            assert pairs(answer) == sorted((cost(code, query), number) for number, code in near.items())[:k]


def test_the_candidates_of_a_large_matrix_are_reduced_to_the_first_k():
    rng = np.random.default_rng(3)
    codes = random_codes(rng, 20_000, 64)
    index = CollectionIndex(64)
    index.use_threads(ScanThreads(2))
    index.load(np.arange(20_000), codes, 1)
    query = BitWeights.of(rng.integers(-2, 3, 64).astype(np.float32))
    costs = query.costs_of(codes)
    order = np.lexsort((np.arange(20_000), costs))

    for k in (1, 10, 700, 20_000):
        (found,) = search_weighted(index.view(), [query], k)

        assert found.numbers.tolist() == order[:k].tolist()
        assert found.distances.tolist() == costs[order[:k]].tolist()


def test_a_largest_cost_is_inclusive():
    view, known, _ = an_index(5, 64, 200)
    query = BitWeights.of(np.random.default_rng(6).integers(-3, 4, 64).astype(np.float32))
    every = sorted((cost(code, query), number) for number, code in known.items())
    limit = every[50][0]

    (found,) = search_weighted(view, [query], 200, max_costs=[limit])

    assert pairs(found) == [pair for pair in every if pair[0] <= limit]


def test_weights_of_one_magnitude_rank_as_hamming_distances_do():
    view, known, _ = an_index(7, 64, 300)
    query = BitWeights.of(np.random.default_rng(8).choice([-1.0, 1.0], 64).astype(np.float32))

    (found,) = search_weighted(view, [query], 300)
    near = view.search(query.code, 300)

    assert found.numbers.tolist() == near.numbers.tolist()
    assert (found.distances * query.step).round(3).tolist() == near.distances.tolist()
    assert len(known) == len(found.numbers)


def test_rounded_weights_are_within_half_a_step_of_the_real_ones():
    y = np.random.default_rng(9).standard_normal(256).astype(np.float32)

    query = BitWeights.of(y)

    assert np.abs(query.signs[0] * query.weights[0] * query.step - y).max() <= query.step / 2 + 1e-9
    assert query.weights.max() == MAX_WEIGHT


@pytest.mark.parametrize(
    "y", [np.array([1.0, np.nan] * 4), np.zeros((1, 2, 8)), np.zeros(0), np.array([np.inf] * 8)]
)
def test_weights_that_are_not_finite_numbers_are_refused(y):
    with pytest.raises(ValueError, match="finite"):
        BitWeights.of(y.astype(np.float32))


def test_parts_are_combined_as_by_log_sum_exp():
    rng = np.random.default_rng(11)
    codes = random_codes(rng, 500, 256)
    y, biases, softness = rng.standard_normal((5, 256)).astype(np.float32), rng.standard_normal(5), 12.0
    query = BitWeights.of(y, biases=biases, softness=softness)

    costs = query.costs_of(codes) * query.step

    scores = (unpack_signs(codes, 256) @ y.T.astype(np.float64) + biases) / softness
    exact = softness * np.log(np.exp(scores).sum(axis=1))
    halves = -exact / 2 - costs
    assert np.ptp(halves) < 0.5
    assert costs.min() >= 0


def test_weights_of_another_length_are_refused():
    with pytest.raises(ValueError, match="64 bits"):
        search_weighted(CollectionIndex(64).view(), [BitWeights.of(np.zeros(8, np.float32))], 1)
