"""The index through adds, deletes, replacements, filters and compaction, beside the oracle."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.index import (
    buckets,
    collection_index,
    distance_kernels,
    multi_query,
    planner,
    scan,
    scan_kernels,
    table_kernels,
)
from app.index.collection_index import CollectionIndex
from app.index.warm_up import warm_up
from tests.oracles.hamming import Pictures
from tests.oracles.ranking import ranking
from tests.unit.index.pictures import NONE, delta_of, integers, numbers_of, pairs, random_codes, words_of


class IndexBesideOracle(RuleBasedStateMachine):
    """Whatever is done to both, they give the same answers; a slack of 4 rows has the index compact often."""

    @initialize(bits=st.sampled_from([8, 64, 136, 256]), n=st.integers(0, 40), seed=st.integers(0, 999))
    def load(self, bits, n, seed):
        self.bits, self.rng, self.version = bits, np.random.default_rng(seed), 1
        self.folder = tempfile.TemporaryDirectory()
        self.snapshot = Path(self.folder.name) / "saved.index"
        self.index = CollectionIndex(bits, slack=4, hash_from=1, min_use=0)
        numbers, codes = np.arange(n) * 2 + 1, random_codes(self.rng, n, bits)
        self.next_number = 2 * n + 1
        self.pictures = Pictures(zip(numbers.tolist(), integers(codes), strict=True))
        self.index.load(numbers, codes, self.version)

    def teardown(self):
        self.folder.cleanup()

    def some(self, most):
        known = sorted(self.pictures.codes)
        return self.rng.choice(known, min(most, len(known)), replace=False).tolist() if known else []

    def apply(self, put=None, deleted=(), touched=()):
        self.version += 1
        put = put or {}
        self.pictures.codes.update(put)
        for number in deleted:
            del self.pictures.codes[number]
        for allowed in self.pictures.filters.values():
            allowed -= {*put, *deleted, *touched}
            allowed |= {n for n in (*put, *touched) if self.rng.random() < 0.5}
        matches = {k: f & {*put, *touched} for k, f in self.pictures.filters.items()}
        delta = delta_of(self.version, self.bits, put, deleted, touched, matches)
        self.index.apply(delta)
        if self.rng.random() < 0.2:
            self.index.apply(delta)

    def codes(self, n):
        return integers(random_codes(self.rng, n, self.bits))

    @rule(n=st.integers(1, 30))
    def add(self, n):
        numbers = range(self.next_number, self.next_number + n)
        self.next_number += n + 1
        self.apply(put=dict(zip(numbers, self.codes(n), strict=True)))

    @rule(n=st.integers(1, 8))
    def delete(self, n):
        self.apply(deleted=self.some(n))

    @rule()
    def delete_the_last_added(self):
        self.apply(deleted=sorted(self.pictures.codes)[-1:])

    @rule(n=st.integers(1, 8))
    def replace(self, n):
        numbers = self.some(n)
        self.apply(put=dict(zip(numbers, self.codes(len(numbers)), strict=True)))

    @rule(n=st.integers(1, 8))
    def change_metadata(self, n):
        self.apply(touched=self.some(n))

    @rule(n=st.integers(1, 6))
    def change_everything_at_once(self, n):
        gone, kept = self.some(n), {}
        for number in self.some(n):
            if number not in gone:
                kept[number] = self.codes(1)[0]
        kept[self.next_number] = self.codes(1)[0]
        self.next_number += 2
        self.apply(put=kept, deleted=gone)

    @rule(key=st.sampled_from("abc"), share=st.sampled_from([0.0, 0.3, 1.0]))
    def keep_a_filter(self, key, share):
        allowed = {number for number in self.pictures.codes if self.rng.random() < share}
        self.pictures.filters[key] = allowed
        self.index.put_filter(key, numbers_of(allowed), self.version)

    @rule()
    def build_tables(self):
        self.index.build_engines()

    @rule()
    def save(self):
        self.index.save(self.snapshot, "o")

    @precondition(lambda self: self.snapshot.exists())
    @rule()
    def share_what_was_saved(self):
        assert self.index.share(self.snapshot, "o")
        assert self.index.view().main.is_shared

    @invariant()
    def every_answer_is_the_oracles(self):
        view, codes = self.index.view(), self.pictures.codes
        assert (view.version, view.count) == (self.version, len(codes))
        query = next(iter(codes.values()), 0) ^ int(self.rng.integers(0, 256))
        words = words_of([query], self.bits)[0]
        for key in (None, *self.pictures.filters):
            allowed = self.pictures.candidates(key)
            for k, radius in ((1, None), (5, self.bits // 3), (len(codes) + 3, None)):
                found = view.search(words, k, radius=radius, filter_key=key)
                assert pairs(found) == ranking(allowed, query, k, radius)
            if key is not None:
                assert view.filtered_count(key) == len(allowed)
            assert view.count_at(words, 3, filter_key=key) == self.pictures.count_at(query, 3, key)
        for number in (*self.some(3), self.next_number):
            code = view.code_of(number)
            assert (None if code is None else integers([code])[0]) == codes.get(number)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Collections this small would be scanned at once."""
    monkeypatch.setattr(planner, "TRIAL_SHARE", 1_000)
    monkeypatch.setattr(planner, "TOTAL_SHARE", 1_000)


