"""Multi-index hashing and buckets against the oracle, and the planner that may choose them over the scan."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.index import planner
from app.index.buckets import DirectBuckets
from app.index.collection_index import CollectionIndex
from app.index.distance_kernels import BLOCK, LANE
from app.index.engine import WorkBudget, candidate_cost, distances_of_keys, rows_of_keys
from app.index.matrix import CodeMatrix
from app.index.multi_index import MAX_PART, MultiIndex, tables_for
from app.index.recent_searches import FIRST_DUE
from app.index.table_kernels import nearest_by_tables
from tests.oracles.hamming import distance
from tests.oracles.ranking import ranking
from tests.unit.index.pictures import delta_of, integers, numbers_of, pairs, random_codes, words_of

LENGTHS = [8, 16, 24, 64, 72, 128, 184, 256, 384, 512]
SIZES = [1, 2, LANE - 1, LANE, LANE + 1, BLOCK - 1, BLOCK, BLOCK + 1]
ENDLESS = WorkBudget(1 << 50, 1 << 50)


def with_engine(matrix, bits):
    return replace(matrix, engine=planner.build_engine(matrix, bits, matrix.count))


def noisy(rng, palette, n, bits):
    """Codes near to one of ``palette``: a bit in 16 is flipped, and some are equal."""
    flips = random_codes(rng, n, bits)
    for _ in range(3):
        flips &= random_codes(rng, n, bits)
    flips[rng.random(n) < 0.3] = 0
    return words_of(palette, bits)[rng.integers(0, len(palette), n)] ^ flips


@st.composite
def searches(draw):
    """Codes near to few, rows deleted and hidden, and a query near to one of them."""
    bits, n = draw(st.sampled_from(LENGTHS)), draw(st.sampled_from(SIZES))
    palette = draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = draw(st.tuples(*[st.sampled_from([0.0, 0.1, 0.9, 1.0])] * 2))
    dead, hidden = (np.flatnonzero(rng.random(n) < share) for share in shares)
    codes = noisy(rng, palette, n, bits)
    return bits, codes, dead, hidden, noisy(rng, palette, 1, bits)


@settings(max_examples=150, deadline=None)
@given(searches(), st.integers(1, 40), st.integers(0, 24))
def test_tables_find_what_the_oracle_finds(search, k, radius):
    bits, codes, dead, hidden, query = search
    numbers, limit = np.arange(len(codes)), min(radius, bits)
    matrix = CodeMatrix.of(numbers, codes).with_filter("f", np.setdiff1d(numbers, hidden)).delete(dead)
    engine = planner.build_engine(matrix, bits, len(codes))
    left_out = {*dead.tolist(), *hidden.tolist()}
    allowed = {n: code for n, code in enumerate(integers(codes)) if n not in left_out}

    keys = engine.nearest(matrix.columns, matrix.dead, matrix.filters["f"], query[0], k, limit, ENDLESS)

    found = list(zip(distances_of_keys(keys).tolist(), rows_of_keys(keys).tolist(), strict=True))
    assert found == ranking(allowed, integers(query)[0], k, limit)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(searches(), st.integers(1, 2 * BLOCK), st.one_of(st.none(), st.integers(0, 512)), st.data())
def test_the_planner_answers_the_same_whatever_it_may_spend(search, k, radius, data):
    bits, codes, dead, hidden, query = search
    numbers = np.arange(len(codes))
    matrix = CodeMatrix.of(numbers, codes).with_filter("f", np.setdiff1d(numbers, hidden)).delete(dead)
    matrix = with_engine(matrix, bits)
    known = integers(codes)
    alive = {n: code for n, code in enumerate(known) if n not in set(dead.tolist())}
    allowed = {n: code for n, code in alive.items() if n not in set(hidden.tolist())}
    limits = np.array([bits if radius is None else min(radius, bits)])
    near = distance(known[0], integers(query)[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "TRIAL_SHARE", data.draw(st.sampled_from([0, 1, 100, 10_000])))
        patch.setattr(planner, "TOTAL_SHARE", data.draw(st.sampled_from([100, 10_000])))
        for key, expected in ((None, alive), ("f", allowed)):
            found = planner.search(matrix, query, k, limits, key)
            assert pairs(found[0]) == ranking(expected, integers(query)[0], k, radius)
            assert planner.count_at(matrix, query[0], near, key) == sum(
                distance(code, integers(query)[0]) == near for code in expected.values()
            )


@pytest.mark.parametrize("bits", [16, 64, 256])
def test_rows_added_after_the_tables_were_built_are_found_too(bits, monkeypatch):
    monkeypatch.setattr(planner, "TRIAL_SHARE", 10_000)
    monkeypatch.setattr(planner, "TOTAL_SHARE", 10_000)
    rng = np.random.default_rng(bits)
    index = CollectionIndex(bits, hash_from=1, min_use=0)
    codes = noisy(rng, integers(random_codes(rng, 9, bits)), 900, bits)
    index.load(np.arange(500), codes[:500], 1)
    put = dict(zip(range(500, 800), integers(codes[500:800]), strict=True))
    index.apply(delta_of(2, bits, put))
    index.build_engines()
    built = [matrix.engine.covered for matrix in (index.view().main, index.view().tail)]
    put = dict(zip([*range(20), *range(800, 900)], integers(codes[780:]), strict=True))
    codes[:20], put_codes = codes[780:800], put

    index.apply(delta_of(3, bits, put_codes, deleted=[77, 555]))

    assert built == [500, 300 // LANE * LANE]
    assert [m.engine.covered for m in (index.view().main, index.view().tail)] == built
    pictures = {n: code for n, code in enumerate(integers(codes)) if n not in (77, 555)}
    pictures |= put
    for query in codes[::97]:
        found = index.view().search(query, 12)
        assert pairs(found) == ranking(pictures, integers([query])[0], 12)


def test_what_is_handed_over_cost_no_more_than_a_trial_may():
    rng = np.random.default_rng(1)
    codes = random_codes(rng, 20_000, 64)
    tables = MultiIndex.of(np.ascontiguousarray(codes.T), len(codes), 64)
    none = np.zeros(len(codes) // LANE + 1, np.uint64)
    for trial in (0, 100, 5_000, 100_000):
        for query in random_codes(rng, 20, 64):
            keys = np.empty(len(codes), np.uint64)
            columns, price = np.ascontiguousarray(codes.T), candidate_cost(1)
            held, spent = nearest_by_tables(
                columns,
                tables.parts,
                tables.ends,
                tables.rows,
                none,
                none,
                query,
                10,
                64,
                price,
                trial,
                trial,
                keys,
            )
            assert held == -1
            assert spent <= trial


@pytest.mark.parametrize("budget", [WorkBudget(1 << 40, 0), WorkBudget(0, 1 << 40)])
def test_either_part_of_a_budget_leaves_room_for_what_it_pays_for(budget):
    codes = np.full((5_000, 1), 7, np.uint64)
    tables = MultiIndex.of(np.ascontiguousarray(codes.T), 5_000, 64)
    none = np.zeros(5_000 // LANE + 1, np.uint64)

    keys = tables.nearest(np.ascontiguousarray(codes.T), none, none, codes[0], 4_000, 0, budget)

    assert keys is None or rows_of_keys(keys).tolist() == list(range(4_000))
    assert (keys is None) == (budget.trial == 0)


def test_equal_codes_in_great_number_are_left_to_the_scan():
    """One bucket would hold them all; its size tells before it is opened."""
    codes = np.zeros((50_000, 1), np.uint64)
    matrix = with_engine(CodeMatrix.of(np.arange(50_000), codes), 64)
    dead, columns = matrix.dead, matrix.columns
    budget = WorkBudget(5_000, 37_500)

    assert matrix.engine.nearest(columns, dead, dead, codes[0], 10, 64, budget) is None
    assert pairs(planner.search(matrix, codes[:1], 10, np.array([64]), None)[0]) == [(0, n) for n in range(10)]


def test_equal_short_codes_are_taken_out_of_their_bucket_as_far_as_wanted():
    columns = np.full((1, 50_000), 7, np.uint64)
    dead = np.zeros(50_000 // LANE + 1, np.uint64)
    dead[0] = 0b1011

    keys = DirectBuckets.of(columns, 50_000, 16).nearest(
        columns, dead, dead, np.array([7], np.uint64), 3, 16, WorkBudget(5_000, 5_000)
    )

    assert rows_of_keys(keys).tolist() == [2, 4, 5]


def test_longer_codes_have_no_bucket_each():
    with pytest.raises(ValueError, match="24 bits"):
        DirectBuckets.of(np.zeros((1, 5), np.uint64), 5, 24)


@pytest.mark.parametrize("bits", LENGTHS)
@pytest.mark.parametrize("count", [1, 1_000, 1_000_000, 10**9])
def test_parts_have_a_length_that_can_be_addressed(bits, count):
    assert 1 <= tables_for(count, bits) <= bits
    assert -(-bits // tables_for(count, bits)) <= MAX_PART


def test_tables_that_would_seldom_answer_are_not_kept():
    """Codes without any structure have no near ones that tables could find sooner than a scan."""
    index = CollectionIndex(128, hash_from=1)
    codes = random_codes(np.random.default_rng(0), 40_000, 128)
    index.load(np.arange(40_000), codes, 1)

    index.build_engines()

    assert index.view().main.engine is None
    assert not index.wants_engines


def test_tables_that_only_find_near_copies_are_not_kept():
    """Fifteen copies of each picture: a row finds its copies at once, a stranger's finds none near."""
    index = CollectionIndex(64, hash_from=1_000)
    rng = np.random.default_rng(0)
    codes = np.repeat(random_codes(rng, 4_000, 64), 15, axis=0)
    codes ^= np.uint64(1) << rng.integers(0, 64, codes.shape, dtype=np.uint64)
    index.load(np.arange(60_000), codes, 1)

    index.build_engines()

    assert index.view().main.engine is None
    assert not index.wants_engines


