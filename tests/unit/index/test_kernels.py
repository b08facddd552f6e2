"""The scan against the oracle, over lengths, sizes, k, radii, ties and rows left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.index.distance_kernels import BLOCK, LANE
from app.index.matrix import CodeMatrix
from app.index.scan import scan, scan_count_at
from app.index.scan_kernels import REGION
from tests.oracles.hamming import distance
from tests.oracles.ranking import ranking
from tests.unit.index.pictures import integers, pairs, random_codes, words_of

SIZES = [0, 1, 2, LANE - 1, LANE, LANE + 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1]
LENGTHS = [8, 16, 64, 72, 128, 184, 256, 320, 384, 448, 512]


def search(matrix, query, bits, k, radius=None, filter_key=None):
    limits = np.array([bits if radius is None else radius])
    return pairs(scan(matrix, words_of([query], bits), k, limits, matrix.hidden(filter_key))[0])


@pytest.mark.parametrize("bits", LENGTHS)
@pytest.mark.parametrize("n", SIZES)
def test_the_nearest_are_the_oracles_for_every_size_and_length(n, bits):
    rng = np.random.default_rng(n * 1000 + bits)
    codes = random_codes(rng, n + 1, bits)
    matrix = CodeMatrix.of(np.arange(n) * 3, codes[:n])
    *known, query = integers(codes)
    expected = {number * 3: code for number, code in enumerate(known)}

    for k in (1, 7, n + 5):
        assert search(matrix, query, bits, k) == ranking(expected, query, k)


@st.composite
def scans(draw):
    """A length, codes drawn from few different ones (so that ties abound), and rows deleted and hidden."""
    bits = draw(st.sampled_from(LENGTHS))
    palette = draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=6))
    n = draw(st.sampled_from([*SIZES[:6], BLOCK + 1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = [palette[i] for i in rng.integers(0, len(palette), n)]
    shares = draw(st.tuples(*[st.sampled_from([0.0, 0.1, 0.9, 1.0])] * 2))
    dead, hidden = (np.flatnonzero(rng.random(n) < share) for share in shares)
    query = draw(st.sampled_from([*palette, *(code ^ (2**bits - 1) for code in palette)]))
    return bits, codes, dead, hidden, query


@settings(max_examples=150, deadline=None)
@given(scans(), st.integers(1, 2 * BLOCK), st.one_of(st.none(), st.integers(0, 512)))
def test_ties_deletes_filters_and_radii_agree_with_the_oracle(scan, k, radius):
    bits, codes, dead, hidden, query = scan
    numbers = np.arange(len(codes))
    matrix = CodeMatrix.of(numbers, words_of(codes, bits)).with_filter("f", np.setdiff1d(numbers, hidden))
    matrix = matrix.delete(dead)
    alive = {n: code for n, code in enumerate(codes) if n not in set(dead.tolist())}
    allowed = {n: code for n, code in alive.items() if n not in set(hidden.tolist())}

    assert search(matrix, query, bits, k, radius) == ranking(alive, query, k, radius)
    assert search(matrix, query, bits, k, radius, "f") == ranking(allowed, query, k, radius)
    assert matrix.allowed("f") == len(allowed)
    near = distance(codes[0], query) if codes else 0
    assert scan_count_at(matrix, words_of([query], bits)[0], near, matrix.hidden("f")) == sum(
        distance(code, query) == near for code in allowed.values()
    )


@pytest.mark.parametrize("bits", [256, 512])
def test_complements_lie_as_far_apart_as_a_code_is_long(bits):
    zero, ones = 0, 2**bits - 1
    matrix = CodeMatrix.of(np.arange(2 * BLOCK), words_of([ones] * 2 * BLOCK, bits))

    assert search(matrix, zero, bits, 3) == [(bits, 0), (bits, 1), (bits, 2)]
    assert search(matrix, zero, bits, 3, radius=bits - 1) == []
    assert scan_count_at(matrix, words_of([zero], bits)[0], bits, matrix.dead) == 2 * BLOCK


@pytest.mark.parametrize("bits", [64, 128, 192, 256])
@pytest.mark.parametrize("n", [REGION - 1, REGION, REGION + 1, 2 * REGION + LANE + 1])
def test_more_than_a_region_is_ranked_as_by_sorting_everything(bits, n):
    rng = np.random.default_rng(n + bits)
    codes = random_codes(rng, n + 1, bits)
    codes[n // 2 : n // 2 + 300] = codes[:300]
    far = np.bitwise_count(codes[:n] ^ codes[n]).sum(axis=1).astype(int)
    # The filter leaves out what is near, so that what looks near mostly is not to be found.
    allowed = np.sort(np.argsort(far, kind="stable")[n // 4 :])
    matrix = CodeMatrix.of(np.arange(n), codes[:n]).with_filter("f", allowed).delete(allowed[::7])
    alive = matrix.is_found(None), matrix.is_found("f")
    order = np.lexsort((np.arange(n), far))

    for k in (1, 10, 600):
        for key, is_found in zip((None, "f"), alive, strict=True):
            first = order[is_found[order]][:k]
            found = scan(matrix, codes[n:], k, np.array([bits]), matrix.hidden(key))[0]
            assert found.numbers.tolist() == first.tolist()
            assert found.distances.tolist() == far[first].tolist()


@pytest.mark.parametrize("bits", [64, 128, 192, 256])
def test_a_batch_answers_as_its_queries_do_alone(bits):
    rng = np.random.default_rng(bits)
    codes = random_codes(rng, 3 * BLOCK + 17, bits)
    matrix = CodeMatrix.of(np.arange(len(codes)), codes).delete(np.arange(BLOCK, BLOCK + 90))
    queries = np.concatenate([codes[:5], random_codes(rng, 12, bits)])
    limits = rng.integers(0, bits, len(queries))

    together = scan(matrix, queries, 10, limits, matrix.dead)

    each = [slice(j, j + 1) for j in range(len(queries))]
    alone = [scan(matrix, queries[one], 10, limits[one], matrix.dead)[0] for one in each]
    assert [pairs(found) for found in together] == [pairs(found) for found in alone]


def test_ever_nearer_rows_overflow_no_candidate_list():
    """Rows that come ever closer are each a candidate: the list is thinned out many times over."""
    codes = [(1 << (500 - i // 20)) - 1 for i in range(10_000)]
    matrix = CodeMatrix.of(np.arange(len(codes)), words_of(codes, 512))

    assert search(matrix, 0, 512, 3) == ranking(dict(enumerate(codes)), 0, 3)