TestIndexBesideOracle = pytest.mark.slow(IndexBesideOracle.TestCase)
TestIndexBesideOracle.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def loaded(n, bits=64):
    index = CollectionIndex(bits)
    codes = random_codes(np.random.default_rng(n), n, bits)
    index.load(np.arange(n), codes, 1)
    return index, codes


def test_a_view_answers_as_it_did_whatever_is_written_afterwards():
    index, codes = loaded(3_000)
    index.put_filter("even", np.arange(0, 3_000, 2), 1)
    view = index.view()
    before = [pairs(view.search(codes[5], 20, filter_key=key)) for key in (None, "even")]

    put = dict.fromkeys(range(3_000, 3_100), 0) | {5: 1}
    index.apply(delta_of(2, 64, put, deleted=range(6, 90), touched=range(100, 900), matches={"even": put}))

    assert [pairs(view.search(codes[5], 20, filter_key=key)) for key in (None, "even")] == before


def test_a_deleted_picture_is_not_found_by_the_next_search():
    index, codes = loaded(100)

    index.apply(delta_of(2, 64, deleted=[42]))

    assert 42 not in index.view().search(codes[42], 100).numbers
    assert index.view().code_of(42) is None


def test_many_deleted_pictures_leave_the_memory():
    index, _ = loaded(20_000)
    before = index.view().nbytes

    index.apply(delta_of(2, 64, deleted=range(0, 20_000, 2)))

    assert index.view().nbytes < 0.6 * before
    assert index.view().search(np.zeros(1, np.uint64), 20_000).numbers.tolist() != []


def test_a_filter_of_another_version_is_refused():
    index, _ = loaded(10)

    with pytest.raises(ValueError, match="at 1"):
        index.put_filter("f", NONE, 7)


def test_the_filter_kept_longest_makes_room(monkeypatch):
    monkeypatch.setattr(collection_index, "MAX_FILTERS", 2)
    index, _ = loaded(10)

    for key in "abc":
        index.put_filter(key, NONE, 1)

    assert index.filter_keys() == ["b", "c"]
    assert not index.view().has_filter("a")


def test_a_filter_that_is_put_again_counts_as_new(monkeypatch):
    monkeypatch.setattr(collection_index, "MAX_FILTERS", 2)
    index = CollectionIndex(8)
    for key in ("a", "b", "a", "c"):
        index.put_filter(key, NONE, 0)

    assert index.filter_keys() == ["a", "c"]


def test_everything_filtered_out_finds_nothing():
    index, codes = loaded(2_000)
    index.put_filter("none", NONE, 1)

    assert pairs(index.view().search(codes[0], 10, filter_key="none")) == []
    assert index.view().filtered_count("none") == 0


@pytest.mark.parametrize("bits", [0, 7, 12, 520])
def test_no_code_has_another_length_than_a_multiple_of_eight_up_to_512(bits):
    with pytest.raises(ValueError, match="multiple of 8"):
        CollectionIndex(bits)


def test_a_negative_radius_or_no_k_finds_nothing():
    index, codes = loaded(10)

    assert pairs(index.view().search(codes[0], 5, radius=-1)) == []
    assert pairs(index.view().search(codes[0], 0)) == []


def signatures():
    """How many types of arguments each kernel was compiled for."""
    modules = (distance_kernels, scan_kernels, table_kernels, buckets, pairs, multi_query)
    found = {f"{m.__name__}.{name}": k for m in modules for name, k in vars(m).items()}
    return {name: len(k.signatures) for name, k in found.items() if hasattr(k, "signatures")}


def test_nothing_is_compiled_once_warmed_up():
    warm_up()
    compiled = signatures()

    for bits in (8, 16, 64, 128, 192, 256, 512):
        codes = random_codes(np.random.default_rng(bits), 3_000, bits)
        index = CollectionIndex(bits, hash_from=1, min_use=0)
        index.load(np.arange(3_000), codes, 1)
        index.put_filter("f", np.arange(0, 3_000, 3), 1)
        index.apply(delta_of(2, bits, {1: 0, 3_000: 0}, deleted=[9], matches={"f": [1]}))
        index.use_threads(scan.ScanThreads(2))
        for _ in ("scanned", "from tables"):
            index.view().search_many(codes[:3], 7, radius=bits, filter_key="f")
            index.view().search(codes[0], 7)
            index.view().count_at(codes[0], 3, filter_key="f")
            index.build_engines()

    assert signatures() == compiled