def test_recent_searches_decide_whether_tables_are_kept():
    """Tables find near copies of these codes at once, but nothing that is near to a stranger's picture."""
    index = CollectionIndex(64, hash_from=1_000)
    codes = random_codes(np.random.default_rng(0), 100_000, 64)
    index.load(np.arange(100_000), codes, 1)
    index.build_engines()
    assert index.view().main.engine is None

    index.view().search_many(codes[:FIRST_DUE] ^ np.uint64(5), 1, radius=2)
    assert index.wants_engines
    index.build_engines()
    assert index.view().main.engine is not None
    assert not index.wants_engines

    strangers = random_codes(np.random.default_rng(1), FIRST_DUE, 64)
    expected = index.view().search(strangers[0], 10)
    index.view().search_many(strangers, 10)
    assert index.wants_engines
    index.build_engines()
    assert index.view().main.engine is None
    assert not index.wants_engines
    assert pairs(index.view().search(strangers[0], 10)) == pairs(expected)


def test_searches_with_a_filter_or_of_many_results_do_not_decide():
    index = CollectionIndex(64, hash_from=1_000)
    index.load(np.arange(2_000), random_codes(np.random.default_rng(0), 2_000, 64), 1)
    index.put_filter("f", numbers_of(range(100)), 1)
    index.build_engines()
    queries = random_codes(np.random.default_rng(1), FIRST_DUE, 64)

    index.view().search_many(queries, 10, filter_key="f")
    index.view().search_many(queries, 1_000)

    assert not index.wants_engines


def test_tables_that_answer_most_queries_are_kept_through_writes_and_dropped_by_a_merge():
    index = CollectionIndex(16, hash_from=1_000, slack=10)
    index.load(np.arange(300_000), random_codes(np.random.default_rng(0), 300_000, 16), 1)
    assert index.wants_engines

    index.build_engines()
    engine = index.view().main.engine
    index.put_filter("f", numbers_of(range(100)), 1)
    index.apply(delta_of(2, 16, {300_000: 1}, deleted=[5], matches={"f": [300_000]}))

    assert engine is not None
    assert index.view().main.engine is engine
    assert index.view().nbytes > engine.nbytes
    assert not index.wants_engines
    index.apply(delta_of(3, 16, deleted=range(6, 150_000)))
    assert index.view().main.engine is None
    assert index.wants_engines


def test_tables_of_an_index_that_was_merged_meanwhile_are_thrown_away(monkeypatch):
    index = CollectionIndex(64, hash_from=1, min_use=0)
    index.load(np.arange(2_000), random_codes(np.random.default_rng(0), 2_000, 64), 1)

    def build_while_another_loads(matrix, bits, rows):
        index.load(np.arange(10), random_codes(np.random.default_rng(1), 10, 64), 2)
        return planner.build_engine(matrix, bits, rows)

    monkeypatch.setattr("app.index.collection_index.build_engine", build_while_another_loads)
    index.build_engines()

    assert index.view().main.engine is None
    assert index.view().count == 10


def test_without_the_memory_for_tables_the_index_is_scanned(monkeypatch):
    def no_memory(matrix, bits, rows):
        raise MemoryError

    monkeypatch.setattr("app.index.collection_index.build_engine", no_memory)
    index = CollectionIndex(64, hash_from=1)
    index.load(np.arange(100), random_codes(np.random.default_rng(0), 100, 64), 1)

    index.build_engines()

    assert not index.wants_engines
    assert len(index.view().search(np.zeros(1, np.uint64), 5).numbers) == 5
